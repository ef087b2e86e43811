public import Adapters
public import Kernels
public import Layers
public import SegmentAnything

/// What a step runs with: the model, what adapts it, and where gradients go.
public struct StepContext {
    /// The model.
    public let model: SegmentAnythingModel
    /// Passes of the model that is adapted.
    public let pass: PassContext
    /// Prompts that the decoder takes at once; bounds its memory and shapes its products.
    public let decoderChunk: Int
    /// The frozen model's features of the example's weak view, where somebody keeps them.
    public let anchors: AnchorFeatures
    /// False makes the decoder's pass again for backward where it could have been kept, which changes no bit.
    package var keepsDecoderPass = true
    /// The gradient of what trains.
    public var gradients: GradientBuffer

    /// Prompts that the decoder takes at once, unless a recipe says otherwise.
    public static let defaultDecoderChunk = 8

    /// A step of an adapted model, its gradient at zero.
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

    /// Passes of the frozen model.
    public var frozen: PassContext { pass.frozen }
    /// The threads and their scratch.
    public var workspace: Workspace { pass.workspace }
}

/// The frozen model's features of one view, which a node may keep from epoch to epoch.
public struct AnchorFeatures: Sendable {
    /// What was kept, if it was.
    public let kept: ImageFeatures?
    private let keep: (@Sendable (ImageFeatures) -> Void)?

    /// Nothing is kept, unless said otherwise.
    ///
    /// - Parameter keep: Called with features that a step had to compute.
    public init(kept: ImageFeatures? = nil, keep: (@Sendable (ImageFeatures) -> Void)? = nil) {
        (self.kept, self.keep) = (kept, keep)
    }

    /// What was kept, or what `compute` gives, which is kept then.
    public func features(_ compute: () -> ImageFeatures) -> ImageFeatures {
        if let kept { return kept }
        let features = compute()
        keep?(features)
        return features
    }
}
