import Foundation
import Kernels
public import Layers
import Machine
public import Tensors

// Fourier code of a point (x, y) of the unit square, with the fixed matrix G [2, C / 2] of the weight file (Tancik et al.
// 2020):  u = 2 pi ((2 x - 1) G_0 + (2 y - 1) G_1),  code = [sin u | cos u].
// Half a pixel is added to points and corners; each kind adds its own learnt vector. Points without a box are followed
// by one padding point per prompt (upstream: prompt_encoder.py).
//
// Mask prompts: two convolutions 2 x 2 of stride 2 (1 -> 4 -> 16 channels, LayerNorm2d and GELU after each) and one 1 x 1.
// On pixels in position order (see SubpixelKernel) both are products.
//
// Backward: a token's gradient is that of its kind's vector, summed over tokens in their order; the matrix G, the
// coordinates and the mask prompts have no gradient.

/// Sizes of a prompt encoder.
public struct PromptEncoderConfiguration: Sendable, Equatable {
    /// Width C of the embeddings: 256 in every published model.
    public var width: Int
    /// Side S of the model's square input, pixels.
    public var imageSize: Int
    /// Side of the image embedding's grid.
    public var embeddingSide: Int
    /// Channels between the convolutions of mask prompts.
    public var maskChannels: Int

    /// Sizes of a prompt encoder; the defaults are SAM's.
    public init(width: Int = 256, imageSize: Int = 1024, embeddingSide: Int = 64, maskChannels: Int = 16) {
        (self.width, self.imageSize, self.embeddingSide) = (width, imageSize, embeddingSide)
        self.maskChannels = maskChannels
    }
}

/// Computes the mask decoder's embeddings of boxes, points and masks.
public struct PromptEncoder: Sendable {
    /// The sizes.
    public let configuration: PromptEncoderConfiguration
    /// The code of every position of the image embedding's grid. // [h * w, C]
    public let densePositionalEncoding: Tensor
    private let frequencies: Tensor  // [2, C / 2]
    /// Vectors of background, foreground, first corner, second corner.
    let kinds: [Parameter]  // [C] each
    let notAPoint: Parameter  // [C]
    let noMask: Parameter  // [C]
    /// All of its parameters.
    public let parameters: [Parameter]
    let maskDownscaling: MaskDownscaling

    /// Requests the tensors below `prompt_encoder` from a source.
    public init(_ source: some ParameterSource, configuration: PromptEncoderConfiguration = .init()) {
        let width = configuration.width
        self.configuration = configuration
        frequencies = source.tensor("pe_layer.positional_encoding_gaussian_matrix", [2, width / 2])
        kinds = (0..<4).map { source.parameter("point_embeddings.\($0).weight", [1, width]).reshaped([width]) }
        notAPoint = source.parameter("not_a_point_embed.weight", [1, width]).reshaped([width])
        maskDownscaling = MaskDownscaling(
            source.scoped("mask_downscaling"), channels: configuration.maskChannels, width: width)
        noMask = source.parameter("no_mask_embed.weight", [1, width]).reshaped([width])
        parameters = kinds + [notAPoint, noMask] + maskDownscaling.parameters
        let (side, frequencies) = (configuration.embeddingSide, frequencies)
        densePositionalEncoding = source.derived("dense_positional_encoding", [side * side, width]) {
            Self.grid(side: side, frequencies)
        }
    }

    /// The codes of the centres of a square grid's cells. // [h * w, C]
    private static func grid(side: Int, _ frequencies: Tensor) -> Tensor {
        let width = frequencies.count
        var codes = Tensor(uninitialized: [side * side, width])
        let destination = codes.mutablePointer
        for row in 0..<side {
            for column in 0..<side {
                encode(
                    x: (Double(column) + 0.5) / Double(side), y: (Double(row) + 0.5) / Double(side), frequencies,
                    into: destination + (row * side + column) * width)
            }
        }
        return codes
    }

    /// The embeddings of a batch.
    ///
    /// Throws `SegmentAnythingError` of kind `size` if mask prompts are not four times as wide as the embedding's grid.
    public func encode(
        _ prompts: PromptBatch, in context: PassContext
    ) throws(SegmentAnythingError) -> PromptEmbeddings {
        let side = 4 * configuration.embeddingSide
        if let masks = prompts.masks, masks.shape[1] != side {
            throw SegmentAnythingError(
                .size, "mask prompts of side \(masks.shape[1]) for a model that takes \(side); resize them")
        }
        var dense = PromptEmbeddings.Dense.shared(context.value(of: noMask))
        if let masks = prompts.masks {
            dense = .perPrompt(maskDownscaling(masks, side: configuration.embeddingSide, in: context))
        }
        for adapter in context.adapters.densePrompts {
            guard let vector = adapter.vector(of: prompts.task, in: context) else { continue }
            dense = Self.adding(vector, to: dense, in: context.workspace)
        }
        return PromptEmbeddings(sparse: sparse(prompts, in: context), dense: dense, task: prompts.task)
    }

    /// A dense embedding plus a vector at every position. // [C]
    private static func adding(
        _ vector: Tensor, to dense: PromptEmbeddings.Dense, in workspace: Workspace
    ) -> PromptEmbeddings.Dense {
        switch dense {
        case .shared(let shared):
            var sum = Tensor(uninitialized: shared.shape)
            ElementwiseKernel.add(shared.reshaped([shared.count]), vector, into: &sum, in: workspace)
            return .shared(sum)
        case .perPrompt(var images):
            let width = vector.count
            let (rows, added) = (images.mutablePointer, vector.pointer)
            workspace.pool.parallelFor(images.shape[0]) { prompt, _ in
                let positions = images.count / images.shape[0] / width
                for row in prompt * positions..<(prompt + 1) * positions {
                    for i in 0..<width { rows[row * width + i] += added[i] }
                }
            }
            return .perPrompt(images)
        }
    }

    /// A sparse token: its coordinates, if any, and the kind of its vector.
    private struct Token {
        /// Index of its x in the coordinates of its kind of prompt; nil for a token without a position.
        let coordinate: Int?
        /// True for a corner of a box.
        let isCorner: Bool
        /// Index into `kinds`; nil for a token that is not a point.
        let kind: Int?
    }

    /// The tokens of one prompt: its points, a padding point if there is no box, the corners of its box.
    private func tokens(of prompt: Int, in prompts: PromptBatch) -> [Token] {
        let points = prompts.points?.shape[1] ?? 0
        var tokens = (0..<points).map { point -> Token in
            let index = prompt * points + point
            let label = prompts.labels[index]
            return label == .padding
                ? Token(coordinate: nil, isCorner: false, kind: nil)
                : Token(coordinate: 2 * index, isCorner: false, kind: label.rawValue)
        }
        if prompts.boxes != nil {
            tokens += (0..<2).map { Token(coordinate: 4 * prompt + 2 * $0, isCorner: true, kind: 2 + $0) }
        } else if prompts.points != nil {
            tokens.append(Token(coordinate: nil, isCorner: false, kind: nil))
        }
        return tokens
    }

    private func sparse(_ prompts: PromptBatch, in context: PassContext) -> Tensor {
        let width = configuration.width
        let all = (0..<prompts.count).map { tokens(of: $0, in: prompts) }
        let (kinds, notAPoint) = (kinds.map { context.value(of: $0) }, context.value(of: notAPoint))
        var sparse = Tensor(uninitialized: [prompts.count, all[0].count, width])
        var row = sparse.mutablePointer
        for token in all.joined() {
            if let place = token.coordinate, let kind = token.kind,
                let coordinates = token.isCorner ? prompts.boxes : prompts.points
            {
                encode(coordinates, at: place, kinds[kind], into: row)
            } else {
                row.update(from: notAPoint.pointer, count: width)
            }
            row += width
        }
        return sparse
    }

    /// Whether any of its parameters trains in a pass.
    public func trains(in context: PassContext) -> Bool {
        context.trains(any: parameters) || context.adapters.trainsInPrompts
    }

    /// Adds the gradients of the trained parameters, given those of a batch's embeddings.
    public func backward(
        _ dEmbeddings: PromptGradients, _ prompts: PromptBatch, gradients: inout GradientBuffer,
        in context: PassContext
    ) {
        let width = configuration.width
        var sums = [Tensor](repeating: Tensor(zeros: [width]), count: kinds.count + 1)
        let source = dEmbeddings.sparse.pointer
        for (row, token) in (0..<prompts.count).map({ tokens(of: $0, in: prompts) }).joined().enumerated() {
            let sum = sums[token.kind ?? kinds.count].mutablePointer
            for i in 0..<width { sum[i] += source[row * width + i] }
        }
        for (parameter, sum) in zip(kinds + [notAPoint], sums) {
            if let slot = context.slot(of: parameter) { gradients.add(sum, at: slot) }
        }
        backwardTask(dEmbeddings.dense, prompts.task, gradients: &gradients, in: context)
        switch dEmbeddings.dense {
        case .shared(let dVector):
            if let slot = context.slot(of: noMask) { gradients.add(dVector, at: slot) }
        case .perPrompt(let dDense):
            guard let masks = prompts.masks else { return }
            maskDownscaling.backward(
                dDense, masks: masks, side: configuration.embeddingSide, gradients: &gradients, in: context)
        }
    }

    /// Adds the gradients of the vectors that a task adds to dense embeddings.
    private func backwardTask(
        _ dDense: PromptEmbeddings.Dense, _ task: Int, gradients: inout GradientBuffer, in context: PassContext
    ) {
        guard task != 0, !context.adapters.densePrompts.isEmpty else { return }
        var dVector: Tensor
        switch dDense {
        case .shared(let sum): dVector = sum
        case .perPrompt(let dImages):
            dVector = Tensor(zeros: [configuration.width])
            LinearKernel.backwardBias(
                dImages.reshaped([dImages.count / configuration.width, configuration.width]), into: &dVector,
                in: context.workspace)
        }
        for adapter in context.adapters.densePrompts {
            adapter.backward(dVector, ofTask: task, gradients: &gradients, in: context)
        }
    }

    /// The code of the pixel at `index` of a coordinate list, plus the vector of its kind.
    private func encode(
        _ coordinates: Tensor, at index: Int, _ kind: Tensor, into token: UnsafeMutablePointer<Float>
    ) {
        let size = Double(configuration.imageSize)
        Self.encode(
            x: (Double(coordinates[index]) + 0.5) / size, y: (Double(coordinates[index + 1]) + 0.5) / size, frequencies,
            into: token)
        let added = kind.pointer
        for i in 0..<configuration.width { token[i] += added[i] }
    }

    private static func encode(
        x: Double, y: Double, _ frequencies: Tensor, into code: UnsafeMutablePointer<Float>
    ) {
        let half = frequencies.shape[1]
        let matrix = frequencies.pointer
        for i in 0..<half {
            let angle = 2 * Double.pi * ((2 * x - 1) * Double(matrix[i]) + (2 * y - 1) * Double(matrix[half + i]))
            code[i] = Float(sin(angle))
            code[half + i] = Float(cos(angle))
        }
    }
}
