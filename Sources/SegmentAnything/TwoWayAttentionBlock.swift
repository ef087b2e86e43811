import Kernels
import Layers
import Tensors

// One layer of SAM's two-way transformer on tokens Q of n prompts (codes q0: the tokens the decoder began with) and
// images X (codes e), pre-activations written with +:
//   first layer:  Q1 = norm1(self(Q, Q, Q));   others: Q1 = norm1(Q + self(Q + q0, Q + q0, Q))
//   Q2 = norm2(Q1 + cross(Q1 + q0, X + e, X))
//   Q3 = norm3(Q2 + W_2 relu(W_1 Q2 + b_1) + b_2)
//   X' = norm4(X + cross(X + e, Q3 + q0, Q3))
// Nothing before Q2 of the first layer depends on the image: its backward ends there.
//
// Where the image is still the same for all prompts (first layer, no mask prompts), its keys and values are projected once
// and all n t tokens attend to them as one group. From two prompts on that is cheaper than absorbing the projections.

/// One layer of the two-way transformer.
struct TwoWayAttentionBlock: Sendable {
    let selfAttention: TokenAttention
    let tokenToImage: TokenAttention
    let imageToToken: TokenAttention
    let expand: Linear
    let contract: Linear
    let norms: [LayerNorm]
    /// The first layer has no codes and no residual around its self-attention.
    let isFirst: Bool

    init(_ source: some ParameterSource, width: Int, heads: Int, mlpWidth: Int, isFirst: Bool) {
        selfAttention = TokenAttention(source.scoped("self_attn"), width: width, internalWidth: width, heads: heads)
        tokenToImage = TokenAttention(
            source.scoped("cross_attn_token_to_image"), width: width, internalWidth: width / 2, heads: heads)
        imageToToken = TokenAttention(
            source.scoped("cross_attn_image_to_token"), width: width, internalWidth: width / 2, heads: heads)
        expand = Linear(source.scoped("mlp.lin1"), in: width, out: mlpWidth)
        contract = Linear(source.scoped("mlp.lin2"), in: mlpWidth, out: width)
        norms = (1...4).map { LayerNorm(source.scoped("norm\($0)"), width: width, epsilon: 1e-5) }
        self.isFirst = isFirst
    }

    /// How the tokens attended to the images.
    enum CrossResiduals: Sendable {
        /// Projected once for all prompts.
        case shared(TokenAttention.Residuals)
        /// With the projections absorbed by the tokens.
        case absorbed(TokenAttention.TokenToImageResiduals)
    }

    /// What backward needs: beside the images, whose tensors are shared with the neighbouring layers, some 14 C floats per
    /// token and 2 floats per position and prompt.
    struct Residuals: Sendable {
        let images: PromptImages
        let selfAttention: TokenAttention.Residuals
        let cross: CrossResiduals
        /// Inputs and statistics of norm1, norm2 and norm3.
        let normInputs: [Tensor]  // [n t, C] each
        let normStatistics: [LayerNorm.Residuals]
        let hidden: Tensor  // [n t, mlpWidth]
        let operands: TokenAttention.ImageToTokenOperands
        /// Statistics of norm4, prompt by prompt.
        let imageStatistics: [LayerNorm.Residuals]
    }

    /// - Parameters:
    ///   - tokens: Q. // [n t, C]
    ///   - tokenCodes: q0. // [n t, C]
    ///   - images: X.
    ///   - position: e. // [T, C]
    func forward(
        _ tokens: Tensor, tokenCodes: Tensor, _ images: PromptImages, position: Tensor, groups: Int,
        in workspace: Workspace
    ) -> (tokens: Tensor, images: PromptImages, Residuals) {
        let positioned = isFirst ? tokens : sum(tokens, tokenCodes, in: workspace)
        let (before1, savedSelf) = selfAttention.forward(
            positioned, positioned, tokens, groups: groups, residual: isFirst ? nil : tokens, in: workspace)
        let (tokens1, statistics1) = norms[0].forward(before1, in: workspace)
        let (before2, savedCross) = cross(
            tokens1, tokenCodes, images, position: position, groups: groups, in: workspace)
        let (tokens2, statistics2) = norms[1].forward(before2, in: workspace)
        let hidden = expand(tokens2, activation: .relu, in: workspace)
        let before3 = contract(hidden, residual: tokens2, in: workspace)
        let (tokens3, statistics3) = norms[2].forward(before3, in: workspace)
        let operands = imageToToken.imageToTokenOperands(
            sum(tokens3, tokenCodes, in: workspace), tokens3, groups: groups, in: workspace)
        var imagesAfter: [Tensor] = []
        var imageStatistics: [LayerNorm.Residuals] = []
        for prompt in 0..<groups {
            let before4 = imageToToken.imageToToken(
                images[prompt], position: position, operands, prompt: prompt, groups: groups, in: workspace)
            let (after, statistics) = norms[3].forward(before4, in: workspace)
            imagesAfter.append(after)
            imageStatistics.append(statistics)
        }
        let saved = Residuals(
            images: images, selfAttention: savedSelf, cross: savedCross, normInputs: [before1, before2, before3],
            normStatistics: [statistics1, statistics2, statistics3], hidden: hidden, operands: operands,
            imageStatistics: imageStatistics)
        return (tokens3, PromptImages(tensors: imagesAfter), saved)
    }

    private func cross(
        _ tokens: Tensor, _ tokenCodes: Tensor, _ images: PromptImages, position: Tensor, groups: Int,
        in workspace: Workspace
    ) -> (Tensor, CrossResiduals) {
        let query = sum(tokens, tokenCodes, in: workspace)
        if images.tensors.count == 1 && groups > 2 {
            let key = sum(images.tensors[0], position, in: workspace)
            let (y, saved) = tokenToImage.forward(
                query, key, images.tensors[0], groups: 1, residual: tokens, in: workspace)
            return (y, .shared(saved))
        }
        let (y, saved) = tokenToImage.tokenToImage(
            query, images, position: position, groups: groups, residual: tokens, in: workspace)
        return (y, .absorbed(saved))
    }

    /// Turns the gradients of what came out into those of what went in; the first layer leaves `dTokens` as it is, because
    /// its tokens do not depend on the image.
    ///
    /// - Parameters:
    ///   - dTokens: // [n t, C]
    ///   - dImages: One per prompt on entry; on return as many as there were images. // [T, C] each
    func backward(
        _ dTokens: inout Tensor, _ dImages: inout [Tensor], _ saved: Residuals, position: Tensor, groups: Int,
        in workspace: Workspace
    ) {
        let (dKey, dValue) = backwardImages(&dImages, saved, position: position, groups: groups, in: workspace)
        ElementwiseKernel.accumulate(dKey, into: &dTokens, in: workspace)
        ElementwiseKernel.accumulate(dValue, into: &dTokens, in: workspace)
        let dBefore3 = norms[2].backward(
            dTokens, input: saved.normInputs[2], saved.normStatistics[2], in: workspace)
        var dHidden = contract.backwardInput(dBefore3, in: workspace)
        ElementwiseKernel.backwardReLU(&dHidden, output: saved.hidden, in: workspace)
        var dTokens2 = dBefore3
        expand.backwardInput(dHidden, addingTo: &dTokens2, in: workspace)
        let dBefore2 = norms[1].backward(
            dTokens2, input: saved.normInputs[1], saved.normStatistics[1], in: workspace)
        let dQuery = backwardCross(dBefore2, saved, position: position, groups: groups, &dImages, in: workspace)
        if isFirst { return }
        let dTokens1 = sum(dBefore2, dQuery, in: workspace)
        let dBefore1 = norms[0].backward(
            dTokens1, input: saved.normInputs[0], saved.normStatistics[0], in: workspace)
        let (dSelfQuery, dSelfKey, dSelfValue) = selfAttention.backward(dBefore1, saved.selfAttention, in: workspace)
        dTokens = dBefore1
        for part in [dSelfQuery, dSelfKey, dSelfValue] {
            ElementwiseKernel.accumulate(part, into: &dTokens, in: workspace)
        }
    }

    /// Backward of the images' half, prompt by prompt, so that gradients of a shared image add up in prompt order.
    private func backwardImages(
        _ dImages: inout [Tensor], _ saved: Residuals, position: Tensor, groups: Int, in workspace: Workspace
    ) -> (dKey: Tensor, dValue: Tensor) {
        var dOperands = TokenAttention.ImageToTokenGradients(like: saved.operands)
        let isShared = saved.images.tensors.count == 1
        for prompt in 0..<groups {
            let image = saved.images[prompt]
            // The norm's input is made again: keeping it would cost as much memory as the image itself.
            let before = imageToToken.imageToToken(
                image, position: position, saved.operands, prompt: prompt, groups: groups, in: workspace)
            var gradient = norms[3].backward(
                dImages[prompt], input: before, saved.imageStatistics[prompt], in: workspace)
            imageToToken.imageToTokenBackward(
                &gradient, image: image, position: position, saved.operands, prompt: prompt, groups: groups, &dOperands,
                in: workspace)
            if isShared && prompt > 0 {
                ElementwiseKernel.accumulate(gradient, into: &dImages[0], in: workspace)
                dImages[prompt] = Tensor(zeros: [0])
            } else {
                dImages[prompt] = gradient
            }
        }
        if isShared { dImages.removeLast(dImages.count - 1) }
        return imageToToken.imageToTokenBackward(dOperands, groups: groups, in: workspace)
    }

    /// The gradient of the tokens as queries; those of the images are added to `dImages`.
    private func backwardCross(
        _ dY: Tensor, _ saved: Residuals, position: Tensor, groups: Int, _ dImages: inout [Tensor],
        in workspace: Workspace
    ) -> Tensor {
        switch saved.cross {
        case .shared(let residuals):
            let (dQuery, dKey, dValue) = tokenToImage.backward(dY, residuals, in: workspace)
            ElementwiseKernel.accumulate(dKey, into: &dImages[0], in: workspace)
            ElementwiseKernel.accumulate(dValue, into: &dImages[0], in: workspace)
            return dQuery
        case .absorbed(let residuals):
            return tokenToImage.tokenToImageBackward(
                dY, residuals, saved.images, position: position, groups: groups, addingTo: &dImages, in: workspace)
        }
    }

    private func sum(_ x: Tensor, _ y: Tensor, in workspace: Workspace) -> Tensor {
        var z = Tensor(uninitialized: x.shape)
        ElementwiseKernel.add(x, y, into: &z, in: workspace)
        return z
    }
}
