public import Layers
public import SegmentAnything

/// Floating-point operations of an image encoder, two per multiply-add, products and convolutions only.
public struct EncoderCost: Sendable, Equatable {
    /// One forward pass, the stem included.
    public let forward: Double
    /// What lies below the lowest adapter: has no backward, and is the same for anchor and teacher.
    public let stem: Double
    /// The backward pass behind it: gradients of activations alone, since the weights are frozen. A linear layer costs
    /// as much again; attention five products for its two.
    public let backward: Double
    /// The hidden layers of all MLPs that have a backward, one forward pass.
    private let expansions: Double
    /// The blocks that have a backward, one forward pass without the second layer of their MLPs.
    private let blocks: Double

    /// Counts an encoder's operations.
    public init(_ encoder: SegmentAnythingConfiguration.Encoder) {
        // `kept`: what has a backward and is never made again.
        let parts: (total: Int, attention: Int, stem: Int, expansions: Int, kept: Int)
        switch encoder {
        case .viT(let sizes):
            let tokens = sizes.gridSide * sizes.gridSide
            parts = (
                sizes.multiplyAdds, sizes.attentionMultiplyAdds, sizes.stemMultiplyAdds,
                sizes.depth * tokens * sizes.width * sizes.width * sizes.mlpRatio,
                tokens * sizes.embeddingWidth * (sizes.width + 9 * sizes.embeddingWidth)
            )
        case .tinyViT(let sizes):
            let grids = sizes.gridSides.map { $0 * $0 }
            let expansions = (1..<4).reduce(0) {
                $0 + sizes.depths[$1] * grids[$1] * sizes.widths[$1] * sizes.widths[$1] * sizes.feedForwardRatio
            }
            parts = (
                sizes.multiplyAdds, sizes.attentionMultiplyAdds, sizes.stemMultiplyAdds, expansions,
                grids[3] * sizes.embeddingWidth * (sizes.widths[3] + 9 * sizes.embeddingWidth)
                    + (2..<4).reduce(0) { sum, stage in
                        let (below, width) = (sizes.widths[stage - 1], sizes.widths[stage])
                        return sum + grids[stage - 1] * below * width + grids[stage] * width * (9 + width)
                    }
            )
        }
        forward = 2 * Double(parts.total)
        stem = 2 * Double(parts.stem)
        backward = 2 * (Double(parts.total - parts.stem - parts.attention) + 2.5 * Double(parts.attention))
        expansions = 2 * Double(parts.expansions)
        blocks = 2 * Double(parts.total - parts.stem - parts.kept - parts.expansions)
    }

    /// What a level makes again in one backward pass.
    public func recomputed(_ level: RecomputeLevel) -> Double {
        switch level {
        case .none: 0
        case .mlp: expansions
        case .blocks: blocks
        }
    }
}
