import Kernels
import Layers
import Tensors

// One layer of SAM's two-way transformer on tokens Q of n prompts (codes q0: the decoder's initial tokens) and
// images X (codes e), pre-activations written with +:
//   first layer:  Q1 = norm1(self(Q, Q, Q));   others: Q1 = norm1(Q + self(Q + q0, Q + q0, Q))
//   Q2 = norm2(Q1 + cross(Q1 + q0, X + e, X))
//   Q3 = norm3(Q2 + W_2 relu(W_1 Q2 + b_1) + b_2)
//   X' = norm4(X + cross(X + e, Q3 + q0, Q3))
// Nothing before Q2 of the first layer depends on the image: its backward ends there, unless the gradient of the tokens is
// needed because they or an earlier layer train. Then q0 accumulates its part wherever it was added.
//
// While the image is still the same for all prompts (first layer, no mask prompts), its keys and values are projected
// once and all n t tokens attend to them as one group. From two prompts on that beats absorbing the projections.

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

    /// Its parameters.
    var parameters: [Parameter] {
        selfAttention.parameters + tokenToImage.parameters + imageToToken.parameters + expand.parameters
            + contract.parameters + norms.flatMap(\.parameters)
    }

    /// Residuals of the tokens' attention to the images.
    enum CrossResiduals: Sendable {
        /// Projected once for all prompts.
        case shared(TokenAttention.Residuals)
        /// With the projections absorbed into the tokens.
        case absorbed(TokenAttention.TokenToImageResiduals)
    }

    /// The tensors backward needs: beside the images, whose tensors are shared with the neighbouring layers, about 14 C
    /// floats per token and 2 floats per position and prompt.
    struct Residuals: Sendable {
        let images: PromptImages
        /// Q, Q1, Q2 and Q3.
        let tokens: [Tensor]  // [n t, C] each
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
        in context: PassContext
    ) -> (tokens: Tensor, images: PromptImages, Residuals) {
        let positioned = isFirst ? tokens : sum(tokens, tokenCodes, in: context)
        let (before1, savedSelf) = selfAttention.forward(
            positioned, positioned, tokens, groups: groups, residual: isFirst ? nil : tokens, in: context)
        let (tokens1, statistics1) = norms[0].forward(before1, in: context)
        let (before2, savedCross) = cross(
            tokens1, tokenCodes, images, position: position, groups: groups, in: context)
        let (tokens2, statistics2) = norms[1].forward(before2, in: context)
        let hidden = expand(tokens2, activation: .relu, in: context)
        let before3 = contract(hidden, residual: tokens2, in: context)
        let (tokens3, statistics3) = norms[2].forward(before3, in: context)
        let operands = imageToToken.imageToTokenOperands(
            sum(tokens3, tokenCodes, in: context), tokens3, groups: groups, in: context)
        var imagesAfter: [Tensor] = []
        var imageStatistics: [LayerNorm.Residuals] = []
        for prompt in 0..<groups {
            let before4 = imageToToken.imageToToken(
                images[prompt], position: position, operands, prompt: prompt, groups: groups, in: context)
            let (after, statistics) = norms[3].forward(before4, in: context)
            imagesAfter.append(after)
            imageStatistics.append(statistics)
        }
        let saved = Residuals(
            images: images, tokens: [tokens, tokens1, tokens2, tokens3], selfAttention: savedSelf, cross: savedCross,
            normInputs: [before1, before2, before3],
            normStatistics: [statistics1, statistics2, statistics3], hidden: hidden, operands: operands,
            imageStatistics: imageStatistics)
        return (tokens3, PromptImages(tensors: imagesAfter), saved)
    }

    private func cross(
        _ tokens: Tensor, _ tokenCodes: Tensor, _ images: PromptImages, position: Tensor, groups: Int,
        in context: PassContext
    ) -> (Tensor, CrossResiduals) {
        let query = sum(tokens, tokenCodes, in: context)
        if images.tensors.count == 1 && groups > 2 {
            let key = sum(images.tensors[0], position, in: context)
            let (y, saved) = tokenToImage.forward(
                query, key, images.tensors[0], groups: 1, residual: tokens, in: context)
            return (y, .shared(saved))
        }
        let (y, saved) = tokenToImage.tokenToImage(
            query, images, position: position, groups: groups, residual: tokens, in: context)
        return (y, .absorbed(saved))
    }

    /// The gradients of the tokens as they pass backward through the layers.
    struct TokenGradients {
        /// Of Q, from layer to layer. // [n t, C]
        var tokens: Tensor
        /// Of q0, accumulated over all layers; nil if not needed. // [n t, C]
        var codes: Tensor?

        mutating func addToCodes(_ part: Tensor, in workspace: Workspace) {
            guard var sum = codes.take() else { return }
            ElementwiseKernel.accumulate(part, into: &sum, in: workspace)
            codes = sum
        }
    }

    /// The layer's inputs that its backward needs again.
    struct Frame {
        /// q0. // [n t, C]
        let tokenCodes: Tensor
        /// e. // [T, C]
        let position: Tensor
        /// Prompts n.
        let groups: Int
    }

    /// Turns the gradients of the results into those of the inputs; adds those of the trained parameters.
    ///
    /// The first layer leaves the tokens' gradient unchanged if that of the codes is not needed: its tokens do not
    /// depend on the image.
    ///
    /// - Parameters:
    ///   - dImages: One per prompt on entry; on return as many as there were input images. // [T, C] each
    func backward(
        _ dTokens: inout TokenGradients, _ dImages: inout [Tensor], _ saved: Residuals, _ frame: Frame,
        gradients: inout GradientBuffer, in context: PassContext
    ) {
        let workspace = context.workspace
        let (dKey, dValue) = backwardImages(&dImages, saved, frame, gradients: &gradients, in: context)
        dTokens.addToCodes(dKey, in: workspace)
        ElementwiseKernel.accumulate(dKey, into: &dTokens.tokens, in: workspace)
        ElementwiseKernel.accumulate(dValue, into: &dTokens.tokens, in: workspace)
        let dBefore3 = backwardNorm(2, dTokens.tokens, saved, gradients: &gradients, in: context)
        contract.backwardParameters(dBefore3, input: saved.hidden, gradients: &gradients, in: context)
        var dHidden = contract.backwardInput(dBefore3, in: context)
        ElementwiseKernel.backwardReLU(&dHidden, output: saved.hidden, in: workspace)
        expand.backwardParameters(dHidden, input: saved.tokens[2], gradients: &gradients, in: context)
        var dTokens2 = dBefore3
        expand.backwardInput(dHidden, addingTo: &dTokens2, in: context)
        let dBefore2 = backwardNorm(1, dTokens2, saved, gradients: &gradients, in: context)
        let dQuery = backwardCross(dBefore2, saved, frame, &dImages, gradients: &gradients, in: context)
        dTokens.addToCodes(dQuery, in: workspace)
        if isFirst && dTokens.codes == nil { return }
        let dTokens1 = sum(dBefore2, dQuery, in: context)
        let dBefore1 = backwardNorm(0, dTokens1, saved, gradients: &gradients, in: context)
        backwardSelf(dBefore1, &dTokens, saved, frame, gradients: &gradients, in: context)
    }

    private func backwardNorm(
        _ index: Int, _ dY: Tensor, _ saved: Residuals, gradients: inout GradientBuffer, in context: PassContext
    ) -> Tensor {
        let (input, statistics) = (saved.normInputs[index], saved.normStatistics[index])
        norms[index].backwardParameters(dY, input: input, statistics, gradients: &gradients, in: context)
        return norms[index].backward(dY, input: input, statistics, in: context)
    }

    /// Backward of the self-attention and of its residual connection, which the first layer lacks.
    private func backwardSelf(
        _ dBefore: Tensor, _ dTokens: inout TokenGradients, _ saved: Residuals, _ frame: Frame,
        gradients: inout GradientBuffer, in context: PassContext
    ) {
        let tokens = saved.tokens[0]
        let (dQuery, dKey, dValue) = selfAttention.backward(
            dBefore, saved.selfAttention,
            inputs: {
                let positioned = isFirst ? tokens : sum(tokens, frame.tokenCodes, in: context)
                return .init(query: positioned, key: positioned, value: tokens)
            }, gradients: &gradients, in: context)
        var dInput = isFirst ? dQuery : dBefore
        for part in isFirst ? [dKey, dValue] : [dQuery, dKey, dValue] {
            ElementwiseKernel.accumulate(part, into: &dInput, in: context.workspace)
        }
        dTokens.tokens = dInput
        guard !isFirst else { return }
        dTokens.addToCodes(dQuery, in: context.workspace)
        dTokens.addToCodes(dKey, in: context.workspace)
    }

    /// Backward of the images' half, prompt by prompt, so that gradients of a shared image are summed in prompt order.
    private func backwardImages(
        _ dImages: inout [Tensor], _ saved: Residuals, _ frame: Frame, gradients: inout GradientBuffer,
        in context: PassContext
    ) -> (dKey: Tensor, dValue: Tensor) {
        var dOperands = TokenAttention.ImageToTokenGradients(like: saved.operands)
        let isShared = saved.images.tensors.count == 1
        for prompt in 0..<frame.groups {
            let image = saved.images[prompt]
            // The norm's input is recomputed: storing it would take as much memory as the image itself.
            let before = imageToToken.imageToToken(
                image, position: frame.position, saved.operands, prompt: prompt, groups: frame.groups, in: context)
            norms[3].backwardParameters(
                dImages[prompt], input: before, saved.imageStatistics[prompt], gradients: &gradients, in: context)
            var gradient = norms[3].backward(
                dImages[prompt], input: before, saved.imageStatistics[prompt], in: context)
            imageToToken.imageToTokenBackward(
                &gradient, image: image, position: frame.position, saved.operands, prompt: prompt,
                groups: frame.groups, &dOperands, gradients: &gradients, in: context)
            if isShared && prompt > 0 {
                ElementwiseKernel.accumulate(gradient, into: &dImages[0], in: context.workspace)
                dImages[prompt] = Tensor(zeros: [0])
            } else {
                dImages[prompt] = gradient
            }
        }
        if isShared { dImages.removeLast(dImages.count - 1) }
        return imageToToken.imageToTokenBackward(
            dOperands, saved.operands,
            tokens: { (sum(saved.tokens[3], frame.tokenCodes, in: context), saved.tokens[3]) }, groups: frame.groups,
            gradients: &gradients, in: context)
    }

    /// The gradient of the tokens as queries; those of the images are added to `dImages`.
    private func backwardCross(
        _ dY: Tensor, _ saved: Residuals, _ frame: Frame, _ dImages: inout [Tensor],
        gradients: inout GradientBuffer, in context: PassContext
    ) -> Tensor {
        let query = { sum(saved.tokens[1], frame.tokenCodes, in: context) }
        switch saved.cross {
        case .shared(let residuals):
            let image = saved.images.tensors[0]
            let (dQuery, dKey, dValue) = tokenToImage.backward(
                dY, residuals,
                inputs: {
                    .init(query: query(), key: sum(image, frame.position, in: context), value: image)
                }, gradients: &gradients, in: context)
            ElementwiseKernel.accumulate(dKey, into: &dImages[0], in: context.workspace)
            ElementwiseKernel.accumulate(dValue, into: &dImages[0], in: context.workspace)
            return dQuery
        case .absorbed(let residuals):
            return tokenToImage.tokenToImageBackward(
                dY, residuals, q: query, saved.images, position: frame.position, groups: frame.groups,
                addingTo: &dImages, gradients: &gradients, in: context)
        }
    }

    private func sum(_ x: Tensor, _ y: Tensor, in context: PassContext) -> Tensor {
        var z = Tensor(uninitialized: x.shape)
        ElementwiseKernel.add(x, y, into: &z, in: context.workspace)
        return z
    }
}
