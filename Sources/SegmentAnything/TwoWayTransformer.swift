import Kernels
import Layers
import Tensors

// After the layers the tokens attend to the image once more: Q = norm_final(Q + cross(Q + q0, X + e, X)).

/// SAM's two-way transformer: the tokens of n prompts and n views of one image embedding attend to each other.
struct TwoWayTransformer: Sendable {
    private let layers: [TwoWayAttentionBlock]
    private let finalAttention: TokenAttention
    private let finalNorm: LayerNorm

    /// Requests `layers.0`, ..., `final_attn_token_to_image` and `norm_final_attn` from a source.
    init(_ source: some ParameterSource, depth: Int, width: Int, heads: Int, mlpWidth: Int) {
        layers = (0..<depth).map {
            TwoWayAttentionBlock(
                source.scoped("layers.\($0)"), width: width, heads: heads, mlpWidth: mlpWidth, isFirst: $0 == 0)
        }
        finalAttention = TokenAttention(
            source.scoped("final_attn_token_to_image"), width: width, internalWidth: width / 2, heads: heads)
        finalNorm = LayerNorm(source.scoped("norm_final_attn"), width: width, epsilon: 1e-5)
    }

    /// Its parameters.
    var parameters: [Parameter] {
        layers.flatMap(\.parameters) + finalAttention.parameters + finalNorm.parameters
    }

    /// The tensors backward needs: with the usual two layers, two images of T C floats per prompt and little else.
    struct Residuals: Sendable {
        let layers: [TwoWayAttentionBlock.Residuals]
        let images: PromptImages
        /// The input tokens.
        let codes: Tensor  // [n t, C]
        /// The tokens after the layers.
        let queries: Tensor  // [n t, C]
        let final: TokenAttention.TokenToImageResiduals
        let finalInput: Tensor  // [n t, C]
        let finalStatistics: LayerNorm.Residuals
    }

    /// The tokens and the images after all layers, with residuals if requested.
    ///
    /// - Parameters:
    ///   - tokens: // [n t, C]
    ///   - images: One for all prompts or one each. // [T, C]
    ///   - position: The dense positional code. // [T, C]
    func forward(
        _ tokens: Tensor, _ images: PromptImages, position: Tensor, groups: Int, keepingResiduals: Bool,
        in context: PassContext
    ) -> (tokens: Tensor, images: PromptImages, Residuals?) {
        var (queries, current) = (tokens, images)
        var saved: [TwoWayAttentionBlock.Residuals] = []
        for layer in layers {
            let (after, imagesAfter, residuals) = layer.forward(
                queries, tokenCodes: tokens, current, position: position, groups: groups, in: context)
            (queries, current) = (after, imagesAfter)
            if keepingResiduals { saved.append(residuals) }
        }
        let query = Self.sum(queries, tokens, in: context)
        let (last, savedFinal) = finalAttention.tokenToImage(
            query, current, position: position, groups: groups, residual: queries, in: context)
        let (y, statistics) = finalNorm.forward(last, in: context)
        guard keepingResiduals else { return (y, current, nil) }
        let all = Residuals(
            layers: saved, images: current, codes: tokens, queries: queries, final: savedFinal, finalInput: last,
            finalStatistics: statistics)
        return (y, current, all)
    }

    /// Turns the gradients of the output images into those of the input images and, if needed, that of the tokens; adds
    /// those of the trained parameters.
    ///
    /// - Parameters:
    ///   - dTokens: // [n t, C]
    ///   - dImages: One per prompt on entry; on return as many as there were input images. // [T, C] each
    /// - Returns: The gradient of the input tokens, or nil. // [n t, C]
    func backward(
        _ dTokens: Tensor, _ dImages: inout [Tensor], _ saved: Residuals, position: Tensor, groups: Int,
        tokensWanted: Bool, gradients: inout GradientBuffer, in context: PassContext
    ) -> Tensor? {
        finalNorm.backwardParameters(
            dTokens, input: saved.finalInput, saved.finalStatistics, gradients: &gradients, in: context)
        var dLast = finalNorm.backward(dTokens, input: saved.finalInput, saved.finalStatistics, in: context)
        let dQuery = finalAttention.tokenToImageBackward(
            dLast, saved.final, q: { Self.sum(saved.queries, saved.codes, in: context) }, saved.images,
            position: position, groups: groups, addingTo: &dImages, gradients: &gradients, in: context)
        ElementwiseKernel.accumulate(dQuery, into: &dLast, in: context.workspace)
        var gradient = TwoWayAttentionBlock.TokenGradients(tokens: dLast, codes: tokensWanted ? dQuery : nil)
        let frame = TwoWayAttentionBlock.Frame(tokenCodes: saved.codes, position: position, groups: groups)
        for (layer, residuals) in zip(layers, saved.layers).reversed() {
            layer.backward(&gradient, &dImages, residuals, frame, gradients: &gradients, in: context)
        }
        return gradient.codes.map { Self.sum($0, gradient.tokens, in: context) }
    }

    private static func sum(_ x: Tensor, _ y: Tensor, in context: PassContext) -> Tensor {
        var z = Tensor(uninitialized: x.shape)
        ElementwiseKernel.add(x, y, into: &z, in: context.workspace)
        return z
    }
}
