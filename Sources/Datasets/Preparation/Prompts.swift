public import Tensors

/// The kind of weak label that is turned into prompts.
public enum PromptKind: String, CaseIterable, Sendable {
    /// One box per instance.
    case box
    /// Points on and off each instance.
    case point
    /// A simplified outline of each instance, passed to the model as a box or as a mask.
    case coarse
}

/// The source of prompts.
public enum PromptSource: String, CaseIterable, Sendable {
    /// From masks, as in the paper: tight boxes or the data set's own, points drawn on and off the mask, simplified outlines.
    ///
    /// Images without masks use their annotations.
    case simulated
    /// From boxes, points and polygons as annotated; masks are ignored.
    case annotations
    /// From masks that the unadapted model finds in the whole image; they are the data set's masks from then on.
    case automatic
    /// From masks that the unadapted model makes of the annotated boxes or points; they are the data set's masks from
    /// then on, beside the annotated boxes.
    case pseudo

    /// Whether the unadapted model makes the masks before training.
    public var isMadeByModel: Bool { self == .automatic || self == .pseudo }
}

/// The form in which a coarse prompt is passed to the model.
public enum CoarseForm: String, CaseIterable, Sendable {
    /// The box around the simplified outline (the released code).
    case box
    /// The simplified outline as a mask prompt (the paper).
    case mask
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
    /// 1 for a point on the instance, 0 for one off it, -1 for a placeholder, `[n, k]`.
    public let pointLabels: Tensor?
    /// Mask logits on the model's low-resolution grid, `[n, m, m]`.
    public let masks: Tensor?

    /// Box prompts; coarse ones are boxes too.
    public init(boxes: [Box], kind: PromptKind = .box) {
        self.kind = kind
        masks = nil
        count = boxes.count
        let corners = boxes.flatMap { [Float($0.x0), Float($0.y0), Float($0.x1), Float($0.y1)] }
        self.boxes = Tensor(corners, [boxes.count, 4])
        points = nil
        pointLabels = nil
    }

    /// Point prompts; shorter rows are padded with placeholders.
    public init(points rows: [[LabelledPoint]]) {
        kind = .point
        count = rows.count
        (boxes, masks) = (nil, nil)
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

    /// Coarse outlines as mask prompts. // [n, m, m]
    public init(masks: Tensor) {
        kind = .coarse
        count = masks.shape[0]
        (boxes, points, pointLabels) = (nil, nil, nil)
        self.masks = masks
    }
}

/// Options for creating prompts from labels.
public struct PromptOptions: Equatable, Sendable {
    /// The kind of prompt.
    public var kind: PromptKind
    /// Points drawn on each instance.
    public var positivePoints: Int
    /// Points drawn off each instance.
    public var negativePoints: Int
    /// Maximum instances of a training image; evaluation has no cap.
    public var maximumInstances: Int
    /// The source of prompts.
    public var source: PromptSource
    /// The form of coarse prompts.
    public var coarse: CoarseForm
    /// Side m of the grid of mask prompts: four times the side of the image embedding.
    public var maskSide: Int
    /// Whether the middle of a box serves as point prompt of an instance that has neither mask nor points.
    var takesMiddleOfBox = false

    /// Creates options; the defaults are WeSAM's.
    public init(
        kind: PromptKind, positivePoints: Int = 5, negativePoints: Int = 5, maximumInstances: Int = 40,
        source: PromptSource = .simulated, coarse: CoarseForm = .box, maskSide: Int = 256
    ) {
        (self.source, self.coarse, self.maskSide) = (source, coarse, maskSide)
        self.kind = kind
        self.positivePoints = positivePoints
        self.negativePoints = negativePoints
        self.maximumInstances = maximumInstances
    }
}
