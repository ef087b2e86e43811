public import Tensors

// An adapter set acts on a model at sites, and a set may act at several kinds of site. Each kind is a protocol with a
// forward half, whose result continues through the frozen model, and a backward half, which receives the gradient of
// that result, adds those of its trained parameters to the buffer, and returns or adds that of its inputs.

/// Parameters that act on a model at named sites: LoRA, an output token of the decoder, prompts of the encoder.
///
/// A model without any active set is the base model, bit for bit.
public protocol AdapterSet: Sendable {
    /// The kind's name in files and logs.
    var kind: String { get }
    /// Its parameters, in the order of their declarations.
    var parameters: [Parameter] { get }
    /// The part that changes projections of the encoder, if any.
    var projections: (any ProjectionAdapter)? { get }
    /// The part that adds to inputs of encoder blocks, if any.
    var blockInputs: (any BlockInputAdapter)? { get }
    /// The part that provides extra tokens for the encoder, if any.
    var encoderTokens: (any TokenAdapter)? { get }
    /// The part that provides extra sparse prompt tokens for the prompts of an image, if any.
    var promptTokens: (any PromptTokenAdapter)? { get }
    /// The part that adds to the dense embeddings of prompts, if any.
    var densePrompts: (any DensePromptAdapter)? { get }
    /// The part that provides further output tokens for the mask decoder, if any.
    var outputTokens: (any OutputTokenAdapter)? { get }
    /// The part that adds to the mask decoder's output tokens by the prompts' task, if any.
    var taskTokens: (any TaskTokenAdapter)? { get }
}

extension AdapterSet {
    public var projections: (any ProjectionAdapter)? { nil }
    public var blockInputs: (any BlockInputAdapter)? { nil }
    public var encoderTokens: (any TokenAdapter)? { nil }
    public var promptTokens: (any PromptTokenAdapter)? { nil }
    public var densePrompts: (any DensePromptAdapter)? { nil }
    public var outputTokens: (any OutputTokenAdapter)? { nil }
    public var taskTokens: (any TaskTokenAdapter)? { nil }
}

/// Adds a vector to the dense embeddings of prompts at all positions, by their task.
public protocol DensePromptAdapter: Sendable {
    /// The vector of a task; nil where nothing is added. // [C]
    func vector(of task: Int, in context: PassContext) -> Tensor?

    /// Adds the gradient of a task's vector. // [C]
    func backward(_ dVector: Tensor, ofTask task: Int, gradients: inout GradientBuffer, in context: PassContext)
}

/// Adds to the mask decoder's output tokens, by the task of the prompts.
public protocol TaskTokenAdapter: Sendable {
    /// What is added to the decoder's mask tokens and to the tokens of `OutputTokenAdapter`s behind them; nil where nothing
    /// is added. // [at most m + k, C]
    func offsets(ofTask task: Int, in context: PassContext) -> Tensor?

    /// Adds the gradient of a task's offsets, given that of all m + k tokens. // [m + k, C]
    func backward(
        _ dTokens: Tensor, ofTask task: Int, gradients: inout GradientBuffer, in context: PassContext)
}

/// Changes the outputs of projections.
public protocol ProjectionAdapter: Sendable {
    /// Whether it changes the projection at a site.
    func acts(at site: ProjectionSite) -> Bool

    /// Adds its update to y and returns what backward needs.
    ///
    /// - Parameters:
    ///   - x: Input of the projection. // [T, inputWidth]
    ///   - y: Its output so far. // [T, 3 outputWidth]
    func forward(
        at site: ProjectionSite, _ x: Tensor, addingTo y: inout Tensor, in context: PassContext
    ) -> [Tensor]

    /// Adds the gradients of its trained parameters, and its part of dX unless that is nil.
    func backward(
        at site: ProjectionSite, _ dY: Tensor, input x: Tensor, saved: [Tensor], addingTo dX: inout Tensor?,
        gradients: inout GradientBuffer, in context: PassContext)
}

/// Adds values computed from the image and its stem to the inputs of blocks.
public protocol BlockInputAdapter: Sendable {
    /// The values shared by all blocks, and whatever backward needs of their computation.
    func prepare(_ stem: EncoderStem, in context: PassContext) -> [Tensor]

    /// Adds this set's values to a block's input.
    func forward(at site: BlockSite, _ shared: [Tensor], addingTo x: inout Tensor, in context: PassContext)

    /// Adds the gradients of the block's own parameters, and its part of the gradients of the shared values.
    ///
    /// - Parameters:
    ///   - dX: Gradient of the block's input. // [T, D]
    ///   - dShared: Empty until the first (uppermost) block stores gradients in it.
    func backward(
        at site: BlockSite, _ dX: Tensor, _ shared: [Tensor], addingTo dShared: inout [Tensor],
        gradients: inout GradientBuffer, in context: PassContext)

    /// Adds the gradients of the parameters behind the shared values, after the lowest block.
    func finish(
        _ dShared: [Tensor], _ shared: [Tensor], stem: EncoderStem, gradients: inout GradientBuffer,
        in context: PassContext)
}

/// Provides the encoder with tokens that are the same for every image.
public protocol TokenAdapter: Sendable {
    /// The tokens. // [k, D]
    func tokens(in context: PassContext) -> Tensor

    /// Adds the gradients of its parameters, given that of the tokens. // [k, D]
    func backward(_ dTokens: Tensor, gradients: inout GradientBuffer, in context: PassContext)
}

/// Provides sparse prompt tokens that all prompts of an image share.
public protocol PromptTokenAdapter: Sendable {
    /// The tokens. // [k, C]
    ///
    /// - Parameter features: The image's features, constant: no gradient propagates into them.
    func tokens(for features: ImageFeatures, in context: PassContext) -> Tensor

    /// Adds the gradients of its parameters, given that of the tokens. // [k, C]
    func backward(
        _ dTokens: Tensor, features: ImageFeatures, gradients: inout GradientBuffer, in context: PassContext)
}

/// Provides the mask decoder with output tokens beside its own, each with a head that turns it and the upscaled pixels
/// into a mask.
public protocol OutputTokenAdapter: Sendable {
    /// The tokens of the encoder that its heads read.
    var taps: [TapSite] { get }

    /// The tokens, which follow the decoder's own. // [k, C]
    func tokens(in context: PassContext) -> Tensor

    /// Adds the gradients of the parameters behind its tokens. // [k, C]
    func backward(tokens dTokens: Tensor, gradients: inout GradientBuffer, in context: PassContext)

    /// The values its heads compute from the image's features once for all prompts; empty if there are none.
    func prepare(_ features: ImageFeatures, in context: PassContext) -> [Tensor]

    /// The masks of one prompt, pixels in position order (see `SubpixelKernel`). // [16 T, k]
    ///
    /// - Parameters:
    ///   - outputs: Its tokens after the transformer. // [k, C]
    ///   - pixels: The upscaled pixels of the prompt. // [16 T, C / 8]
    ///   - shared: From `prepare`.
    func masks(_ outputs: Tensor, pixels: Tensor, shared: [Tensor], in context: PassContext) -> Tensor

    /// The backward pass of `masks`, called with the same arguments.
    ///
    /// - Parameters:
    ///   - dMasks: // [k, 16 T]
    ///   - dShared: Empty until the first prompt stores the gradients of the shared values in it.
    /// - Returns: // [k, C], [16 T, C / 8]
    func backward(
        masks dMasks: Tensor, outputs: Tensor, pixels: Tensor, shared: [Tensor], addingTo dShared: inout [Tensor],
        gradients: inout GradientBuffer, in context: PassContext
    ) -> (dOutputs: Tensor, dPixels: Tensor)

    /// Adds the gradients of the parameters behind the shared values, after the last prompt.
    ///
    /// - Parameter dFeatures: Gradients added to it propagate into the encoder.
    func finish(
        _ dShared: [Tensor], features: ImageFeatures, addingTo dFeatures: inout FeatureGradients,
        gradients: inout GradientBuffer, in context: PassContext)
}
