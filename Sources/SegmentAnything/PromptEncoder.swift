import Foundation
public import Kernels
public import Layers
public import Tensors

// Fourier code of a point (x, y) of the unit square, with the fixed matrix G [2, C / 2] of the weight file (Tancik et al.
// 2020):  u = 2 pi ((2 x - 1) G_0 + (2 y - 1) G_1),  code = [sin u | cos u].
// Points and corners get half a pixel added; each kind adds its own learnt vector. Points without a box are followed by one
// padding point per prompt (upstream: prompt_encoder.py).
//
// Mask prompts: two convolutions 2 x 2 of stride 2 (1 -> 4 -> 16 channels, LayerNorm2d and GELU after each) and one 1 x 1.
// On pixels in position order (see SubpixelKernel) both are products.

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

/// Turns boxes, points and masks into the embeddings that the mask decoder takes.
public struct PromptEncoder: Sendable {
    /// The sizes.
    public let configuration: PromptEncoderConfiguration
    /// The code of every position of the image embedding's grid. // [h * w, C]
    public let densePositionalEncoding: Tensor
    private let frequencies: Tensor  // [2, C / 2]
    /// Of background, foreground, first corner, second corner.
    private let kinds: [Tensor]  // [C] each
    private let notAPoint: Tensor  // [C]
    private let noMask: Tensor  // [C]
    private let maskDownscaling: MaskDownscaling

    /// Asks a source for the tensors below `prompt_encoder`.
    public init(_ source: some ParameterSource, configuration: PromptEncoderConfiguration = .init()) {
        let width = configuration.width
        self.configuration = configuration
        frequencies = source.tensor("pe_layer.positional_encoding_gaussian_matrix", [2, width / 2])
        kinds = (0..<4).map { source.tensor("point_embeddings.\($0).weight", [1, width]).reshaped([width]) }
        notAPoint = source.tensor("not_a_point_embed.weight", [1, width]).reshaped([width])
        maskDownscaling = MaskDownscaling(
            source.scoped("mask_downscaling"), channels: configuration.maskChannels, width: width)
        noMask = source.tensor("no_mask_embed.weight", [1, width]).reshaped([width])
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
    /// Throws `SegmentAnythingError` of kind `size` where mask prompts are not four times as wide as the embedding's grid.
    public func encode(_ prompts: PromptBatch, in workspace: Workspace) throws(SegmentAnythingError) -> PromptEmbeddings
    {
        let side = 4 * configuration.embeddingSide
        if let masks = prompts.masks, masks.shape[1] != side {
            throw SegmentAnythingError(
                .size, "mask prompts of side \(masks.shape[1]) for a model that takes \(side); resize them")
        }
        let dense = prompts.masks.map {
            PromptEmbeddings.Dense.perPrompt(
                maskDownscaling($0, side: configuration.embeddingSide, in: workspace))
        }
        return PromptEmbeddings(sparse: sparse(prompts), dense: dense ?? .shared(noMask))
    }

    private func sparse(_ prompts: PromptBatch) -> Tensor {
        let width = configuration.width
        let points = prompts.points?.shape[1] ?? 0
        let padding = prompts.points != nil && prompts.boxes == nil ? 1 : 0
        let tokens = points + padding + (prompts.boxes == nil ? 0 : 2)
        var sparse = Tensor(uninitialized: [prompts.count, tokens, width])
        let destination = sparse.mutablePointer
        for prompt in 0..<prompts.count {
            var token = destination + prompt * tokens * width
            for point in 0..<points {
                let index = prompt * points + point
                encodePoint(prompts.points, at: 2 * index, prompts.labels[index], into: token)
                token += width
            }
            for _ in 0..<padding {
                encodePoint(nil, at: 0, .padding, into: token)
                token += width
            }
            if let boxes = prompts.boxes {
                for corner in 0..<2 {
                    encode(boxes, at: 4 * prompt + 2 * corner, kinds[2 + corner], into: token)
                    token += width
                }
            }
        }
        return sparse
    }

    private func encodePoint(
        _ coordinates: Tensor?, at index: Int, _ label: PointLabel, into token: UnsafeMutablePointer<Float>
    ) {
        guard label != .padding, let coordinates else {
            token.update(from: notAPoint.pointer, count: configuration.width)
            return
        }
        encode(coordinates, at: index, kinds[label.rawValue], into: token)
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

/// The dense embedding of mask prompts.
private struct MaskDownscaling: Sendable {
    let first: Linear  // [c / 4, 4]
    let firstNorm: LayerNorm
    let second: Linear  // [c, 4 c / 4]
    let secondNorm: LayerNorm
    let last: Linear  // [C, c]

    init(_ source: some ParameterSource, channels: Int, width: Int) {
        first = Self.convolution(source.scoped("0"), from: 1, to: channels / 4)
        firstNorm = LayerNorm(source.scoped("1"), width: channels / 4, epsilon: 1e-6)
        second = Self.convolution(source.scoped("3"), from: channels / 4, to: channels)
        secondNorm = LayerNorm(source.scoped("4"), width: channels, epsilon: 1e-6)
        let weight = source.tensor("6.weight", [width, channels, 1, 1])
        last = Linear(weight: weight.reshaped([width, channels]), bias: source.tensor("6.bias", [width]))
    }

    /// Reorders a convolution's weight [out, in, a, b] into that of a product over (a, b, in).
    static func convolution(_ source: some ParameterSource, from inputs: Int, to outputs: Int) -> Linear {
        let weight = source.derived("product", [outputs, 4 * inputs]) {
            let stored = source.tensor("weight", [outputs, inputs, 2, 2])
            var weight = Tensor(uninitialized: [outputs, 4 * inputs])
            let (from, to) = (stored.pointer, weight.mutablePointer)
            for output in 0..<outputs {
                for input in 0..<inputs {
                    for part in 0..<4 {
                        to[(output * 4 + part) * inputs + input] = from[(output * inputs + input) * 4 + part]
                    }
                }
            }
            return weight
        }
        return Linear(weight: weight, bias: source.tensor("bias", [outputs]))
    }

    /// // [n, 4 h, 4 w] -> [n, h * w, C]
    func callAsFunction(_ masks: Tensor, side: Int, in workspace: Workspace) -> Tensor {
        let ordered = SubpixelKernel.positionOrder(masks, height: side, width: side)
        let halved = activate(first(ordered, in: workspace), firstNorm, in: workspace)
        let quartered = activate(second(halved, in: workspace), secondNorm, in: workspace)
        return last(quartered, in: workspace).reshaped([masks.shape[0], side * side, last.outputs])
    }

    private func activate(_ x: Tensor, _ norm: LayerNorm, in workspace: Workspace) -> Tensor {
        let normal = norm(x, in: workspace)
        var y = Tensor(uninitialized: normal.shape)
        GELUKernel.forward(normal, into: &y, in: workspace)
        return y
    }
}
