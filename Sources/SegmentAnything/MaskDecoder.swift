public import Kernels
public import Layers
public import Tensors

// Tokens of a prompt: [IoU token, mask tokens, sparse embeddings]; its image: embedding + dense embedding. After the
// two-way transformer the IoU token gives the quality of every mask, and mask token m, through its hypernetwork, the row
// that turns upscaled pixels into logits. Only the masks asked for are made: the first one (single), or the others (multi).

/// Sizes of a mask decoder.
public struct MaskDecoderConfiguration: Sendable, Equatable {
    /// Width C of tokens and image embedding.
    public var width: Int
    /// Attention heads.
    public var heads: Int
    /// Hidden width of the transformer's MLPs.
    public var mlpWidth: Int
    /// Hidden width of the IoU head.
    public var iouHiddenWidth: Int
    /// Layers of the two-way transformer.
    public var depth: Int
    /// Masks for an ambiguous prompt, beside the one for a clear prompt.
    public var multimaskOutputs: Int

    /// Sizes of a mask decoder; the defaults are SAM's.
    public init(
        width: Int = 256, heads: Int = 8, mlpWidth: Int = 2048, iouHiddenWidth: Int = 256, depth: Int = 2,
        multimaskOutputs: Int = 3
    ) {
        (self.width, self.heads, self.mlpWidth) = (width, heads, mlpWidth)
        (self.iouHiddenWidth, self.depth, self.multimaskOutputs) = (iouHiddenWidth, depth, multimaskOutputs)
    }
}

/// Turns an image embedding and prompt embeddings into mask logits and predicted IoUs (upstream: mask_decoder.py).
public struct MaskDecoder: Sendable {
    /// The sizes.
    public let configuration: MaskDecoderConfiguration
    let transformer: TwoWayTransformer
    let upscaling: MaskUpscaling
    let hypernetworks: [MultilayerPerceptron]
    let iouHead: MultilayerPerceptron
    private let outputTokens: Tensor  // [1 + masks, C]

    /// Asks a source for the tensors below `mask_decoder`.
    public init(_ source: some ParameterSource, configuration: MaskDecoderConfiguration = .init()) {
        let width = configuration.width
        let masks = configuration.multimaskOutputs + 1
        self.configuration = configuration
        transformer = TwoWayTransformer(
            source.scoped("transformer"), depth: configuration.depth, width: width, heads: configuration.heads,
            mlpWidth: configuration.mlpWidth)
        outputTokens = source.derived("output_tokens", [1 + masks, width]) {
            let iouToken = source.tensor("iou_token.weight", [1, width])
            let maskTokens = source.tensor("mask_tokens.weight", [masks, width])
            return Tensor(iouToken.elements + maskTokens.elements, [1 + masks, width])
        }
        upscaling = MaskUpscaling(source.scoped("output_upscaling"), width: width)
        hypernetworks = (0..<masks).map {
            MultilayerPerceptron(
                source.scoped("output_hypernetworks_mlps.\($0)"), widths: [width, width, width, width / 8])
        }
        let hidden = configuration.iouHiddenWidth
        iouHead = MultilayerPerceptron(
            source.scoped("iou_prediction_head"), widths: [width, hidden, hidden, masks])
    }

    /// Mask logits and predicted IoUs of n prompts, with nothing kept.
    ///
    /// - Parameters:
    ///   - embedding: The image embedding. // [h * w, C]
    ///   - position: The prompt encoder's dense positional encoding. // [h * w, C]
    ///   - prompts: Embeddings of n prompts.
    ///   - multimask: The masks for ambiguous prompts (m = 3) instead of the single one (m = 1).
    /// - Returns: Logits at four times the embedding's grid and IoUs. // [n, m, 4 h, 4 w], [n, m]
    public func decode(
        _ embedding: Tensor, position: Tensor, prompts: PromptEmbeddings, multimask: Bool, in workspace: Workspace
    ) -> (logits: Tensor, iou: Tensor) {
        let n = prompts.count
        let wanted = multimask ? 1..<hypernetworks.count : 0..<1
        let (tokens, images, _) = transformer.forward(
            self.tokens(prompts), images(embedding, prompts, in: workspace), position: position, groups: n,
            keepingResiduals: false, in: workspace)
        let hyper = wanted.map { hypernetworks[$0].forward(row(1 + $0, of: tokens, n), in: workspace).0 }
        let side = gridSide(embedding)
        var logits = Tensor(uninitialized: [n, wanted.count, 4 * side, 4 * side])
        let area = wanted.count * 16 * side * side
        let destination = logits.mutablePointer
        for prompt in 0..<n {
            let raster = maskLogits(prompt, images[prompt], hyper, side: side, in: workspace)
            (destination + prompt * area).update(from: raster.pointer, count: area)
        }
        let (qualities, _) = iouHead.forward(row(0, of: tokens, n), in: workspace)
        return (logits, columns(wanted, of: qualities))
    }

    /// The candidates (m = 3) of those of n prompts that have one with a high enough predicted IoU; nothing is upscaled for
    /// the others.
    ///
    /// - Parameters:
    ///   - embedding: The image embedding. // [h * w, C]
    ///   - position: The prompt encoder's dense positional encoding. // [h * w, C]
    ///   - prompts: Embeddings of n prompts.
    ///   - isWanted: What a candidate's predicted IoU must be.
    ///   - body: Gets a prompt's number, its predicted IoUs and its logits, prompt by prompt. // [m], [m, 4 h, 4 w]
    func decodeCandidates(
        _ embedding: Tensor, position: Tensor, prompts: PromptEmbeddings, isWanted: (Float) -> Bool,
        in workspace: Workspace, _ body: (_ prompt: Int, _ iou: [Float], _ logits: Tensor) -> Void
    ) {
        let n = prompts.count
        let (tokens, images, _) = transformer.forward(
            self.tokens(prompts), images(embedding, prompts, in: workspace), position: position, groups: n,
            keepingResiduals: false, in: workspace)
        let (qualities, _) = iouHead.forward(row(0, of: tokens, n), in: workspace)
        let iou = columns(1..<hypernetworks.count, of: qualities)
        let hyper = (1..<hypernetworks.count).map {
            hypernetworks[$0].forward(row(1 + $0, of: tokens, n), in: workspace).0
        }
        let side = gridSide(embedding)
        for prompt in 0..<n {
            let scores = iou.rows(prompt..<prompt + 1).elements
            // All of a prompt's candidates are upscaled together: the bits are those of `decode`, and the rows cost little.
            guard scores.contains(where: isWanted) else { continue }
            body(prompt, scores, maskLogits(prompt, images[prompt], hyper, side: side, in: workspace))
        }
    }

    /// The mask logits of one prompt. // [m, 4 h, 4 w]
    private func maskLogits(
        _ prompt: Int, _ image: Tensor, _ hyper: [Tensor], side: Int, in workspace: Workspace
    ) -> Tensor {
        let rows = Tensor(hyper.flatMap { $0.rows(prompt..<prompt + 1).elements }, [hyper.count, hyper[0].shape[1]])
        let raster = SubpixelKernel.raster(
            upscaling(image, hyper: rows, in: workspace), height: side, width: side)
        return raster.reshaped([hyper.count, 4 * side, 4 * side])
    }

    /// The tokens of n prompts. // [n t, C]
    func tokens(_ prompts: PromptEmbeddings) -> Tensor {
        let width = configuration.width
        let (first, rest) = (outputTokens.shape[0], prompts.sparse.shape[1])
        precondition(prompts.sparse.shape[2] == width, "prompt embeddings of width \(prompts.sparse.shape[2])")
        var tokens = Tensor(uninitialized: [prompts.count * (first + rest), width])
        let destination = tokens.mutablePointer
        for prompt in 0..<prompts.count {
            let start = destination + prompt * (first + rest) * width
            start.update(from: outputTokens.pointer, count: first * width)
            (start + first * width).update(
                from: prompts.sparse.pointer + prompt * rest * width, count: rest * width)
        }
        return tokens
    }

    /// The image embedding plus the dense embedding: one image when that is the same for all prompts.
    func images(_ embedding: Tensor, _ prompts: PromptEmbeddings, in workspace: Workspace) -> PromptImages {
        switch prompts.dense {
        case .shared(let vector):
            let positions = embedding.count / vector.count
            var image = embedding
            let (destination, added) = (image.mutablePointer, vector.pointer)
            for position in 0..<positions {
                for i in 0..<vector.count { destination[position * vector.count + i] += added[i] }
            }
            return PromptImages(tensors: [image])
        case .perPrompt(let dense):
            return PromptImages(
                tensors: (0..<prompts.count).map {
                    var image = Tensor(uninitialized: embedding.shape)
                    ElementwiseKernel.add(
                        embedding, dense.rows($0..<$0 + 1).reshaped(embedding.shape), into: &image, in: workspace)
                    return image
                })
        }
    }

    /// The same token of every prompt. // [n t, C] -> [n, C]
    func row(_ index: Int, of tokens: Tensor, _ n: Int) -> Tensor {
        let (perPrompt, width) = (tokens.shape[0] / n, tokens.shape[1])
        var rows = Tensor(uninitialized: [n, width])
        let (source, destination) = (tokens.pointer, rows.mutablePointer)
        for prompt in 0..<n {
            (destination + prompt * width).update(from: source + (prompt * perPrompt + index) * width, count: width)
        }
        return rows
    }

    /// Some columns of a table. // [n, masks] -> [n, m]
    func columns(_ range: Range<Int>, of table: Tensor) -> Tensor {
        let (n, width) = (table.shape[0], table.shape[1])
        return Tensor((0..<n).flatMap { row in range.map { table[row * width + $0] } }, [n, range.count])
    }

    /// Side of the square grid of an embedding.
    func gridSide(_ embedding: Tensor) -> Int {
        let positions = embedding.count / configuration.width
        let side = Int(Double(positions).squareRoot().rounded())
        precondition(side * side == positions, "an embedding of \(positions) positions is not square")
        return side
    }
}
