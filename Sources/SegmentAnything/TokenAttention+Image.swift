import Kernels
import Layers
import Tensors

// Cross attention between tokens and an image without projecting the image (see TokenImageAttentionKernel): with the
// tokens' projections spread over R = H t rows per prompt and scale = 1 / sqrt(head width),
//   token to image:  a = scale spread(W_q q + b_q) W_k,   out = W_o gather(W_v o + b_v) + b_o
//   image to token:  a = scale spread(W_k k + b_k) W_q,   c = scale spread(W_k k + b_k) b_q,
//                    g = spread(W_v v + b_v) W_o',        b = b_o
// The key's bias falls out of the first softmax: it adds the same to all scores of a row.

/// The images that n prompts look at: one for all of them, or one each.
struct PromptImages: Sendable {
    /// One tensor, or n. // [T, C] each
    var tensors: [Tensor]

    /// The image of one prompt.
    subscript(prompt: Int) -> Tensor { tensors.count == 1 ? tensors[0] : tensors[prompt] }
}

extension TokenAttention {
    private var scale: Float { 1 / (Float(internalWidth) / Float(heads)).squareRoot() }

    /// What backward of `tokenToImage` needs beside the images: 2 R C + R floats per prompt.
    struct TokenToImageResiduals: Sendable {
        let absorbed: Tensor  // [n R, C]
        let collected: Tensor  // [n R, C]
        let logSumExp: Tensor  // [n R]
    }

    /// Tokens attend to their prompt's image, keys x + e, values x.
    ///
    /// - Parameters:
    ///   - q: // [n t, C]
    ///   - residual: Added to the result. // [n t, C]
    func tokenToImage(
        _ q: Tensor, _ images: PromptImages, position: Tensor, groups: Int, residual: Tensor, in workspace: Workspace
    ) -> (Tensor, TokenToImageResiduals) {
        let spread = HeadKernel.spread(query(q, in: workspace), groups: groups, heads: heads, factor: scale)
        let absorbed = key.backwardInput(spread, in: workspace)
        let rows = absorbed.shape[0] / groups
        var collected = Tensor(uninitialized: absorbed.shape)
        var logSumExp = Tensor(uninitialized: [absorbed.shape[0]])
        for prompt in 0..<groups {
            TokenImageAttentionKernel.forwardTokenToImage(
                queries: absorbed, image: images[prompt], position: position, rows: prompt * rows..<(prompt + 1) * rows,
                into: &collected, logSumExp: &logSumExp, in: workspace)
        }
        let attended = HeadKernel.gather(value(collected, in: workspace), groups: groups, heads: heads)
        let y = output(attended, residual: residual, in: workspace)
        return (y, TokenToImageResiduals(absorbed: absorbed, collected: collected, logSumExp: logSumExp))
    }

    /// The gradient of q; those of the images are added to `dImages`, one tensor for all prompts or one each.
    func tokenToImageBackward(
        _ dY: Tensor, _ saved: TokenToImageResiduals, _ images: PromptImages, position: Tensor, groups: Int,
        addingTo dImages: inout [Tensor], in workspace: Workspace
    ) -> Tensor {
        let dAttended = output.backwardInput(dY, in: workspace)
        let dSpreadValue = HeadKernel.spread(dAttended, groups: groups, heads: heads)
        let dCollected = value.backwardInput(dSpreadValue, in: workspace)
        var dAbsorbed = Tensor(uninitialized: saved.absorbed.shape)
        let rows = dAbsorbed.shape[0] / groups
        for prompt in 0..<groups {
            TokenImageAttentionKernel.backwardTokenToImage(
                dOutput: dCollected, output: saved.collected, logSumExp: saved.logSumExp, queries: saved.absorbed,
                image: images[prompt], position: position, rows: prompt * rows..<(prompt + 1) * rows,
                dQueries: &dAbsorbed, addingTo: &dImages[dImages.count == 1 ? 0 : prompt], in: workspace)
        }
        let dSpread = Linear(weight: key.weight, bias: nil)(dAbsorbed, in: workspace)
        let dProjected = HeadKernel.gather(dSpread, groups: groups, heads: heads, factor: scale)
        return query.backwardInput(dProjected, in: workspace)
    }

    /// What backward of `imageToToken` needs beside the images: 2 R C + R floats per prompt.
    struct ImageToTokenOperands: Sendable {
        let keys: Tensor  // [n R, C]
        let keyBias: Tensor  // [n R]
        let values: Tensor  // [n R, C]
    }

    /// Moves the image's projections to the tokens' keys and values. // [n t, C] each
    func imageToTokenOperands(_ k: Tensor, _ v: Tensor, groups: Int, in workspace: Workspace) -> ImageToTokenOperands {
        let spreadKey = HeadKernel.spread(key(k, in: workspace), groups: groups, heads: heads, factor: scale)
        let spreadValue = HeadKernel.spread(value(v, in: workspace), groups: groups, heads: heads)
        let bias = queryBiasRow(spreadKey, in: workspace)
        return ImageToTokenOperands(
            keys: query.backwardInput(spreadKey, in: workspace), keyBias: bias,
            values: Linear(weight: output.weight, bias: nil)(spreadValue, in: workspace))
    }

    /// x + what the positions of one prompt's image take from its tokens. // [T, C] -> [T, C]
    func imageToToken(
        _ image: Tensor, position: Tensor, _ operands: ImageToTokenOperands, prompt: Int, groups: Int,
        in workspace: Workspace
    ) -> Tensor {
        let rows = operands.keys.shape[0] / groups
        var y = Tensor(uninitialized: image.shape)
        TokenImageAttentionKernel.forwardImageToToken(
            keys: operands.keys, keyBias: operands.keyBias, values: operands.values,
            valueBias: output.bias ?? Tensor(zeros: [output.outputs]), image: image, position: position,
            rows: prompt * rows..<(prompt + 1) * rows, heads: heads, into: &y, in: workspace)
        return y
    }

    /// Turns the gradient of one prompt's result into that of its image and writes the prompt's rows of `dOperands`.
    func imageToTokenBackward(
        _ gradient: inout Tensor, image: Tensor, position: Tensor, _ operands: ImageToTokenOperands, prompt: Int,
        groups: Int, _ dOperands: inout ImageToTokenGradients, in workspace: Workspace
    ) {
        let rows = operands.keys.shape[0] / groups
        TokenImageAttentionKernel.backwardImageToToken(
            &gradient, keys: operands.keys, keyBias: operands.keyBias, values: operands.values, image: image,
            position: position, rows: prompt * rows..<(prompt + 1) * rows, heads: heads, dKeys: &dOperands.keys,
            dKeyBias: &dOperands.keyBias, dValues: &dOperands.values, in: workspace)
    }

    /// Gradients of `ImageToTokenOperands`.
    struct ImageToTokenGradients {
        var keys: Tensor  // [n R, C]
        var keyBias: Tensor  // [n R]
        var values: Tensor  // [n R, C]

        init(like operands: ImageToTokenOperands) {
            keys = Tensor(uninitialized: operands.keys.shape)
            keyBias = Tensor(uninitialized: operands.keyBias.shape)
            values = Tensor(uninitialized: operands.values.shape)
        }
    }

    /// The gradients of the tokens' keys and values. // [n t, C] each
    func imageToTokenBackward(
        _ dOperands: ImageToTokenGradients, groups: Int, in workspace: Workspace
    ) -> (dKey: Tensor, dValue: Tensor) {
        var dSpreadKey = Linear(weight: query.weight, bias: nil)(dOperands.keys, in: workspace)
        if let bias = query.bias {
            Linear(weight: bias.reshaped([1, internalWidth]), bias: nil).backwardInput(
                dOperands.keyBias, addingTo: &dSpreadKey, in: workspace)
        }
        let dSpreadValue = output.backwardInput(dOperands.values, in: workspace)
        let dKey = HeadKernel.gather(dSpreadKey, groups: groups, heads: heads, factor: scale)
        let dValue = HeadKernel.gather(dSpreadValue, groups: groups, heads: heads)
        return (key.backwardInput(dKey, in: workspace), value.backwardInput(dValue, in: workspace))
    }

    /// c: the part of every row's scores that the query's bias gives. // [n R, D] -> [n R]
    private func queryBiasRow(_ spreadKey: Tensor, in workspace: Workspace) -> Tensor {
        guard let bias = query.bias else { return Tensor(zeros: [spreadKey.shape[0]]) }
        let column = Linear(weight: bias.reshaped([1, internalWidth]), bias: nil)(spreadKey, in: workspace)
        return column.reshaped([spreadKey.shape[0]])
    }
}
