import Kernels
import Layers
import Tensors

// Cross attention between tokens and an image without projecting the image (see TokenImageAttentionKernel): with the
// tokens' projections spread over R = H t rows per prompt and scale = 1 / sqrt(head width),
//   token to image:  a = scale spread(W_q q + b_q) W_k,   out = W_o gather(W_v o + b_v) + b_o
//   image to token:  a = scale spread(W_k k + b_k) W_q,   c = scale spread(W_k k + b_k) b_q,
//                    g = spread(W_v v + b_v) W_o',        b = b_o
// The key's bias cancels in the first softmax: it adds the same to all scores of a row. So does that of the second.
//
// Gradients of the parameters, with S = spread(...) and d for gradients:
//   token to image:  dW_k = S^T da,   dW_v = spread(d attended)^T o,   W_q and W_o as in Linear
//   image to token:  dW_q = S^T da,   db_q = S^T dc,   dW_o = dg^T spread(W_v v + b_v),   db = sum of dX' over positions

/// The images that n prompts attend to: one for all of them, or one each.
struct PromptImages: Sendable {
    /// One tensor, or n. // [T, C] each
    var tensors: [Tensor]

    /// The image of one prompt.
    subscript(prompt: Int) -> Tensor { tensors.count == 1 ? tensors[0] : tensors[prompt] }
}

extension TokenAttention {
    private var scale: Float { 1 / (Float(internalWidth) / Float(heads)).squareRoot() }

    /// What backward of `tokenToImage` needs beside the images: 2 R C + R floats per prompt and little else.
    struct TokenToImageResiduals: Sendable {
        /// W_q q + b_q, spread.
        let spread: Tensor  // [n R, D]
        /// The heads' values side by side.
        let attended: Tensor  // [n t, D]
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
        _ q: Tensor, _ images: PromptImages, position: Tensor, groups: Int, residual: Tensor, in context: PassContext
    ) -> (Tensor, TokenToImageResiduals) {
        let spread = HeadKernel.spread(query(q, in: context), groups: groups, heads: heads, factor: scale)
        let absorbed = key.backwardInput(spread, in: context)
        let rows = absorbed.shape[0] / groups
        var collected = Tensor(uninitialized: absorbed.shape)
        var logSumExp = Tensor(uninitialized: [absorbed.shape[0]])
        for prompt in 0..<groups {
            TokenImageAttentionKernel.forwardTokenToImage(
                queries: absorbed, image: images[prompt], position: position, rows: prompt * rows..<(prompt + 1) * rows,
                into: &collected, logSumExp: &logSumExp, in: context.workspace)
        }
        let attended = HeadKernel.gather(value(collected, in: context), groups: groups, heads: heads)
        let y = output(attended, residual: residual, in: context)
        let saved = TokenToImageResiduals(
            spread: spread, attended: attended, absorbed: absorbed, collected: collected, logSumExp: logSumExp)
        return (y, saved)
    }

    /// The gradient of q; those of the images are added to `dImages`, one tensor for all prompts or one each, and those
    /// of the trained parameters to `gradients`.
    ///
    /// - Parameter q: Recomputes the input; called only if the query's projection trains. // [n t, C]
    func tokenToImageBackward(
        _ dY: Tensor, _ saved: TokenToImageResiduals, q: () -> Tensor, _ images: PromptImages, position: Tensor,
        groups: Int, addingTo dImages: inout [Tensor], gradients: inout GradientBuffer, in context: PassContext
    ) -> Tensor {
        output.backwardParameters(dY, input: saved.attended, gradients: &gradients, in: context)
        let dAttended = output.backwardInput(dY, in: context)
        let dSpreadValue = HeadKernel.spread(dAttended, groups: groups, heads: heads)
        value.backwardParameters(dSpreadValue, input: saved.collected, gradients: &gradients, in: context)
        let dCollected = value.backwardInput(dSpreadValue, in: context)
        var dAbsorbed = Tensor(uninitialized: saved.absorbed.shape)
        let rows = dAbsorbed.shape[0] / groups
        for prompt in 0..<groups {
            TokenImageAttentionKernel.backwardTokenToImage(
                dOutput: dCollected, output: saved.collected, logSumExp: saved.logSumExp, queries: saved.absorbed,
                image: images[prompt], position: position, rows: prompt * rows..<(prompt + 1) * rows,
                dQueries: &dAbsorbed, addingTo: &dImages[dImages.count == 1 ? 0 : prompt],
                in: context.workspace)
        }
        // absorbed = spread W_k: the weight's gradient is that of a Linear whose input is the gradient of `absorbed`.
        key.withoutBias.backwardParameters(saved.spread, input: dAbsorbed, gradients: &gradients, in: context)
        let dSpread = key.matrix(in: context).applied(to: dAbsorbed, in: context.workspace)
        let dProjected = HeadKernel.gather(dSpread, groups: groups, heads: heads, factor: scale)
        if context.trains(any: query.parameters) {
            query.backwardParameters(dProjected, input: q(), gradients: &gradients, in: context)
        }
        return query.backwardInput(dProjected, in: context)
    }

    /// What backward of `imageToToken` needs beside the images: 2 R C + R floats per prompt.
    struct ImageToTokenOperands: Sendable {
        /// W_k k + b_k and W_v v + b_v, spread.
        let spreadKey: Tensor  // [n R, D]
        let spreadValue: Tensor  // [n R, D]
        let keys: Tensor  // [n R, C]
        let keyBias: Tensor  // [n R]
        let values: Tensor  // [n R, C]
    }

    /// Absorbs the image's projections into the tokens' keys and values. // [n t, C] each
    func imageToTokenOperands(_ k: Tensor, _ v: Tensor, groups: Int, in context: PassContext) -> ImageToTokenOperands {
        let spreadKey = HeadKernel.spread(key(k, in: context), groups: groups, heads: heads, factor: scale)
        let spreadValue = HeadKernel.spread(value(v, in: context), groups: groups, heads: heads)
        let bias = queryBiasRow(spreadKey, in: context)
        return ImageToTokenOperands(
            spreadKey: spreadKey, spreadValue: spreadValue, keys: query.backwardInput(spreadKey, in: context),
            keyBias: bias, values: output.matrix(in: context).applied(to: spreadValue, in: context.workspace))
    }

    /// x + the contribution of a prompt's tokens to the positions of its image. // [T, C] -> [T, C]
    func imageToToken(
        _ image: Tensor, position: Tensor, _ operands: ImageToTokenOperands, prompt: Int, groups: Int,
        in context: PassContext
    ) -> Tensor {
        let rows = operands.keys.shape[0] / groups
        var y = Tensor(uninitialized: image.shape)
        TokenImageAttentionKernel.forwardImageToToken(
            keys: operands.keys, keyBias: operands.keyBias, values: operands.values,
            valueBias: output.shift(in: context) ?? Tensor(zeros: [output.outputs]), image: image, position: position,
            rows: prompt * rows..<(prompt + 1) * rows, heads: heads, into: &y, in: context.workspace)
        return y
    }

    /// Turns the gradient of one prompt's result into that of its image and writes the prompt's rows of `dOperands`; adds
    /// that of the value's bias if it trains.
    func imageToTokenBackward(
        _ gradient: inout Tensor, image: Tensor, position: Tensor, _ operands: ImageToTokenOperands, prompt: Int,
        groups: Int, _ dOperands: inout ImageToTokenGradients, gradients: inout GradientBuffer,
        in context: PassContext
    ) {
        if let bias = output.bias, let slot = context.slot(of: bias) {
            var dBias = Tensor(uninitialized: [output.outputs])
            LinearKernel.backwardBias(gradient, into: &dBias, in: context.workspace)
            gradients.add(dBias, at: slot)
        }
        let rows = operands.keys.shape[0] / groups
        TokenImageAttentionKernel.backwardImageToToken(
            &gradient, keys: operands.keys, keyBias: operands.keyBias, values: operands.values, image: image,
            position: position, rows: prompt * rows..<(prompt + 1) * rows, heads: heads, dKeys: &dOperands.keys,
            dKeyBias: &dOperands.keyBias, dValues: &dOperands.values, in: context.workspace)
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

    /// The gradients of the tokens' keys and values; adds those of the trained parameters. // [n t, C] each
    ///
    /// - Parameter tokens: Recomputes the tokens' keys and values; called only if their projections train.
    func imageToTokenBackward(
        _ dOperands: ImageToTokenGradients, _ operands: ImageToTokenOperands, tokens: () -> (k: Tensor, v: Tensor),
        groups: Int, gradients: inout GradientBuffer, in context: PassContext
    ) -> (dKey: Tensor, dValue: Tensor) {
        // keys = spreadKey W_q and values = spreadValue W_o^T: gradients of Linears from either side.
        query.withoutBias.backwardParameters(
            operands.spreadKey, input: dOperands.keys, gradients: &gradients, in: context)
        output.withoutBias.backwardParameters(
            dOperands.values, input: operands.spreadValue, gradients: &gradients, in: context)
        var dSpreadKey = query.matrix(in: context).applied(to: dOperands.keys, in: context.workspace)
        if let bias = query.bias {
            if let slot = context.slot(of: bias) {
                let column = dOperands.keyBias.reshaped([1, dOperands.keyBias.count])
                gradients.add(FrozenMatrix(operands.spreadKey).pulledBack(column, in: context.workspace), at: slot)
            }
            LinearKernel.backwardInput(
                dOperands.keyBias, weight: FrozenMatrix(context.value(of: bias).reshaped([1, internalWidth])),
                into: &dSpreadKey, accumulating: true, in: context.workspace)
        }
        let dSpreadValue = output.backwardInput(dOperands.values, in: context)
        let dKey = HeadKernel.gather(dSpreadKey, groups: groups, heads: heads, factor: scale)
        let dValue = HeadKernel.gather(dSpreadValue, groups: groups, heads: heads)
        if context.trains(any: [key.weight] + value.parameters) {
            let (k, v) = tokens()
            key.withoutBias.backwardParameters(dKey, input: k, gradients: &gradients, in: context)
            value.backwardParameters(dValue, input: v, gradients: &gradients, in: context)
        }
        return (key.backwardInput(dKey, in: context), value.backwardInput(dValue, in: context))
    }

    /// c: the contribution of the query's bias to every row's scores. // [n R, D] -> [n R]
    private func queryBiasRow(_ spreadKey: Tensor, in context: PassContext) -> Tensor {
        guard let bias = query.bias else { return Tensor(zeros: [spreadKey.shape[0]]) }
        let row = FrozenMatrix(context.value(of: bias).reshaped([1, internalWidth]))
        return row.applied(to: spreadKey, in: context.workspace).reshaped([spreadKey.shape[0]])
    }
}
