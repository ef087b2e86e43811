/// The sizes of a TinyViT image encoder (Wu et al., ECCV 2022, as modified in MobileSAM).
///
/// Four stages: inverted bottlenecks, then three of windowed attention, with a patch merging between neighbours.
/// MobileSAM and LiteMedSAM differ only in the patch embedding: LiteMedSAM keeps the resolution of its small images.
public struct TinyViTConfiguration: Sendable, Equatable {
    /// The mapping from pixels to the tokens of stage 0.
    public enum PatchEmbedding: Sendable, Equatable {
        /// Two 3x3 convolutions of stride 2: a token per 4x4 pixels (MobileSAM).
        case strided
        /// Two 1x1 convolutions: a token per pixel (LiteMedSAM).
        case pointwise
    }

    /// Side S of the square input, pixels.
    public let imageSize: Int
    /// The mapping from pixels to tokens.
    public let patchEmbedding: PatchEmbedding
    /// Channels of the four stages.
    public let widths: [Int]
    /// Blocks of the four stages.
    public let depths: [Int]
    /// Attention heads of the four stages (the first has none; its entry is ignored).
    public let heads: [Int]
    /// Window sides of the four stages, tokens (the first has none; its entry is ignored).
    public let windows: [Int]
    /// Strides of the three patch mergings: the last has stride 1 in SAM's variant.
    public let mergingStrides: [Int]
    /// Hidden width of an inverted bottleneck over its width.
    public let expansion = 4
    /// Hidden width of a feed-forward over its width.
    public let feedForwardRatio = 4
    /// Channels of the image embedding.
    public let embeddingWidth: Int

    /// Creates a configuration; heads must divide widths.
    public init(
        imageSize: Int, patchEmbedding: PatchEmbedding, widths: [Int] = [64, 128, 160, 320],
        depths: [Int] = [2, 2, 6, 2], heads: [Int] = [2, 4, 5, 10], windows: [Int] = [7, 7, 14, 7],
        mergingStrides: [Int] = [2, 2, 1], embeddingWidth: Int = 256
    ) {
        precondition([widths, depths, heads, windows].allSatisfy { $0.count == 4 } && mergingStrides.count == 3)
        precondition(zip(widths, heads).dropFirst().allSatisfy { $0 % $1 == 0 }, "heads must divide the width")
        precondition(widths[0] % 2 == 0 && depths.allSatisfy { $0 > 0 })
        (self.imageSize, self.patchEmbedding, self.widths, self.depths) = (imageSize, patchEmbedding, widths, depths)
        (self.heads, self.windows, self.mergingStrides) = (heads, windows, mergingStrides)
        self.embeddingWidth = embeddingWidth
    }

    /// MobileSAM: 1024 px, stages on grids of 256, 128, 64 and 64.
    public static let mobileSAM = TinyViTConfiguration(imageSize: 1024, patchEmbedding: .strided)
    /// LiteMedSAM: 256 px, the same stages on the same grids.
    public static let liteMedSAM = TinyViTConfiguration(imageSize: 256, patchEmbedding: .pointwise)

    /// Sides of the four stages' token grids.
    public var gridSides: [Int] {
        let first = patchEmbedding == .pointwise ? imageSize : Self.halved(Self.halved(imageSize))
        return mergingStrides.reduce(into: [first]) { sides, stride in
            sides.append(stride == 2 ? Self.halved(sides[sides.count - 1]) : sides[sides.count - 1])
        }
    }

    /// Side after a 3x3 convolution of stride 2 with padding 1.
    static func halved(_ side: Int) -> Int { (side + 1) / 2 }

    /// Multiply-adds of one forward pass: convolutions, linear layers and attention products (queries inside the image,
    /// keys of the whole window including its padding).
    public var multiplyAdds: Int {
        let sides = gridSides
        let tokens = sides.map { $0 * $0 }
        var total = patchEmbeddingMultiplyAdds
        let hidden = expansion * widths[0]
        total += depths[0] * tokens[0] * hidden * (2 * widths[0] + 9)
        for stage in 1..<4 {
            let (below, width) = (widths[stage - 1], widths[stage])
            total += tokens[stage - 1] * below * width + tokens[stage] * width * (9 + width)
            let keys = windows[stage] * windows[stage]
            let perToken = width * ((4 + 2 * feedForwardRatio) * width + 9 + 2 * keys)
            total += depths[stage] * tokens[stage] * perToken
        }
        return total + tokens[3] * embeddingWidth * (widths[3] + 9 * embeddingWidth)
    }

    /// The share of scores and weighted values in all blocks.
    public var attentionMultiplyAdds: Int {
        (1..<4).reduce(0) { sum, stage in
            sum + depths[stage] * gridSides[stage] * gridSides[stage] * 2 * windows[stage] * windows[stage]
                * widths[stage]
        }
    }

    /// The stem, below the lowest adapter: patch embedding, stage 0 and the first merging, which have no backward.
    public var stemMultiplyAdds: Int {
        let (first, second) = (gridSides[0] * gridSides[0], gridSides[1] * gridSides[1])
        return patchEmbeddingMultiplyAdds + depths[0] * first * expansion * widths[0] * (2 * widths[0] + 9)
            + first * widths[0] * widths[1] + second * widths[1] * (9 + widths[1])
    }

    private var patchEmbeddingMultiplyAdds: Int {
        let (width, half) = (widths[0], widths[0] / 2)
        switch patchEmbedding {
        case .pointwise: return imageSize * imageSize * (3 * half + half * width)
        case .strided:
            let side = Self.halved(imageSize)
            let last = Self.halved(side)
            return side * side * 27 * half + last * last * 9 * half * width
        }
    }
}
