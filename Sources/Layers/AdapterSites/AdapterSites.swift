import Tensors

/// A projection whose output an adapter may change: the fused q, k and v of one attention.
public struct ProjectionSite: Sendable, Equatable {
    /// Position among the encoder's projections, from the input upwards.
    public let index: Int
    /// The projection's name in the weight file, as in `image_encoder.blocks.0.attn.qkv`.
    public let name: String
    /// Width of the projection's input.
    public let inputWidth: Int
    /// Width of each of q, k and v, which are side by side in the output.
    public let outputWidth: Int
    /// The order of the output's rows in the weight file.
    public let storedOrder: StoredOrder

    /// The order of the rows of a fused projection in a weight file.
    public enum StoredOrder: Sendable, Equatable {
        /// [q | k | v], as in the layer itself (SAM's ViT).
        case sideBySide
        /// [q | k | v] for each head in turn (TinyViT).
        case byHead(heads: Int)
    }

    /// Creates a site.
    public init(
        index: Int, name: String, inputWidth: Int, outputWidth: Int, storedOrder: StoredOrder = .sideBySide
    ) {
        (self.index, self.name, self.storedOrder) = (index, name, storedOrder)
        (self.inputWidth, self.outputWidth) = (inputWidth, outputWidth)
    }

    /// The row of the stored weight that holds row `row` of part `part` (0 for q, 1 for k, 2 for v).
    public func storedRow(part: Int, row: Int) -> Int {
        switch storedOrder {
        case .sideBySide: return part * outputWidth + row
        case .byHead(let heads):
            let width = outputWidth / heads
            return (row / width * 3 + part) * width + row % width
        }
    }
}

/// A block of the encoder, where adapters may add to the input and read the output.
public struct BlockSite: Sendable, Equatable {
    /// Position among the encoder's blocks, from the input upwards.
    public let index: Int
    /// The block's name in the weight file, as in `image_encoder.blocks.0`.
    public let name: String
    /// Width of its tokens.
    public let width: Int
    /// Side of its token grid.
    public let side: Int

    /// Creates a site.
    public init(index: Int, name: String, width: Int, side: Int) {
        (self.index, self.name, self.width, self.side) = (index, name, width, side)
    }
}
