public import Kernels
public import Tensors

// Decoder and prompts are frozen: the one gradient wanted is that of the image embedding, which is the sum of the prompts'
// images' gradients (the dense embedding is only added). The sum runs in prompt order.

/// A forward pass of the mask decoder over n prompts in single-mask mode, and its way back.
public struct MaskDecoderPass {
    /// Mask logits. // [n, 1, 4 h, 4 w]
    public let logits: Tensor
    /// Predicted IoUs. // [n, 1]
    public let iou: Tensor
    /// The gradient of the image embedding from those of logits and IoUs. // -> [h * w, C]
    ///
    /// Holds the pass's residuals until it is released.
    public let backward: (_ dLogits: Tensor, _ dIoU: Tensor, _ workspace: Workspace) -> Tensor
}

extension MaskDecoder {
    /// Mask logits and predicted IoUs of n prompts in single-mask mode, and their way back to the image embedding.
    ///
    /// Keeps two images of h w C floats per prompt (8 MiB at SAM's sizes) and little else.
    ///
    /// - Parameters:
    ///   - embedding: The image embedding. // [h * w, C]
    ///   - position: The prompt encoder's dense positional encoding. // [h * w, C]
    ///   - prompts: Embeddings of n prompts.
    public func decodeForTraining(
        _ embedding: Tensor, position: Tensor, prompts: PromptEmbeddings, in workspace: Workspace
    ) -> MaskDecoderPass {
        let n = prompts.count
        let (tokens, images, saved) = transformer.forward(
            self.tokens(prompts), self.images(embedding, prompts, in: workspace), position: position, groups: n,
            keepingResiduals: true, in: workspace)
        guard let saved else { preconditionFailure("residuals were asked for") }
        let (hyper, savedHyper) = hypernetworks[0].forward(row(1, of: tokens, n), in: workspace)
        let (qualities, savedQualities) = iouHead.forward(row(0, of: tokens, n), in: workspace)
        let side = gridSide(embedding)
        var logits = Tensor(uninitialized: [n, 1, 4 * side, 4 * side])
        let area = 16 * side * side
        let destination = logits.mutablePointer
        for prompt in 0..<n {
            let mask = upscaling(images[prompt], hyper: hyper.rows(prompt..<prompt + 1), in: workspace)
            let raster = SubpixelKernel.raster(mask, height: side, width: side)
            (destination + prompt * area).update(from: raster.pointer, count: area)
        }
        let residuals = Residuals(
            transformer: saved, images: images, hyper: hyper, hypernetwork: savedHyper, iouHead: savedQualities,
            position: position, side: side, tokens: tokens.shape)
        return MaskDecoderPass(logits: logits, iou: columns(0..<1, of: qualities)) { dLogits, dIoU, workspace in
            backward(dLogits, dIoU, residuals, in: workspace)
        }
    }

    private struct Residuals {
        let transformer: TwoWayTransformer.Residuals
        let images: PromptImages
        let hyper: Tensor  // [n, C / 8]
        let hypernetwork: MultilayerPerceptron.Residuals
        let iouHead: MultilayerPerceptron.Residuals
        let position: Tensor
        let side: Int
        let tokens: Shape
    }

    private func backward(_ dLogits: Tensor, _ dIoU: Tensor, _ saved: Residuals, in workspace: Workspace) -> Tensor {
        let n = saved.hyper.shape[0]
        precondition(dLogits.count == n * 16 * saved.side * saved.side && dIoU.count == n)
        let ordered = SubpixelKernel.positionOrder(dLogits, height: saved.side, width: saved.side)
        var dHyper: [Float] = []
        var dImages: [Tensor] = []
        for prompt in 0..<n {
            let (dImage, dRow) = upscaling.backward(
                ordered.rows(prompt..<prompt + 1), image: saved.images[prompt],
                hyper: saved.hyper.rows(prompt..<prompt + 1), in: workspace)
            dImages.append(dImage)
            dHyper += dRow.elements
        }
        let dMaskToken = hypernetworks[0].backward(
            Tensor(dHyper, saved.hyper.shape), saved.hypernetwork, in: workspace)
        let masks = hypernetworks.count
        let dQualities = Tensor((0..<n * masks).map { $0 % masks == 0 ? dIoU[$0 / masks] : 0 }, [n, masks])
        let dIoUToken = iouHead.backward(dQualities, saved.iouHead, in: workspace)
        var dTokens = Tensor(zeros: saved.tokens)
        put(dIoUToken, asRow: 0, of: &dTokens)
        put(dMaskToken, asRow: 1, of: &dTokens)
        transformer.backward(
            dTokens, &dImages, saved.transformer, position: saved.position, groups: n, in: workspace)
        var dEmbedding = dImages[0]
        for dImage in dImages.dropFirst() { ElementwiseKernel.accumulate(dImage, into: &dEmbedding, in: workspace) }
        return dEmbedding
    }

    /// Writes the same token of every prompt. // [n, C] into [n t, C]
    private func put(_ rows: Tensor, asRow index: Int, of tokens: inout Tensor) {
        let (n, width) = (rows.shape[0], rows.shape[1])
        let perPrompt = tokens.shape[0] / n
        let (source, destination) = (rows.pointer, tokens.mutablePointer)
        for prompt in 0..<n {
            (destination + (prompt * perPrompt + index) * width).update(from: source + prompt * width, count: width)
        }
    }
}
