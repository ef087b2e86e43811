public import Layers

/// The settings of WeSAM; the defaults are the weights of the released code with the losses of the paper.
public struct WeSAMConfiguration: Sendable, Equatable {
    /// Which reading of the self-training losses.
    public var lossForm = LossForm.paper
    /// Weight of the focal loss of the student against the teacher's masks.
    public var focalWeight = 20.0
    /// Weight of the dice loss of the student against the teacher's masks.
    public var diceWeight = 1.0
    /// Weight of the squared error of the student's predicted IoUs.
    public var iouWeight = 1.0
    /// Weight of the dice losses of both branches against the anchor's masks.
    public var anchorWeight = 1.0
    /// Weight of the contrast between teacher and anchor features.
    public var contrastWeight = 1.0
    /// False leaves the anchor out: no anchor loss, no contrast, plain self-training.
    public var hasAnchor = true
    /// What the contrast holds against each other.
    public var contrast = ContrastForm.instances
    /// Share of the student's view that is hidden from it; 0 hides nothing.
    public var maskRatio = 0.0
    /// Side of a hidden block, cells of the embedding's grid.
    public var maskBlock = 4
    /// tau of the contrast.
    public var temperature = 0.3
    /// Prompts that the decoder takes at once; bounds its memory and shapes its products.
    public var decoderChunk = 8
    /// What the encoder makes again in backward; trades time for memory and changes no bit.
    public var recompute = RecomputeLevel.none

    /// The defaults.
    public init() {}
}
