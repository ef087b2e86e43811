import Kernels
public import Layers
public import Tensors

// The image embedding's gradient is the sum over the prompts' images, because the dense embedding is only added; the
// sum is in prompt order. The dense embedding's gradient is that of its prompt's image or, if all prompts share one
// vector, the sum over positions. Trained parameters of decoder and prompts get their gradients on the way.

/// The gradients of the decoder's results.
public struct MaskGradients: Sendable {
    /// // [n, m, 4 h, 4 w]
    public let logits: Tensor
    /// // [n, m]
    public let iou: Tensor
    /// // [n, k, 4 h, 4 w]
    public let adapterLogits: Tensor?

    /// Creates gradients.
    public init(logits: Tensor, iou: Tensor, adapterLogits: Tensor? = nil) {
        (self.logits, self.iou, self.adapterLogits) = (logits, iou, adapterLogits)
    }

    /// Creates gradients from that of the answer of a pass with one mask per prompt.
    ///
    /// - Parameters:
    ///   - dAnswer: Of `candidates`; one mask of each prompt where an adapter answers. // [n, m, 4 h, 4 w]
    ///   - iou: // [n, m]
    public init(answer dAnswer: Tensor, iou: Tensor, of masks: DecodedMasks) {
        guard let further = masks.adapterLogits else {
            self.init(logits: dAnswer, iou: iou)
            return
        }
        var dFurther = Tensor(zeros: further.shape)
        let (n, area) = (further.shape[0], dAnswer.count / dAnswer.shape[0])
        let (source, destination, stride) = (dAnswer.pointer, dFurther.mutablePointer, further.count / n)
        for prompt in 0..<n { (destination + prompt * stride).update(from: source + prompt * area, count: area) }
        self.init(logits: Tensor(zeros: masks.logits.shape), iou: iou, adapterLogits: dFurther)
    }
}

/// The gradients of the decoder's inputs.
public struct DecoderInputGradients: Sendable {
    /// Of the encoder's features.
    public let features: FeatureGradients
    /// Of the prompts' embeddings, if requested.
    public let prompts: PromptGradients?
}

/// The gradients of prompt embeddings.
public struct PromptGradients: Sendable {
    /// // [n, k, C]
    public let sparse: Tensor
    /// In the form of the dense embedding: [C], or an image per prompt. // [n, h * w, C]
    public let dense: PromptEmbeddings.Dense
}

/// A forward pass of the mask decoder over n prompts, with its backward pass in the same context.
public struct MaskDecoderPass {
    /// The results.
    public let masks: DecodedMasks
    /// The gradients of the inputs; adds those of the decoder's trained parameters. Holds the pass's residuals until it
    /// is released.
    public let backward: (_ dMasks: MaskGradients, _ gradients: inout GradientBuffer) -> DecoderInputGradients

    /// Mask logits. // [n, m, 4 h, 4 w]
    public var logits: Tensor { masks.logits }
    /// Predicted IoUs. // [n, m]
    public var iou: Tensor { masks.iou }
}

extension MaskDecoder {
    /// Masks of n prompts, with their backward pass.
    ///
    /// Keeps two images of h w C floats per prompt (8 MiB at SAM's sizes) and little else.
    ///
    /// - Parameters:
    ///   - features: The encoder's features. // [h * w, C]
    ///   - position: The prompt encoder's dense positional encoding. // [h * w, C]
    ///   - prompts: Embeddings of n prompts.
    ///   - promptsWanted: Whether to compute the gradients of the prompts' embeddings.
    public func decodeForTraining(
        _ features: ImageFeatures, position: Tensor, prompts: PromptEmbeddings,
        masks selection: MaskSelection = .single,
        promptsWanted: Bool = false, in context: PassContext
    ) -> MaskDecoderPass {
        let n = prompts.count
        context.counter?.decodedPrompts += n
        let wanted = selection.range(of: hypernetworks.count)
        let (tokens, images, saved) = transformer.forward(
            self.tokens(prompts, features, in: context), self.images(features.embedding, prompts, in: context),
            position: position, groups: n, keepingResiduals: true, in: context)
        guard let saved else { preconditionFailure("residuals were asked for") }
        let heads = wanted.map { hypernetworks[$0].forward(row(1 + $0, of: tokens, n), in: context) }
        let (qualities, savedQualities) = iouHead.forward(row(0, of: tokens, n), in: context)
        let made = makeMasks(tokens, images, heads.map(\.0), features, n, in: context)
        let residuals = Residuals(
            transformer: saved, images: images, features: features, tokens: tokens, hyper: heads.map(\.0),
            hypernetworks: heads.map(\.1), iouHead: savedQualities, position: position, prompts: prompts,
            wanted: wanted, promptsWanted: promptsWanted)
        return MaskDecoderPass(
            masks: DecodedMasks(
                logits: made.logits, iou: columns(wanted, of: qualities), adapterLogits: made.adapterLogits)
        ) { dMasks, gradients in backward(dMasks, residuals, gradients: &gradients, in: context) }
    }

    private struct Residuals {
        let transformer: TwoWayTransformer.Residuals
        let images: PromptImages
        let features: ImageFeatures
        /// After the transformer.
        let tokens: Tensor  // [n t, C]
        /// Of each requested mask.
        let hyper: [Tensor]  // m x [n, C / 8]
        let hypernetworks: [MultilayerPerceptron.Residuals]
        let iouHead: MultilayerPerceptron.Residuals
        let position: Tensor
        let prompts: PromptEmbeddings
        let wanted: Range<Int>
        let promptsWanted: Bool
    }

    private func backward(
        _ dMasks: MaskGradients, _ saved: Residuals, gradients: inout GradientBuffer, in context: PassContext
    ) -> DecoderInputGradients {
        let n = saved.prompts.count
        context.counter?.decodedBackwards += n
        precondition(dMasks.iou.count == n * saved.wanted.count)
        var dFeatures = FeatureGradients(embedding: Tensor(zeros: [0]))
        var dTokens = Tensor(zeros: saved.tokens.shape)
        var dImages = backwardMasks(
            dMasks, saved, &dTokens, &dFeatures, gradients: &gradients, in: context)
        let masks = hypernetworks.count
        let dQualities = Tensor(
            (0..<n * masks).map { index in
                let (prompt, mask) = index.quotientAndRemainder(dividingBy: masks)
                guard saved.wanted.contains(mask) else { return 0 }
                return dMasks.iou[prompt * saved.wanted.count + mask - saved.wanted.lowerBound]
            }, [n, masks])
        put(
            iouHead.backward(dQualities, saved.iouHead, gradients: &gradients, in: context), asRow: 0, of: &dTokens)
        let adapters = context.adapters
        let dInput = transformer.backward(
            dTokens, &dImages, saved.transformer, position: saved.position, groups: n,
            tokensWanted: saved.promptsWanted || context.trains(any: parameters) || !adapters.outputTokens.isEmpty
                || !adapters.promptTokens.isEmpty || !adapters.taskTokens.isEmpty, gradients: &gradients, in: context)
        let dSparse = dInput.map { backwardTokens($0, saved, gradients: &gradients, in: context) }
        var dEmbedding = dImages[0]
        for dImage in dImages.dropFirst() {
            ElementwiseKernel.accumulate(dImage, into: &dEmbedding, in: context.workspace)
        }
        if dFeatures.embedding.count > 0 {
            ElementwiseKernel.accumulate(dFeatures.embedding, into: &dEmbedding, in: context.workspace)
        }
        dFeatures.embedding = dEmbedding
        guard saved.promptsWanted, let dSparse else { return .init(features: dFeatures, prompts: nil) }
        let dense = dDense(dEmbedding, dImages, saved.prompts, in: context)
        return .init(features: dFeatures, prompts: PromptGradients(sparse: dSparse, dense: dense))
    }

    /// From the masks to the images of the prompts and to the tokens after the transformer. // -> n x [T, C]
    private func backwardMasks(
        _ dMasks: MaskGradients, _ saved: Residuals, _ dTokens: inout Tensor, _ dFeatures: inout FeatureGradients,
        gradients: inout GradientBuffer, in context: PassContext
    ) -> [Tensor] {
        let (n, side) = (saved.prompts.count, gridSide(saved.features.embedding))
        let products = upscaling.products(in: context)
        let outputs = outputRanges(in: context)
        let adapters = context.adapters.outputTokens
        let shared = dMasks.adapterLogits == nil ? [] : adapters.map { $0.prepare(saved.features, in: context) }
        var dShared = shared.map { _ in [Tensor]() }
        var dHyper = [[Float]](repeating: [], count: saved.wanted.count)
        var dImages: [Tensor] = []
        for prompt in 0..<n {
            let image = saved.images[prompt]
            let remade = upscaling.remake(image, products, in: context)
            let dLogits = positionOrder(dMasks.logits, prompt, side: side)
            let dRows = MaskUpscaling.backwardHyper(dLogits, pixels: remade.pixels, in: context.workspace)
            var dPixels = MaskUpscaling.backwardPixels(
                dLogits, hyper: Self.rows(of: prompt, saved.hyper), in: context.workspace)
            for mask in dHyper.indices { dHyper[mask] += dRows.rows(mask..<mask + 1).elements }
            if let dAdapters = dMasks.adapterLogits {
                let ordered = positionOrder(dAdapters, prompt, side: side)
                for (index, range) in outputs.enumerated() {
                    let (dOutputs, dPart) = adapters[index].backward(
                        masks: ordered.rows(range), outputs: outputRows(range, of: saved.tokens, prompt, n),
                        pixels: remade.pixels, shared: shared[index], addingTo: &dShared[index],
                        gradients: &gradients, in: context)
                    ElementwiseKernel.accumulate(dPart, into: &dPixels, in: context.workspace)
                    let first = prompt * (dTokens.shape[0] / n) + ownTokens + range.lowerBound
                    (dTokens.mutablePointer + first * configuration.width).update(
                        from: dOutputs.pointer, count: dOutputs.count)
                }
            }
            dImages.append(
                upscaling.backward(&dPixels, image: image, remade, products, gradients: &gradients, in: context))
        }
        for (adapter, gradient) in zip(adapters, dShared) {
            adapter.finish(
                gradient, features: saved.features, addingTo: &dFeatures, gradients: &gradients, in: context)
        }
        for (index, mask) in saved.wanted.enumerated() {
            let dRow = hypernetworks[mask].backward(
                Tensor(dHyper[index], saved.hyper[index].shape), saved.hypernetworks[index], gradients: &gradients,
                in: context)
            put(dRow, asRow: 1 + mask, of: &dTokens)
        }
        return dImages
    }

    /// The gradients of the input tokens: the decoder's own and the adapters' are the same for all prompts, so theirs
    /// are sums in prompt order. Returns those of the sparse embeddings. // [n t, C] -> [n, k, C]
    private func backwardTokens(
        _ dInput: Tensor, _ saved: Residuals, gradients: inout GradientBuffer, in context: PassContext
    ) -> Tensor {
        let (n, width, own) = (saved.prompts.count, configuration.width, saved.prompts.sparse.shape[1])
        let perPrompt = dInput.shape[0] / n
        func sum(_ rows: Range<Int>) -> Tensor {
            var total = Tensor(zeros: [rows.count, width])
            let (source, destination) = (dInput.pointer, total.mutablePointer)
            for prompt in 0..<n {
                let part = source + (prompt * perPrompt + rows.lowerBound) * width
                for i in 0..<rows.count * width { destination[i] += part[i] }
            }
            return total
        }
        if let slot = context.slot(of: iouToken) { gradients.add(sum(0..<1), at: slot) }
        if let slot = context.slot(of: maskTokens) { gradients.add(sum(1..<ownTokens), at: slot) }
        let outputs = outputRanges(in: context)
        for (adapter, range) in zip(context.adapters.outputTokens, outputs) {
            adapter.backward(
                tokens: sum(ownTokens + range.lowerBound..<ownTokens + range.upperBound), gradients: &gradients,
                in: context)
        }
        let sparse = ownTokens + (outputs.last?.upperBound ?? 0)
        for adapter in context.adapters.taskTokens {
            adapter.backward(sum(1..<sparse), ofTask: saved.prompts.task, gradients: &gradients, in: context)
        }
        var next = sparse + own
        for adapter in context.adapters.promptTokens {
            let count = adapter.tokens(for: saved.features, in: context).shape[0]
            adapter.backward(
                sum(next..<next + count), features: saved.features, gradients: &gradients, in: context)
            next += count
        }
        var dSparse = Tensor(uninitialized: [n, own, width])
        let (source, destination) = (dInput.pointer, dSparse.mutablePointer)
        for prompt in 0..<n {
            (destination + prompt * own * width).update(
                from: source + (prompt * perPrompt + sparse) * width, count: own * width)
        }
        return dSparse
    }

    private func dDense(
        _ dEmbedding: Tensor, _ dImages: [Tensor], _ prompts: PromptEmbeddings, in context: PassContext
    ) -> PromptEmbeddings.Dense {
        switch prompts.dense {
        case .shared(let vector):
            var dVector = Tensor(uninitialized: vector.shape)
            LinearKernel.backwardBias(dEmbedding, into: &dVector, in: context.workspace)
            return .shared(dVector)
        case .perPrompt(let dense):
            return .perPrompt(Self.joined(dImages).reshaped(dense.shape))
        }
    }

    /// One prompt's masks in position order. // [n, m, 4 h, 4 w] -> [m, 16 T]
    private func positionOrder(_ logits: Tensor, _ prompt: Int, side: Int) -> Tensor {
        SubpixelKernel.positionOrder(logits.rows(prompt..<prompt + 1), height: side, width: side)
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
