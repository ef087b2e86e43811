import Kernels
public import Layers
public import Tensors

/// The sizes of a SAM image encoder (segment_anything/build_sam.py).
public struct ImageEncoderViTConfiguration: Sendable, Equatable {
    /// Side of the square input, pixels.
    public var imageSize = 1024
    /// Side of a patch, pixels.
    public var patchSize = 16
    /// Token width D.
    public var width: Int
    /// Blocks.
    public var depth: Int
    /// Attention heads.
    public var heads: Int
    /// Width of the MLP over D.
    public var mlpRatio = 4
    /// Side of an attention window, tokens.
    public var window = 14
    /// Blocks that attend over the whole grid, from 0.
    public var globalBlocks: [Int]
    /// Channels of the embedding.
    public var embeddingWidth = 256
    /// Whether the windowed blocks attend over the whole grid too, with their tables of relative positions resized, as
    /// in CoSAM's released code; no published SAM was trained that way.
    public var isAllGlobal = false

    /// Creates a configuration.
    public init(width: Int, depth: Int, heads: Int, globalBlocks: [Int]) {
        (self.width, self.depth, self.heads, self.globalBlocks) = (width, depth, heads, globalBlocks)
    }

    /// SAM ViT-B: 89.7 million encoder parameters.
    public static let vitB = Self(width: 768, depth: 12, heads: 12, globalBlocks: [2, 5, 8, 11])
    /// SAM ViT-L: 308 million encoder parameters.
    public static let vitL = Self(width: 1024, depth: 24, heads: 16, globalBlocks: [5, 11, 17, 23])
    /// SAM ViT-H: 637 million encoder parameters.
    public static let vitH = Self(width: 1280, depth: 32, heads: 16, globalBlocks: [7, 15, 23, 31])

    /// Side of the token grid.
    public var gridSide: Int { imageSize / patchSize }

    /// Multiply-adds of one forward pass: products, attention and neck, without position tables.
    public var multiplyAdds: Int {
        let tokens = gridSide * gridSide
        let linear = tokens * width * width * (4 + 2 * mlpRatio)
        return stemMultiplyAdds + depth * linear + attentionMultiplyAdds
            + tokens * embeddingWidth * (width + 9 * embeddingWidth)
    }

    /// The stem, below the lowest adapter: the patch embedding, which has no backward.
    public var stemMultiplyAdds: Int { gridSide * gridSide * patchSize * patchSize * 3 * width }

    /// The share of scores and weighted values in all blocks.
    public var attentionMultiplyAdds: Int {
        let tokens = gridSide * gridSide
        let side = (gridSide + window - 1) / window * window
        return (0..<depth).reduce(0) { sum, block in
            let isGlobal = isAllGlobal || globalBlocks.contains(block)
            return sum + 2 * (isGlobal ? tokens * tokens : side * side * window * window) * width
        }
    }
}

/// SAM's plain vision transformer with windowed and global attention (Kirillov et al. 2023; Li et al. 2022).
public struct ImageEncoderViT: ImageEncoder {
    /// The sizes.
    public let configuration: ImageEncoderViTConfiguration
    private let embedding: PatchEmbedding
    private let stack: BlockStack

    /// Requests all tensors under `image_encoder.` from a source, by the names of the official files.
    public init(_ source: some ParameterSource, configuration: ImageEncoderViTConfiguration) {
        self.configuration = configuration
        let scoped = source.scoped("image_encoder")
        // Resized tables cannot be brought back into the order and size of the weight file.
        let encoder: any ParameterSource = configuration.isAllGlobal ? FrozenSource(scoped) : scoped
        let (width, grid) = (configuration.width, configuration.gridSide)
        embedding = PatchEmbedding(encoder, patchSize: configuration.patchSize, width: width, gridSide: grid)
        stack = BlockStack(
            stages: [
                .init(merging: nil, blocks: (0..<configuration.depth).map { Self.block($0, encoder, configuration) })
            ],
            neck: EncoderNeck(encoder, inputs: width, outputs: configuration.embeddingWidth))
    }

    /// Side of the square input, pixels.
    public var imageSize: Int { configuration.imageSize }
    /// Side of the embedding's grid.
    public var embeddingSide: Int { configuration.gridSide }
    /// Channels of the embedding.
    public var embeddingWidth: Int { configuration.embeddingWidth }
    /// The qkv projection of every block.
    public var projectionSites: [ProjectionSite] { stack.projectionSites }
    /// Every block.
    public var blockSites: [BlockSite] { stack.blockSites }
    /// Whether weights of patch embedding, blocks or neck have places among the trained values.
    public var canTrain: Bool { embedding.canTrain || stack.canTrain }

    /// The embedded patches with their positions. // [S, S, 3] -> [h * w, D]
    public func stem(_ image: Tensor, in context: PassContext) -> EncoderStem {
        context.counter?.stems += 1
        return embedding(image, in: context)
    }

    /// The features without residuals. // [h * w, D] -> [h * w, C]
    public func encode(_ stem: EncoderStem, _ request: EncoderRequest, in context: PassContext) -> ImageFeatures {
        stack.encode(stem, request, in: context)
    }

    /// The features with their backward pass. // [h * w, D] -> [h * w, C]
    public func encodeForTraining(
        _ stem: EncoderStem, _ request: EncoderRequest, in context: PassContext
    ) -> EncoderPass {
        guard embedding.canTrain, context.trained != nil else {
            return stack.encodeForTraining(stem, request, in: context)
        }
        return stack.encodeForTraining(stem, request, in: context) { dTokens, gradients in
            embedding.backwardParameters(dTokens, image: stem.image, gradients: &gradients, in: context)
        }
    }

    /// Extra tokens and the image's as one sequence through all blocks: every row attends to every other, without
    /// windows and relative positions, and extra tokens have no position (CoSAM's router and its L2P,
    /// `image_encoder.py`). // [k, D] -> [k, D]
    public func encodeTokens(
        _ tokens: Tensor, _ stem: EncoderStem, in context: PassContext
    ) throws(SegmentAnythingError) -> Tensor {
        stack.encodeTokens(tokens, stem, in: context)
    }

    /// Extra tokens as from `encodeTokens`, with their backward pass. // [k, D]
    public func encodeTokensForTraining(
        _ tokens: Tensor, _ stem: EncoderStem, in context: PassContext
    ) throws(SegmentAnythingError) -> TokenPass {
        stack.encodeTokensForTraining(tokens, stem, in: context)
    }

    private static func block(
        _ index: Int, _ encoder: some ParameterSource, _ configuration: ImageEncoderViTConfiguration
    ) -> EncoderBlock {
        let (width, grid) = (configuration.width, configuration.gridSide)
        let stored = configuration.globalBlocks.contains(index) ? grid : configuration.window
        let isGlobal = configuration.isAllGlobal || stored == grid
        let side = isGlobal ? grid : stored
        let headDimension = width / configuration.heads
        let source = encoder.scoped("blocks.\(index)")
        let attention = WindowedAttention(
            norm: LayerNorm(source.scoped("norm1"), width: width, epsilon: 1e-6),
            qkv: Linear(source.scoped("attn.qkv"), in: width, out: 3 * width),
            projection: Linear(source.scoped("attn.proj"), in: width, out: width),
            geometry: AttentionGeometry(
                heads: configuration.heads, headDimension: headDimension, height: grid, width: grid,
                window: isGlobal ? 0 : configuration.window),
            positions: RelativePositions(
                source.scoped("attn"), stored: stored, side: side, columns: headDimension),
            padding: .afterNorm,
            site: ProjectionSite(
                index: index, name: "image_encoder.blocks.\(index).attn.qkv", inputWidth: width, outputWidth: width))
        let hidden = width * configuration.mlpRatio
        let feedForward = FeedForward(
            norm: LayerNorm(source.scoped("norm2"), width: width, epsilon: 1e-6),
            expand: Linear(source.scoped("mlp.lin1"), in: width, out: hidden),
            contract: Linear(source.scoped("mlp.lin2"), in: hidden, out: width))
        let site = BlockSite(index: index, name: "image_encoder.blocks.\(index)", width: width, side: grid)
        return EncoderBlock(site: site, attention: attention, convolution: nil, feedForward: feedForward)
    }
}
