public import Tensors

/// The kind of weak label that is turned into prompts.
public enum PromptKind: String, CaseIterable, Sendable {
    /// One box per instance.
    case box
    /// Points on and off each instance.
    case point
    /// A simplified outline of each instance; not built yet.
    case coarse
}

/// The prompts of one image in the model frame, one row per instance.
public struct Prompts: Sendable {
    /// The kind of the prompts; exactly its tensors are present.
    public let kind: PromptKind
    /// The number n of instances.
    public let count: Int
    /// Boxes as (x0, y0, x1, y1), `[n, 4]`.
    public let boxes: Tensor?
    /// Points as (x, y), `[n, k, 2]`.
    public let points: Tensor?
    /// 1 for a point on the instance, 0 for one off it, -1 for a place holder that is no point, `[n, k]`.
    public let pointLabels: Tensor?

    /// Box prompts.
    public init(boxes: [Box]) {
        kind = .box
        count = boxes.count
        let corners = boxes.flatMap { [Float($0.x0), Float($0.y0), Float($0.x1), Float($0.y1)] }
        self.boxes = Tensor(corners, [boxes.count, 4])
        points = nil
        pointLabels = nil
    }

    /// Point prompts; shorter rows are filled with place holders.
    public init(points rows: [[LabelledPoint]]) {
        kind = .point
        count = rows.count
        boxes = nil
        let longest = rows.map(\.count).max() ?? 0
        var coordinates: [Float] = []
        var labels: [Float] = []
        for row in rows {
            for point in row {
                coordinates += [Float(point.x), Float(point.y)]
                labels.append(point.isForeground ? 1 : 0)
            }
            for _ in row.count..<longest {
                coordinates += [0, 0]
                labels.append(-1)
            }
        }
        points = Tensor(coordinates, [rows.count, longest, 2])
        pointLabels = Tensor(labels, [rows.count, longest])
    }
}

/// How prompts are made from labels.
public struct PromptOptions: Equatable, Sendable {
    /// The kind of prompt.
    public var kind: PromptKind
    /// Points drawn on each instance.
    public var positivePoints: Int
    /// Points drawn off each instance.
    public var negativePoints: Int
    /// The largest number of instances of a training image; evaluation has no cap.
    public var maximumInstances: Int

    /// Creates options; the defaults are WeSAM's.
    public init(kind: PromptKind, positivePoints: Int = 5, negativePoints: Int = 5, maximumInstances: Int = 40) {
        self.kind = kind
        self.positivePoints = positivePoints
        self.negativePoints = negativePoints
        self.maximumInstances = maximumInstances
    }
}
