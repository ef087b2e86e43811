public import Datasets
import SegmentAnything
import Tensors

/// What a pseudo-mask was decoded from, in pixels of the original image, so that its logits can be decoded again.
public struct MaskOrigin: Codable, Sendable, Equatable {
    /// x0, y0, x1 and y1 of its box; nil without one.
    public let box: [Double]?
    /// x, y and 1 or 0, for a point on the object or on the background, of each point.
    public let points: [[Double]]
    /// Which of the three masks of an ambiguous prompt it is; nil for the single mask.
    public let candidate: Int?

    /// The prompts of an annotated object.
    public init(box: Box?, points: [LabelledPoint], candidate: Int?) {
        self.box = box.map { [$0.x0, $0.y0, $0.x1, $0.y1] }
        self.points = points.map { [$0.x, $0.y, $0.isForeground ? 1 : 0] }
        self.candidate = candidate
    }

    /// A point of a grid.
    init(point: (x: Double, y: Double), candidate: Int) {
        self.init(
            box: nil, points: [LabelledPoint(x: point.x, y: point.y, isForeground: true)], candidate: candidate)
    }

    /// Whether it has the numbers that a decoder needs.
    public var isWhole: Bool {
        (box.map { $0.count == 4 } ?? true) && points.allSatisfy { $0.count == 3 } && (box != nil || !points.isEmpty)
            && (candidate.map { (0..<3).contains($0) } ?? true)
    }

    /// The prompts in the model's frame. Throws `SegmentAnythingError` without any.
    func prompts(in frame: ModelFrame) throws -> PromptBatch {
        let scaled = box.map { frame.toModel(Box(x0: $0[0], y0: $0[1], x1: $0[2], y1: $0[3])) }
        let places = points.map { frame.toModel(LabelledPoint(x: $0[0], y: $0[1], isForeground: $0[2] > 0)) }
        return try PromptBatch(
            boxes: scaled.map { Tensor([$0.x0, $0.y0, $0.x1, $0.y1].map { Float($0) }, [1, 4]) },
            points: places.isEmpty
                ? nil : Tensor(places.flatMap { [Float($0.x), Float($0.y)] }, [1, places.count, 2]),
            labels: places.map { $0.isForeground ? .foreground : .background })
    }

    /// The first point on the object, in the model's frame; nil without one. // x, y
    func point(in frame: ModelFrame) -> [Float]? {
        points.first { $0[2] > 0 }.map { place in
            let scaled = frame.toModel(LabelledPoint(x: place[0], y: place[1], isForeground: true))
            return [Float(scaled.x), Float(scaled.y)]
        }
    }
}
