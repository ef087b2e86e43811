import Kernels
public import Layers
public import Tensors

/// Computes the features of an image, with the context's adapters acting at the encoder's sites.
///
/// Activations are channel-last: an image is `[S, S, 3]`, the embedding `[h * w, C]` with h = w = `embeddingSide`. Adapters
/// train in every encoder; weights of its own train in the plain vision transformer alone.
public protocol ImageEncoder: Sendable {
    /// Side S of the square input, pixels.
    var imageSize: Int { get }
    /// Side of the embedding's grid: S / 16, in LiteMedSAM S / 4.
    var embeddingSide: Int { get }
    /// Channels C of the embedding: 256 in every published model.
    var embeddingWidth: Int { get }
    /// Projections that adapters may change, from the input upwards: one in each block.
    var projectionSites: [ProjectionSite] { get }
    /// Blocks where adapters may add to the input and read the output, from the input upwards.
    var blockSites: [BlockSite] { get }

    /// Whether weights of its own, and not of adapters alone, have places among the trained values.
    var canTrain: Bool { get }

    /// The part below the first block: its input tokens.
    ///
    /// Unless weights of the encoder itself train, it is the same whatever adapters are active, so one stem of an image
    /// serves anchor and teacher, and no backward enters it. // [S, S, 3] -> [T, D]
    func stem(_ image: Tensor, in context: PassContext) -> EncoderStem

    /// The features of an image from its stem without residuals. // [T, D] -> [h * w, C]
    func encode(_ stem: EncoderStem, _ request: EncoderRequest, in context: PassContext) -> ImageFeatures

    /// The features of an image from its stem, with their backward pass. // [T, D] -> [h * w, C]
    func encodeForTraining(_ stem: EncoderStem, _ request: EncoderRequest, in context: PassContext) -> EncoderPass

    /// Extra tokens after they went through all blocks together with the image, without residuals.
    ///
    /// Throws `SegmentAnythingError` of kind `unsupported` for an encoder that cannot process additional tokens.
    ///
    /// - Parameter tokens: // [k, D] -> [k, D]
    func encodeTokens(
        _ tokens: Tensor, _ stem: EncoderStem, in context: PassContext
    ) throws(SegmentAnythingError) -> Tensor

    /// Extra tokens as from `encodeTokens`, with their backward pass.
    ///
    /// Keeps the input of each block, whatever the context says, and computes the rest again in backward. Throws
    /// `SegmentAnythingError` of kind `unsupported` for an encoder that cannot process additional tokens.
    ///
    /// - Parameter tokens: // [k, D]
    func encodeTokensForTraining(
        _ tokens: Tensor, _ stem: EncoderStem, in context: PassContext
    ) throws(SegmentAnythingError) -> TokenPass
}

extension ImageEncoder {
    /// Whether anything inside the encoder trains in a pass, so that its features depend on the trained values.
    public func trains(in context: PassContext) -> Bool {
        context.trained != nil && (canTrain || context.adapters.trainsInEncoder)
    }

    /// The features without residuals. // [S, S, 3] -> [h * w, C]
    public func encode(_ image: Tensor, in context: PassContext) -> ImageFeatures {
        encode(stem(image, in: context), EncoderRequest(context.adapters), in: context)
    }

    /// The features with their backward pass. // [S, S, 3] -> [h * w, C]
    public func encodeForTraining(_ image: Tensor, in context: PassContext) -> EncoderPass {
        encodeForTraining(stem(image, in: context), EncoderRequest(context.adapters), in: context)
    }

    /// The features from a stem, including what the context's adapters request.
    public func encode(_ stem: EncoderStem, in context: PassContext) -> ImageFeatures {
        encode(stem, EncoderRequest(context.adapters), in: context)
    }

    /// The features from a stem with their backward pass, including what the context's adapters request.
    public func encodeForTraining(_ stem: EncoderStem, in context: PassContext) -> EncoderPass {
        encodeForTraining(stem, EncoderRequest(context.adapters), in: context)
    }
}

/// Extra tokens of adapters after all blocks, with their backward pass to the adapters' parameters.
public struct AdapterTokenPass {
    /// The tokens after the last block, adapter by adapter. // [k, D]
    public let tokens: Tensor
    /// Adds the gradients of the adapters' parameters, given that of the tokens. // [k, D]
    public let backward: (_ dTokens: Tensor, _ gradients: inout GradientBuffer) -> Void
}

extension ImageEncoder {
    /// The tokens of the context's adapters after all blocks, without residuals; nil if there are none. // [k, D]
    ///
    /// Throws `SegmentAnythingError` of kind `unsupported` for an encoder that cannot process additional tokens.
    public func encodeTokens(
        _ stem: EncoderStem, in context: PassContext
    ) throws(SegmentAnythingError) -> Tensor? {
        let parts = adapterTokens(context)
        return parts.isEmpty ? nil : try encodeTokens(joined(parts), stem, in: context)
    }

    /// The tokens of the context's adapters after all blocks, with their backward pass; nil if there are none.
    ///
    /// Throws `SegmentAnythingError` of kind `unsupported` for an encoder that cannot process additional tokens.
    public func encodeTokensForTraining(
        _ stem: EncoderStem, in context: PassContext
    ) throws(SegmentAnythingError) -> AdapterTokenPass? {
        let parts = adapterTokens(context)
        guard !parts.isEmpty else { return nil }
        let pass = try encodeTokensForTraining(joined(parts), stem, in: context)
        return AdapterTokenPass(tokens: pass.tokens) { dTokens, gradients in
            let dInput = pass.backward(dTokens, &gradients)
            var first = 0
            for (adapter, part) in zip(context.adapters.encoderTokens, parts) {
                adapter.backward(
                    dInput.rows(first..<first + part.shape[0]), gradients: &gradients, in: context)
                first += part.shape[0]
            }
        }
    }

    /// The tokens of each adapter that has some. // [k_i, D] each
    private func adapterTokens(_ context: PassContext) -> [Tensor] {
        context.adapters.encoderTokens.map { $0.tokens(in: context) }
    }

    /// All tokens in one table. // [k, D]
    private func joined(_ parts: [Tensor]) -> Tensor {
        let rows = parts.reduce(0) { $0 + $1.shape[0] }
        return Tensor(parts.flatMap(\.elements), [rows, parts[0].shape[1]])
    }
}

/// An encoder's forward pass with its backward pass, which runs at most once and in the same context.
public struct EncoderPass {
    /// The features.
    public let features: ImageFeatures
    /// Adds the gradients of all parameters that train in the encoder, given those of the features. Holds the pass's residuals until it
    /// is released.
    public let backward: (_ dFeatures: FeatureGradients, _ gradients: inout GradientBuffer) -> Void

    /// Creates a pass from features and their backward pass.
    public init(
        features: ImageFeatures, backward: @escaping (FeatureGradients, inout GradientBuffer) -> Void
    ) {
        (self.features, self.backward) = (features, backward)
    }

    /// The image embedding. // [h * w, C]
    public var embedding: Tensor { features.embedding }

    /// Backward from the embedding's gradient alone. // [h * w, C]
    public func backward(_ dEmbedding: Tensor, _ gradients: inout GradientBuffer) {
        backward(FeatureGradients(embedding: dEmbedding), &gradients)
    }
}

/// Extra tokens after all blocks, with their backward pass.
public struct TokenPass {
    /// The tokens after the last block. // [k, D]
    public let tokens: Tensor
    /// The gradient of the input tokens, given that of the output tokens. // [k, D] -> [k, D]
    ///
    /// Adds the gradients of adapters active in between.
    public let backward: (_ dTokens: Tensor, _ gradients: inout GradientBuffer) -> Tensor
}
