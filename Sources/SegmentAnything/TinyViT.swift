import Kernels
public import Layers
public import Tensors

/// The image encoder of MobileSAM and LiteMedSAM (Wu et al., ECCV 2022; Zhang et al. 2023; `TinyViT` in
/// tiny_vit_sam.py).
///
/// Adapters act in stages 1 to 3, so the stem is the patch embedding, stage 0 and the merging into stage 1, and backward
/// ends at the lowest block of stage 1.
public struct TinyViT: ImageEncoder {
    /// The sizes.
    public let configuration: TinyViTConfiguration

    let patchEmbedding: TinyViTPatchEmbedding
    let bottlenecks: [TinyViTInvertedBottleneck]
    /// From the tokens of stage 0 to those of stage 1.
    let firstMerging: TinyViTPatchMerging
    private let stack: BlockStack

    /// Requests the tensors below `image_encoder` from a source.
    public init(_ source: some ParameterSource, _ configuration: TinyViTConfiguration) {
        self.configuration = configuration
        let encoder = FrozenSource(source.scoped("image_encoder"))
        let (widths, sides) = (configuration.widths, configuration.gridSides)
        patchEmbedding = TinyViTPatchEmbedding(encoder, configuration)
        bottlenecks = (0..<configuration.depths[0]).map {
            TinyViTInvertedBottleneck(
                encoder.scoped("layers.0.blocks.\($0)"), width: widths[0], expansion: configuration.expansion,
                side: sides[0])
        }
        func merging(into stage: Int) -> TinyViTPatchMerging {
            TinyViTPatchMerging(
                encoder.scoped("layers.\(stage - 1).downsample"), in: widths[stage - 1], out: widths[stage],
                stride: configuration.mergingStrides[stage - 1], side: sides[stage - 1])
        }
        firstMerging = merging(into: 1)
        var index = 0
        let stages = (1..<4).map { stage in
            let blocks = (0..<configuration.depths[stage]).map { block in
                let name = "layers.\(stage).blocks.\(block)"
                defer { index += 1 }
                return EncoderBlock(
                    tinyViT: encoder.scoped(name),
                    site: BlockSite(
                        index: index, name: "image_encoder." + name, width: widths[stage], side: sides[stage]),
                    heads: configuration.heads[stage], window: configuration.windows[stage],
                    feedForwardRatio: configuration.feedForwardRatio)
            }
            return BlockStack.Stage(merging: stage == 1 ? nil : merging(into: stage), blocks: blocks)
        }
        stack = BlockStack(
            stages: stages, neck: EncoderNeck(encoder, inputs: widths[3], outputs: configuration.embeddingWidth))
    }

    /// Side S of the square input, pixels.
    public var imageSize: Int { configuration.imageSize }
    /// Side of the embedding's grid: 64 in both published models.
    public var embeddingSide: Int { configuration.gridSides[3] }
    /// Channels of the embedding.
    public var embeddingWidth: Int { configuration.embeddingWidth }
    /// The qkv projections of stages 1 to 3.
    public var projectionSites: [ProjectionSite] { stack.projectionSites }
    /// The blocks of stages 1 to 3.
    public var blockSites: [BlockSite] { stack.blockSites }

    /// Never: the gradients of its convolutions' weights and of its folded norms are not built.
    public var canTrain: Bool { false }

    /// The tokens of stage 1: patch embedding, stage 0 and the merging after it. // [S, S, 3] -> [T, C1]
    public func stem(_ image: Tensor, in context: PassContext) -> EncoderStem {
        precondition(image.shape == [imageSize, imageSize, 3], "an image of \(imageSize) pixels, not \(image.shape)")
        context.counter?.stems += 1
        var x = patchEmbedding(image, in: context)
        for bottleneck in bottlenecks { x = bottleneck(x, in: context) }
        return EncoderStem(image: image, tokens: firstMerging(x, in: context))
    }

    /// The features without residuals. // [T, C1] -> [h * w, C]
    public func encode(_ stem: EncoderStem, _ request: EncoderRequest, in context: PassContext) -> ImageFeatures {
        stack.encode(stem, request, in: context)
    }

    /// The features with their backward pass. // [T, C1] -> [h * w, C]
    public func encodeForTraining(
        _ stem: EncoderStem, _ request: EncoderRequest, in context: PassContext
    ) -> EncoderPass {
        stack.encodeForTraining(stem, request, in: context)
    }

    /// Always throws: between its blocks TinyViT mixes neighbours by convolutions, which tokens outside the grid lack.
    public func encodeTokens(
        _ tokens: Tensor, _ stem: EncoderStem, in context: PassContext
    ) throws(SegmentAnythingError) -> Tensor {
        throw Self.tokensUnsupported
    }

    /// Always throws, as `encodeTokens` does.
    public func encodeTokensForTraining(
        _ tokens: Tensor, _ stem: EncoderStem, in context: PassContext
    ) throws(SegmentAnythingError) -> TokenPass {
        throw Self.tokensUnsupported
    }

    private static let tokensUnsupported = SegmentAnythingError(
        .unsupported,
        "TinyViT cannot process tokens beside the image's; read the mean of its features instead, or use a model with a "
            + "plain ViT (vit_b)")
}
