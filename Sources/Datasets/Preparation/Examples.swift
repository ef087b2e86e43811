public import Imaging
public import Interaction
public import Tensors

/// One training image, ready for the three branches.
public struct TrainingExample: Sendable {
    /// The entry of the schedule for which this was prepared.
    public let request: SampleRequest
    /// The image's name.
    public let id: String
    /// The mirroring of the image.
    public let flip: Flip
    /// Model input of the weakly augmented view, channel last, `[S, S, 3]`.
    public let weak: Tensor
    /// Model input of the strongly augmented view, same geometry, `[S, S, 3]`.
    public let strong: Tensor
    /// The placement of the image in the model frame.
    public let frame: ModelFrame
    /// The prompts; none if every instance vanished when resized.
    public let prompts: Prompts
    /// Other prompts of the same instances for the teacher and the anchor; nil if they use the student's.
    public let teacherPrompts: Prompts?
    /// The true masks of the prompted instances in the model frame, if requested, `[n, S, S]`.
    public let masks: InstanceMasks?
    /// The same with values from 0 to 1 for a jittered view, `[n, S, S]`.
    public let softMasks: Tensor?
    /// How far the masks of the prompted instances can be trusted, if they are pseudo-masks for which that is known.
    public var maps: PseudoMaps?
    /// The kind of task of the masks.
    public var task = TaskKind.none
    /// The method's source of random numbers for this step, keyed by seed, epoch and image.
    public let random: SeededGenerator

    /// The image's number in the training set.
    public var sampleIndex: Int { request.sampleIndex }
}

/// One evaluation image with its prompts and the masks to compare with.
public struct EvaluationExample: Sendable {
    /// The image's number in the evaluation set.
    public let sampleIndex: Int
    /// The image's name.
    public let id: String
    /// The original image, RGB, for pictures of results.
    public let image: Image
    /// Model input, channel last, `[S, S, 3]`.
    public let input: Tensor
    /// The placement of the image in the model frame.
    public let frame: ModelFrame
    /// The prompts of the same instances, one entry per requested kind; empty if every instance vanished when resized.
    public let prompts: [Prompts]
    /// The number n of prompted instances.
    public let count: Int
    /// The true masks of the prompted instances in the model frame, `[n, S, S]`; nil if the image has none.
    public let masks: InstanceMasks?
    /// The true masks of the same instances at the original resolution, `[n, H, W]`.
    public let originalMasks: InstanceMasks?
    /// The annotated boxes of the same instances in the original image, if there are any.
    public let boxes: [Box]?
    /// The annotated points of the same instances in the original image, if there are any.
    public let points: [[LabelledPoint]]?
    /// The points of the same instances that are not in their point prompts, if there are annotated ones and no masks.
    public let heldOutPoints: [[LabelledPoint]]?
    /// Whether the image was squashed to the model's square, so that logits cover it without padding.
    public let isSquashed: Bool
    /// Labelled instances that are not prompted, because no pixel of them is left in the model frame.
    public let vanished: Int
}
