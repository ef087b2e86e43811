import Kernels
public import Layers
public import Tensors

// Tokens of a prompt: [IoU token, mask tokens, output tokens of adapters, sparse embeddings, prompt tokens of adapters]; its
// image: embedding + dense embedding. After the two-way transformer the IoU token predicts the quality of every mask,
// and mask token m, through its hypernetwork, the row that maps upscaled pixels to logits. Only requested masks are
// computed. An adapter's output tokens have heads of their own, which read the same upscaled pixels.

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

/// The decoder's own masks to compute.
public enum MaskSelection: Sendable, Equatable {
    /// The one for a clear prompt.
    case single
    /// Those for an ambiguous prompt.
    case multiple
    /// All of them, the single one first.
    case all

    /// Indices of the mask tokens, of `count` in all.
    func range(of count: Int) -> Range<Int> {
        switch self {
        case .single: 0..<1
        case .multiple: 1..<count
        case .all: 0..<count
        }
    }
}

/// The masks of n prompts.
public struct DecodedMasks: Sendable {
    /// Mask logits at four times the embedding's grid. // [n, m, 4 h, 4 w]
    public let logits: Tensor
    /// Predicted IoUs. // [n, m]
    public let iou: Tensor
    /// Mask logits of the adapters' output tokens; nil without any. // [n, k, 4 h, 4 w]
    public let adapterLogits: Tensor?

    /// The mask of each prompt of a pass with one mask per prompt: that of the first adapter with an output token, else
    /// the model's own. // [n, 1, 4 h, 4 w]
    public var answer: Tensor {
        guard let adapterLogits, adapterLogits.shape[1] > 1 else { return adapterLogits ?? logits }
        let (n, side) = (adapterLogits.shape[0], adapterLogits.shape[2])
        let planes = adapterLogits.reshaped([adapterLogits.count / (side * side), side, side])
        let firsts = (0..<n).map { planes.rows($0 * adapterLogits.shape[1]..<$0 * adapterLogits.shape[1] + 1) }
        return Tensor(firsts.flatMap(\.elements), [n, 1, side, side])
    }

    /// The masks to choose from, one for each predicted IoU: the model's own, or where an adapter has an output token, the
    /// adapter's one with the IoU that is predicted for the model's. // [n, m, 4 h, 4 w]
    public var candidates: Tensor {
        guard adapterLogits != nil else { return logits }
        precondition(iou.shape[1] == 1, "an adapter's mask beside \(iou.shape[1]) of the model")
        return answer
    }

    /// The mask of each prompt with the highest predicted IoU, the first of equal ones. // [n, m] -> [n]
    public static func mostTrusted(_ iou: Tensor) -> [Int] {
        let (n, m) = (iou.shape[0], iou.shape[1])
        return (0..<n).map { prompt in
            (0..<m).max { (iou[prompt * m + $0], $1) < (iou[prompt * m + $1], $0) } ?? 0
        }
    }
}

/// Computes mask logits and predicted IoUs from image features and prompt embeddings (upstream: mask_decoder.py).
public struct MaskDecoder: Sendable {
    /// The sizes.
    public let configuration: MaskDecoderConfiguration
    /// All of its parameters.
    public let parameters: [Parameter]
    let transformer: TwoWayTransformer
    let upscaling: MaskUpscaling
    let hypernetworks: [MultilayerPerceptron]
    let iouHead: MultilayerPerceptron
    let iouToken: Parameter  // [1, C]
    let maskTokens: Parameter  // [masks, C]

    /// Requests the tensors below `mask_decoder` from a source.
    public init(_ source: some ParameterSource, configuration: MaskDecoderConfiguration = .init()) {
        let width = configuration.width
        let masks = configuration.multimaskOutputs + 1
        self.configuration = configuration
        transformer = TwoWayTransformer(
            source.scoped("transformer"), depth: configuration.depth, width: width, heads: configuration.heads,
            mlpWidth: configuration.mlpWidth)
        iouToken = source.parameter("iou_token.weight", [1, width])
        maskTokens = source.parameter("mask_tokens.weight", [masks, width])
        upscaling = MaskUpscaling(source.scoped("output_upscaling"), width: width)
        hypernetworks = (0..<masks).map {
            MultilayerPerceptron(
                source.scoped("output_hypernetworks_mlps.\($0)"), widths: [width, width, width, width / 8])
        }
        let hidden = configuration.iouHiddenWidth
        iouHead = MultilayerPerceptron(
            source.scoped("iou_prediction_head"), widths: [width, hidden, hidden, masks])
        parameters =
            transformer.parameters + [iouToken, maskTokens] + upscaling.parameters
            + hypernetworks.flatMap(\.parameters) + iouHead.parameters
    }

    /// Masks of n prompts without residuals.
    ///
    /// - Parameters:
    ///   - features: The encoder's features. // [h * w, C]
    ///   - position: The prompt encoder's dense positional encoding. // [h * w, C]
    ///   - prompts: Embeddings of n prompts.
    public func decode(
        _ features: ImageFeatures, position: Tensor, prompts: PromptEmbeddings, masks selection: MaskSelection,
        in context: PassContext
    ) -> DecodedMasks {
        let n = prompts.count
        context.counter?.decodedPrompts += n
        let wanted = selection.range(of: hypernetworks.count)
        let (tokens, images, _) = transformer.forward(
            self.tokens(prompts, features, in: context), images(features.embedding, prompts, in: context),
            position: position,
            groups: n, keepingResiduals: false, in: context)
        let hyper = wanted.map { hypernetworks[$0].forward(row(1 + $0, of: tokens, n), in: context).0 }
        let made = makeMasks(tokens, images, hyper, features, n, in: context)
        let (qualities, _) = iouHead.forward(row(0, of: tokens, n), in: context)
        return DecodedMasks(
            logits: made.logits, iou: columns(wanted, of: qualities), adapterLogits: made.adapterLogits)
    }

    /// The candidates (m = 3) of those of n prompts that have one with a sufficient predicted IoU; nothing is upscaled
    /// for the others.
    ///
    /// - Parameters:
    ///   - features: The encoder's features. // [h * w, C]
    ///   - position: The prompt encoder's dense positional encoding. // [h * w, C]
    ///   - prompts: Embeddings of n prompts.
    ///   - isWanted: Whether a candidate's predicted IoU is sufficient.
    ///   - body: Receives a prompt's number, its predicted IoUs and its logits, prompt by prompt. // [m], [m, 4 h, 4 w]
    func decodeCandidates(
        _ features: ImageFeatures, position: Tensor, prompts: PromptEmbeddings, isWanted: (Float) -> Bool,
        in context: PassContext, _ body: (_ prompt: Int, _ iou: [Float], _ logits: Tensor) -> Void
    ) {
        let n = prompts.count
        let (tokens, images, _) = transformer.forward(
            self.tokens(prompts, features, in: context), self.images(features.embedding, prompts, in: context),
            position: position, groups: n, keepingResiduals: false, in: context)
        let (qualities, _) = iouHead.forward(row(0, of: tokens, n), in: context)
        let iou = columns(1..<hypernetworks.count, of: qualities)
        let hyper = (1..<hypernetworks.count).map {
            hypernetworks[$0].forward(row(1 + $0, of: tokens, n), in: context).0
        }
        let side = gridSide(features.embedding)
        let products = upscaling.products(in: context)
        for prompt in 0..<n {
            let scores = iou.rows(prompt..<prompt + 1).elements
            // All of a prompt's candidates are upscaled together: the bits equal those of `decode`, and the extra rows
            // are cheap.
            guard scores.contains(where: isWanted) else { continue }
            let pixels = upscaling(images[prompt], products, in: context)
            body(prompt, scores, rasterLogits(pixels, Self.rows(of: prompt, hyper), side: side, in: context))
        }
    }

    /// The masks of all prompts from the transformer's results.
    func makeMasks(
        _ tokens: Tensor, _ images: PromptImages, _ hyper: [Tensor], _ features: ImageFeatures, _ n: Int,
        in context: PassContext
    ) -> (logits: Tensor, adapterLogits: Tensor?) {
        let side = gridSide(features.embedding)
        let products = upscaling.products(in: context)
        var logits = Tensor(uninitialized: [n, hyper.count, 4 * side, 4 * side])
        let outputs = outputRanges(in: context)
        let further = outputs.last?.upperBound ?? 0
        var adapterLogits = further == 0 ? nil : Tensor(uninitialized: [n, further, 4 * side, 4 * side])
        let shared = context.adapters.outputTokens.map { $0.prepare(features, in: context) }
        for prompt in 0..<n {
            let pixels = upscaling(images[prompt], products, in: context)
            Self.put(
                rasterLogits(pixels, Self.rows(of: prompt, hyper), side: side, in: context), atPrompt: prompt, of: n,
                in: &logits)
            guard further > 0, var all = adapterLogits.take() else { continue }
            let parts = zip(context.adapters.outputTokens, zip(outputs, shared)).map { adapter, own in
                SubpixelKernel.raster(
                    adapter.masks(
                        outputRows(own.0, of: tokens, prompt, n), pixels: pixels, shared: own.1, in: context),
                    height: side, width: side)
            }
            Self.put(Self.joined(parts), atPrompt: prompt, of: n, in: &all)
            adapterLogits = all
        }
        return (logits, adapterLogits)
    }

    /// The mask logits of upscaled pixels in raster order. // [16 T, C / 8], [m, C / 8] -> [m, 4 h, 4 w]
    private func rasterLogits(_ pixels: Tensor, _ hyper: Tensor, side: Int, in context: PassContext) -> Tensor {
        SubpixelKernel.raster(
            MaskUpscaling.logits(pixels, hyper: hyper, in: context.workspace), height: side, width: side)
    }

    /// One prompt's rows of several tables. // m x [n, width] -> [m, width]
    static func rows(of prompt: Int, _ tables: [Tensor]) -> Tensor {
        joined(tables.map { $0.rows(prompt..<prompt + 1) })
    }

    /// Concatenates tensors along their rows.
    static func joined(_ parts: [Tensor]) -> Tensor {
        if parts.count == 1 { return parts[0] }
        let rows = parts.reduce(0) { $0 + $1.shape[0] }
        return Tensor(parts.flatMap(\.elements), Shape([rows] + parts[0].shape.dimensions.dropFirst()))
    }

    private static func put(_ part: Tensor, atPrompt prompt: Int, of n: Int, in whole: inout Tensor) {
        let area = whole.count / n
        (whole.mutablePointer + prompt * area).update(from: part.pointer, count: area)
    }

    /// Rows of the output tokens of each adapter, counted from the first one.
    func outputRanges(in context: PassContext) -> [Range<Int>] {
        var next = 0
        return context.adapters.outputTokens.map { adapter in
            let first = next
            next += adapter.tokens(in: context).shape[0]
            return first..<next
        }
    }

    /// One prompt's output tokens of an adapter. // [n t, C] -> [k, C]
    func outputRows(_ range: Range<Int>, of tokens: Tensor, _ prompt: Int, _ n: Int) -> Tensor {
        let first = prompt * (tokens.shape[0] / n) + ownTokens
        return tokens.rows(first + range.lowerBound..<first + range.upperBound)
    }

    /// The IoU token and the mask tokens.
    var ownTokens: Int { 1 + hypernetworks.count }

    /// The IoU token, the mask tokens and those of adapters, with what is added for a task. // [1 + m + k, C]
    private func outputTokens(task: Int, in context: PassContext) -> Tensor {
        var tokens = Self.joined(
            [context.value(of: iouToken), context.value(of: maskTokens)]
                + context.adapters.outputTokens.map { $0.tokens(in: context) })
        for adapter in context.adapters.taskTokens {
            guard let offsets = adapter.offsets(ofTask: task, in: context) else { continue }
            precondition(offsets.shape[0] < tokens.shape[0], "offsets for \(offsets.shape[0]) tokens")
            let (first, added) = (tokens.mutablePointer + configuration.width, offsets.pointer)
            for i in 0..<offsets.count { first[i] += added[i] }
        }
        return tokens
    }

    /// The tokens of n prompts. // [n t, C]
    func tokens(_ prompts: PromptEmbeddings, _ features: ImageFeatures, in context: PassContext) -> Tensor {
        let width = configuration.width
        precondition(prompts.sparse.shape[2] == width, "prompt embeddings of width \(prompts.sparse.shape[2])")
        let before = [outputTokens(task: prompts.task, in: context)]
        let after = context.adapters.promptTokens.map { $0.tokens(for: features, in: context) }
        let own = prompts.sparse.shape[1]
        let perPrompt = (before + after).reduce(own) { $0 + $1.shape[0] }
        var tokens = Tensor(uninitialized: [prompts.count * perPrompt, width])
        var next = tokens.mutablePointer
        for prompt in 0..<prompts.count {
            for part in before {
                next.update(from: part.pointer, count: part.count)
                next += part.count
            }
            next.update(from: prompts.sparse.pointer + prompt * own * width, count: own * width)
            next += own * width
            for part in after {
                next.update(from: part.pointer, count: part.count)
                next += part.count
            }
        }
        return tokens
    }

    /// The image embedding plus the dense embedding: a single image if that is the same for all prompts.
    func images(_ embedding: Tensor, _ prompts: PromptEmbeddings, in context: PassContext) -> PromptImages {
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
                        embedding, dense.rows($0..<$0 + 1).reshaped(embedding.shape), into: &image,
                        in: context.workspace)
                    return image
                })
        }
    }

    /// One token position of every prompt. // [n t, C] -> [n, C]
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
