public import Layers
public import SegmentAnything

/// Floating-point operations of an image encoder, two per multiply-add, counting only matrix products and convolutions.
public struct EncoderCost: Sendable, Equatable {
    /// One forward pass, including the stem.
    public let forward: Double
    /// The layers below the lowest adapter: without a backward pass, and equal for anchor and teacher.
    public let stem: Double
    /// The backward pass of the rest: gradients of activations only. A linear layer costs
    /// the same again; attention needs five products for its two.
    public let backward: Double
    /// The gradients of its own weights, if they train: one product for each of the forward pass outside attention.
    public let parameters: Double
    /// The hidden layers of all MLPs with a backward pass, one forward pass.
    private let expansions: Double
    /// The blocks with a backward pass, one forward pass without the second layer of their MLPs.
    private let blocks: Double

    /// Counts an encoder's operations.
    public init(_ encoder: SegmentAnythingConfiguration.Encoder) {
        // `kept`: layers with a backward pass that are never recomputed.
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
        parameters = 2 * Double(parts.total - parts.attention)
        expansions = 2 * Double(parts.expansions)
        blocks = 2 * Double(parts.total - parts.stem - parts.kept - parts.expansions)
    }

    /// The operations that a level recomputes in one backward pass.
    public func recomputed(_ level: RecomputeLevel) -> Double {
        switch level {
        case .none: 0
        case .mlp: expansions
        case .blocks: blocks
        }
    }
}
