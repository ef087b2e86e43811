public import Adapters
public import Kernels
public import Layers
public import SegmentAnything

/// The environment of a step: the model, its adaptation, and the gradient to add to.
public struct StepContext {
    /// The model.
    public let model: SegmentAnythingModel
    /// The context for passes of the adapted model.
    public let pass: PassContext
    /// Prompts per call of the decoder; bounds its memory and determines the shapes of its products.
    public let decoderChunk: Int
    /// The frozen model's features of the example's weak view, if they are cached.
    public let anchors: AnchorFeatures
    /// The former parameters that the step's masks are kept near, if any; methods with `distils` alone read them.
    public var distillation: Distillation?
    /// The stage of the run, from 0.
    public var stage = 0
    /// The numbers that the images of the batch have named; empty without a vote.
    public var votes: [Int] = []
    /// The features of the example's weak view, if its vote has computed them.
    public var features: ImageFeatures?
    /// False repeats the decoder's pass for backward even if it could have been kept, which changes no bit.
    package var keepsDecoderPass = true
    /// Notes the prompts of every round of clicks, for comparisons with another program; nil notes nothing.
    public var promptLog: PromptLog?
    /// The gradient of the trained values.
    public var gradients: GradientBuffer

    /// Prompts per call of the decoder, unless a recipe sets it.
    public static let defaultDecoderChunk = 8

    /// Creates the context of a step, with a gradient of zeros.
    public init(
        _ adapted: AdaptedModel, decoderChunk: Int = Self.defaultDecoderChunk, recompute: RecomputeLevel = .none,
        anchors: AnchorFeatures = AnchorFeatures(), counter: PassCounter? = nil, in workspace: Workspace
    ) {
        precondition(decoderChunk > 0, "the decoder takes at least one prompt at a time")
        model = adapted.model
        pass = adapted.context(in: workspace, recompute: recompute, counter: counter)
        (self.decoderChunk, self.anchors) = (decoderChunk, anchors)
        gradients = GradientBuffer(adapted.layout)
    }

    /// The context for passes of the frozen model.
    public var frozen: PassContext { pass.frozen }
    /// The threads and their scratch.
    public var workspace: Workspace { pass.workspace }

    /// The context for passes with other trained values, without backward.
    func pass(with trained: TrainableParameters) -> PassContext {
        PassContext(workspace, trained: trained, adapters: pass.adapters, counter: pass.counter)
    }
}

/// The prompts that a method of clicks drew, round by round.
public struct PromptLog: Sendable {
    /// Those of the objects of one call of the decoder, in the order of the calls.
    public internal(set) var rounds: [PromptBatch] = []

    /// Creates an empty log.
    public init() {}
}

/// The frozen model's features of one view, which a node may cache from epoch to epoch.
public struct AnchorFeatures: Sendable {
    /// The cached features, if any.
    public let kept: ImageFeatures?
    private let keep: (@Sendable (ImageFeatures) -> Void)?

    /// Creates an entry; by default nothing is cached.
    ///
    /// - Parameter keep: Called with features that a step computed.
    public init(kept: ImageFeatures? = nil, keep: (@Sendable (ImageFeatures) -> Void)? = nil) {
        (self.kept, self.keep) = (kept, keep)
    }

    /// The cached features, or the result of `compute`, which is then cached.
    public func features(_ compute: () -> ImageFeatures) -> ImageFeatures {
        if let kept { return kept }
        let features = compute()
        keep?(features)
        return features
    }
}
