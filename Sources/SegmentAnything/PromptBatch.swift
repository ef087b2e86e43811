public import Layers
public import Tensors

/// The meaning of a point.
public enum PointLabel: Int, Sendable, CaseIterable {
    /// Not a point: pads prompts with fewer points than others.
    case padding = -1
    /// The point is outside the object.
    case background = 0
    /// The point is on the object.
    case foreground = 1
}

/// The prompts of n objects in one image, in pixels of the model's input frame.
public struct PromptBatch: Sendable {
    /// Corners x0, y0, x1, y1. // [n, 4]
    public let boxes: Tensor?
    /// Positions x, y. // [n, k, 2]
    public let points: Tensor?
    /// One label per point, prompt by prompt. // n k
    public let labels: [PointLabel]
    /// Mask logits at a quarter of the input's scale. // [n, S / 4, S / 4]
    public let masks: Tensor?
    /// What the objects are, for a model with SUM's task table: 0 for anything, else the id of a kind of task.
    public var task = 0
    /// n.
    public let count: Int

    /// Creates a batch.
    ///
    /// Throws `SegmentAnythingError` of kind `prompt` if there is no prompt, or if kinds differ in count or have the
    /// wrong shape.
    public init(
        boxes: Tensor? = nil, points: Tensor? = nil, labels: [PointLabel] = [], masks: Tensor? = nil
    ) throws(SegmentAnythingError) {
        func check(_ condition: Bool, _ text: @autoclosure () -> String) throws(SegmentAnythingError) {
            if !condition { throw SegmentAnythingError(.prompt, text()) }
        }
        if let boxes {
            try check(boxes.shape.rank == 2 && boxes.shape[1] == 4, "boxes have shape \(boxes.shape); give [n, 4]")
        }
        if let points {
            try check(
                points.shape.rank == 3 && points.shape[2] == 2, "points have shape \(points.shape); give [n, k, 2]")
            try check(
                labels.count == points.count / 2,
                "\(labels.count) labels for \(points.count / 2) points; give one label per point")
        } else {
            try check(labels.isEmpty, "\(labels.count) labels without points; give the points too")
        }
        if let masks {
            try check(
                masks.shape.rank == 3 && masks.shape[1] == masks.shape[2],
                "mask prompts have shape \(masks.shape); give [n, S / 4, S / 4]")
        }
        let counts = [boxes, points, masks].compactMap { $0?.shape[0] }
        guard let first = counts.first, first > 0 else {
            throw SegmentAnythingError(.prompt, "a batch without prompts; give boxes, points or masks of n > 0 objects")
        }
        try check(
            counts.allSatisfy { $0 == first },
            "boxes, points and masks are for \(counts) objects; give all kinds for the same n")
        (self.boxes, self.points, self.labels, self.masks, count) = (boxes, points, labels, masks, first)
    }
}

/// The embeddings of n prompts.
public struct PromptEmbeddings: Sendable {
    /// The term added to the image embedding.
    public enum Dense: Sendable {
        /// The same vector at every position of every prompt (no mask prompts). // [C]
        case shared(Tensor)
        /// One image per prompt. // [n, h * w, C]
        case perPrompt(Tensor)
    }
    /// Points and corners; k is 0 for mask prompts alone. // [n, k, C]
    public let sparse: Tensor
    /// The mask prompts, or the vector that stands for none.
    public let dense: Dense
    /// The kind of task, for adapters that add to the decoder's tokens by it; 0 for none.
    public let task: Int
    /// n.
    public var count: Int { sparse.shape[0] }

    /// Creates embeddings.
    public init(sparse: Tensor, dense: Dense, task: Int = 0) {
        (self.sparse, self.dense, self.task) = (sparse, dense, task)
    }
}

extension PromptBatch {
    /// The prompts of a range of objects; never throws for a range within `count`.
    public func objects(_ range: Range<Int>) throws(SegmentAnythingError) -> PromptBatch {
        let perObject = count == 0 ? 0 : labels.count / count
        var part = try PromptBatch(
            boxes: boxes?.rows(range), points: points?.rows(range),
            labels: Array(labels[range.lowerBound * perObject..<range.upperBound * perObject]),
            masks: masks?.rows(range))
        part.task = task
        return part
    }
}

extension PromptBatch {
    /// Whether each object has one prompt alone, a box or a point, for which the decoder gives several masks.
    public var isAmbiguous: Bool { masks == nil && (boxes == nil ? labels.count == count : labels.isEmpty) }

    /// The model's own masks for these prompts in interactive use: three where they are ambiguous, unless an adapter's output
    /// token answers, which gives one.
    public func selection(in context: PassContext) -> MaskSelection {
        isAmbiguous && context.adapters.outputTokens.isEmpty ? .multiple : .single
    }

    /// The prompts of the next round with the same objects: another point for each, and carried logits as masks; no task.
    ///
    /// - Parameters:
    ///   - points: Position and label, one for each object; nil for no further point.
    ///   - masks: // [n, S / 4, S / 4]
    ///
    /// Throws `SegmentAnythingError` for masks of another number or shape.
    public func following(
        _ points: [(x: Float, y: Float, label: PointLabel)]?, masks: Tensor
    ) throws(SegmentAnythingError) -> PromptBatch {
        guard let points else {
            return try PromptBatch(boxes: boxes, points: self.points, labels: labels, masks: masks)
        }
        precondition(points.count == count, "\(points.count) points for \(count) objects")
        let earlier = labels.count / count
        var (places, kinds) = ([Float](), [PointLabel]())
        for (object, point) in points.enumerated() {
            for place in object * earlier..<(object + 1) * earlier {
                if let known = self.points { places += [known[2 * place], known[2 * place + 1]] }
                kinds.append(labels[place])
            }
            places += [point.x, point.y]
            kinds.append(point.label)
        }
        return try PromptBatch(
            boxes: boxes, points: Tensor(places, [count, earlier + 1, 2]), labels: kinds, masks: masks)
    }
}
