/// The scores of an evaluation: against masks if images have any, otherwise against weak labels.
public struct EvaluationScores: Equatable, Sendable {
    /// The measures, in the order of tables. The raw value is the name in logs.
    public enum Measure: String, CaseIterable, Sendable {
        /// Intersection over union with the true mask, on the model's canvas.
        case iou = "mean_iou"
        /// F1 of pixels against the true mask, on the model's canvas.
        case f1 = "mean_f1"
        /// Boundary IoU at the image's own resolution (Cheng et al., CVPR 2021; 2 % of the diagonal).
        case boundaryIoU = "mean_boundary_iou"
        /// IoU of the prediction's tight box with the annotated box.
        case boxIoU = "mean_box_iou"
        /// Share of the annotated points on the correct side of the prediction.
        case pointHits = "point_hit_rate"

        /// The name in tables.
        public var title: String {
            switch self {
            case .iou: "IoU"
            case .f1: "F1"
            case .boundaryIoU: "boundary IoU"
            case .boxIoU: "box IoU"
            case .pointHits: "point hits"
            }
        }

        /// The name of the column in evaluation.csv.
        public var column: String {
            switch self {
            case .iou: "Mean IoU"
            case .f1: "Mean F1"
            case .boundaryIoU: "Mean Boundary IoU"
            case .boxIoU: "Mean Box IoU"
            case .pointHits: "Point Hit Rate"
            }
        }
    }

    private var values = [Double?](repeating: nil, count: Measure.allCases.count)

    /// Creates empty scores.
    public init() {}

    /// Creates scores of the two measures on the model's canvas.
    public init(iou: Double, f1: Double) {
        self[.iou] = iou
        self[.f1] = f1
    }

    /// A score, 0 to 1; nil if not measured.
    public subscript(measure: Measure) -> Double? {
        get { Measure.allCases.firstIndex(of: measure).flatMap { values[$0] } }
        set { if let place = Measure.allCases.firstIndex(of: measure) { values[place] = newValue } }
    }

    /// The measured scores, in order.
    public var measured: [(measure: Measure, value: Double)] {
        Measure.allCases.compactMap { measure in self[measure].map { (measure, $0) } }
    }

    /// The mean of each measure over the scores that have it.
    public static func mean(of scores: [Self]) -> Self {
        var result = Self()
        for measure in Measure.allCases {
            let own = scores.compactMap { $0[measure] }
            if !own.isEmpty { result[measure] = own.reduce(0, +) / Double(own.count) }
        }
        return result
    }
}
