import Kernels
import Layers
import Tensors

// After the layers the tokens look at the image once more: Q = norm_final(Q + cross(Q + q0, X + e, X)).

/// SAM's two-way transformer: the tokens of n prompts and n views of one image embedding attend to each other.
struct TwoWayTransformer: Sendable {
    private let layers: [TwoWayAttentionBlock]
    private let finalAttention: TokenAttention
    private let finalNorm: LayerNorm

    /// Asks a source for `layers.0`, ..., `final_attn_token_to_image` and `norm_final_attn`.
    init(_ source: some ParameterSource, depth: Int, width: Int, heads: Int, mlpWidth: Int) {
        layers = (0..<depth).map {
            TwoWayAttentionBlock(
                source.scoped("layers.\($0)"), width: width, heads: heads, mlpWidth: mlpWidth, isFirst: $0 == 0)
        }
        finalAttention = TokenAttention(
            source.scoped("final_attn_token_to_image"), width: width, internalWidth: width / 2, heads: heads)
        finalNorm = LayerNorm(source.scoped("norm_final_attn"), width: width, epsilon: 1e-5)
    }

    /// What backward needs: with the usual two layers, two images of T C floats per prompt and little else.
    struct Residuals: Sendable {
        let layers: [TwoWayAttentionBlock.Residuals]
        let images: PromptImages
        let final: TokenAttention.TokenToImageResiduals
        let finalInput: Tensor  // [n t, C]
        let finalStatistics: LayerNorm.Residuals
    }

    /// The tokens and the images after all layers, and the residuals if they are to be kept.
    ///
    /// - Parameters:
    ///   - tokens: // [n t, C]
    ///   - images: One for all prompts or one each. // [T, C]
    ///   - position: The dense positional code. // [T, C]
    func forward(
        _ tokens: Tensor, _ images: PromptImages, position: Tensor, groups: Int, keepingResiduals: Bool,
        in workspace: Workspace
    ) -> (tokens: Tensor, images: PromptImages, Residuals?) {
        var (queries, current) = (tokens, images)
        var saved: [TwoWayAttentionBlock.Residuals] = []
        for layer in layers {
            let (after, imagesAfter, residuals) = layer.forward(
                queries, tokenCodes: tokens, current, position: position, groups: groups, in: workspace)
            (queries, current) = (after, imagesAfter)
            if keepingResiduals { saved.append(residuals) }
        }
        var query = Tensor(uninitialized: queries.shape)
        ElementwiseKernel.add(queries, tokens, into: &query, in: workspace)
        let (last, savedFinal) = finalAttention.tokenToImage(
            query, current, position: position, groups: groups, residual: queries, in: workspace)
        let (y, statistics) = finalNorm.forward(last, in: workspace)
        guard keepingResiduals else { return (y, current, nil) }
        let all = Residuals(
            layers: saved, images: current, final: savedFinal, finalInput: last, finalStatistics: statistics)
        return (y, current, all)
    }

    /// Turns the gradients of the images that came out into those of the images that went in.
    ///
    /// - Parameters:
    ///   - dTokens: // [n t, C]
    ///   - dImages: One per prompt on entry; on return as many as there were images. // [T, C] each
    func backward(
        _ dTokens: Tensor, _ dImages: inout [Tensor], _ saved: Residuals, position: Tensor, groups: Int,
        in workspace: Workspace
    ) {
        var gradient = finalNorm.backward(dTokens, input: saved.finalInput, saved.finalStatistics, in: workspace)
        let dQuery = finalAttention.tokenToImageBackward(
            gradient, saved.final, saved.images, position: position, groups: groups, addingTo: &dImages, in: workspace)
        ElementwiseKernel.accumulate(dQuery, into: &gradient, in: workspace)
        for (layer, residuals) in zip(layers, saved.layers).reversed() {
            layer.backward(&gradient, &dImages, residuals, position: position, groups: groups, in: workspace)
        }
    }
}
