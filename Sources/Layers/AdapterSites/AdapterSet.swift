public import Tensors

// An adapter set acts on a model at sites, and a set may act at several kinds of site. Each kind is a protocol of a
// forward half, whose result goes on through the frozen model, and a backward half, which gets the gradient that comes
// back, adds those of its parameters to the buffer where they train, and hands on that of its inputs.

/// Parameters that act on a model at named sites: LoRA, an output token of the decoder, prompts of the encoder.
///
/// A model without any active set is the base model, bit for bit.
public protocol AdapterSet: Sendable {
    /// The kind, as files and logs name it.
    var kind: String { get }
    /// Its parameters, in the order of their declarations.
    var parameters: [Parameter] { get }
    /// Changes projections of the encoder, if it does.
    var projections: (any ProjectionAdapter)? { get }
    /// Adds to inputs of encoder blocks, if it does.
    var blockInputs: (any BlockInputAdapter)? { get }
    /// Gives extra tokens that go through the encoder, if it does.
    var encoderTokens: (any TokenAdapter)? { get }
    /// Gives extra sparse prompt tokens to every prompt, if it does.
    var promptTokens: (any TokenAdapter)? { get }
    /// Gives the mask decoder further output tokens, if it does.
    var outputTokens: (any OutputTokenAdapter)? { get }
}

extension AdapterSet {
    public var projections: (any ProjectionAdapter)? { nil }
    public var blockInputs: (any BlockInputAdapter)? { nil }
    public var encoderTokens: (any TokenAdapter)? { nil }
    public var promptTokens: (any TokenAdapter)? { nil }
    public var outputTokens: (any OutputTokenAdapter)? { nil }
}

/// Changes the outputs of projections.
public protocol ProjectionAdapter: Sendable {
    /// Whether it changes a projection.
    func acts(at site: ProjectionSite) -> Bool

    /// Adds its update to y and returns what backward needs.
    ///
    /// - Parameters:
    ///   - x: Input of the projection. // [T, inputWidth]
    ///   - y: Its output so far. // [T, 3 outputWidth]
    func forward(
        at site: ProjectionSite, _ x: Tensor, addingTo y: inout Tensor, in context: PassContext
    ) -> [Tensor]

    /// Adds the gradients of its parameters where they train, and its part of dX, if that is given.
    func backward(
        at site: ProjectionSite, _ dY: Tensor, input x: Tensor, saved: [Tensor], addingTo dX: inout Tensor?,
        gradients: inout GradientBuffer, in context: PassContext)
}

/// Adds values to the inputs of blocks, made of the image and its stem.
public protocol BlockInputAdapter: Sendable {
    /// What all blocks share, and what it was made of as far as backward needs it.
    func prepare(_ stem: EncoderStem, in context: PassContext) -> [Tensor]

    /// Adds to a block's input.
    func forward(at site: BlockSite, _ shared: [Tensor], addingTo x: inout Tensor, in context: PassContext)

    /// Adds the gradients of the block's own parameters, and its part of the gradients of what is shared.
    ///
    /// - Parameters:
    ///   - dX: Gradient of the block's input. // [T, D]
    ///   - dShared: Empty until the first block, from the top, has put gradients there.
    func backward(
        at site: BlockSite, _ dX: Tensor, _ shared: [Tensor], addingTo dShared: inout [Tensor],
        gradients: inout GradientBuffer, in context: PassContext)

    /// Adds the gradients of the parameters that the shared values were made with, after the lowest block.
    func finish(
        _ dShared: [Tensor], _ shared: [Tensor], stem: EncoderStem, gradients: inout GradientBuffer,
        in context: PassContext)
}

/// Gives tokens that are the same for every image or prompt.
public protocol TokenAdapter: Sendable {
    /// The tokens. // [k, D]
    func tokens(in context: PassContext) -> Tensor

    /// Adds the gradients of its parameters for that of the tokens. // [k, D]
    func backward(_ dTokens: Tensor, gradients: inout GradientBuffer, in context: PassContext)
}

/// Gives the mask decoder output tokens beside its own, each with a head that turns it and the upscaled pixels into a
/// mask.
public protocol OutputTokenAdapter: Sendable {
    /// The blocks whose outputs its heads read.
    var taps: [Int] { get }

    /// The tokens, which stand behind the decoder's own. // [k, C]
    func tokens(in context: PassContext) -> Tensor

    /// Adds the gradients of the parameters its tokens are made of. // [k, C]
    func backward(tokens dTokens: Tensor, gradients: inout GradientBuffer, in context: PassContext)

    /// The masks of one prompt, pixels in position order (see `SubpixelKernel`). // [16 T, k]
    ///
    /// - Parameters:
    ///   - outputs: Its tokens behind the transformer. // [k, C]
    ///   - pixels: The upscaled pixels of the prompt. // [16 T, C / 8]
    ///   - features: What the encoder gave.
    func masks(_ outputs: Tensor, pixels: Tensor, features: ImageFeatures, in context: PassContext) -> Tensor

    /// The way back of `masks`, which gets the same arguments again.
    ///
    /// - Parameters:
    ///   - dMasks: // [k, 16 T]
    ///   - dFeatures: What is added to it flows back into the encoder.
    /// - Returns: // [k, C], [16 T, C / 8]
    func backward(
        masks dMasks: Tensor, outputs: Tensor, pixels: Tensor, features: ImageFeatures,
        addingTo dFeatures: inout FeatureGradients, gradients: inout GradientBuffer, in context: PassContext
    ) -> (dOutputs: Tensor, dPixels: Tensor)
}
