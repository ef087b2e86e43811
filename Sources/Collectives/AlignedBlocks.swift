/// A node of the summation tree: the positions `start ..< start + size` of a batch, all held by one rank.
///
/// `size` is a power of two and `start` a multiple of it.
struct AlignedBlock: Equatable {
    var start: Int
    var size: Int
    /// The rank that holds all existing positions of the block.
    var holder: Int
    /// Index of the vector with the block's sum; nil if none of its positions has a gradient.
    var vector: Int?
}

/// The largest whole blocks of the summation tree among the added positions, in any order.
///
/// Two siblings become one block as soon as one rank holds both, so each addition is one of the tree's. Positions from
/// `batchSize` on do not exist: a block is whole if its other positions are held. A rank applies it to the positions
/// it computes, an owner of a slice to those of all ranks, and both find the same blocks.
struct AlignedBlocks {
    /// Positions of the batch.
    let batchSize: Int
    /// The blocks by their first position; nil at positions where none starts.
    private var blocks: [AlignedBlock?]

    /// Creates an empty set of positions of a batch of `batchSize`.
    init(batchSize: Int) {
        self.batchSize = batchSize
        blocks = [AlignedBlock?](repeating: nil, count: batchSize)
    }

    /// The blocks that hold a sum, ascending.
    var sums: [AlignedBlock] { blocks.compactMap { $0?.vector == nil ? nil : $0 } }

    /// Adds a position, which must be new; returns the largest whole block that now contains it.
    ///
    /// - Parameters:
    ///   - vector: Index of its gradient; nil for a position of weight 0.
    ///   - add: Adds the sums of two siblings, the left one first, and returns the index of the result.
    @discardableResult
    mutating func insert(
        _ position: Int, holder: Int, vector: Int?, adding add: (_ left: Int, _ right: Int) -> Int
    ) -> AlignedBlock {
        var block = AlignedBlock(start: position, size: 1, holder: holder, vector: vector)
        while block.start > 0 || block.size < batchSize {
            let isLeft = block.start % (2 * block.size) == 0
            let sibling = isLeft ? block.start + block.size : block.start - block.size
            if sibling >= batchSize {
                block.size *= 2
                continue
            }
            guard let other = blocks[sibling], other.size == block.size, other.holder == holder else { break }
            blocks[sibling] = nil
            let (left, right) = isLeft ? (block, other) : (other, block)
            block.start = left.start
            block.size *= 2
            if let first = left.vector, let second = right.vector {
                block.vector = add(first, second)
            } else {
                block.vector = left.vector ?? right.vector
            }
        }
        blocks[block.start] = block
        return block
    }

    /// Records the new vector index of a block's sum.
    mutating func move(_ block: AlignedBlock, to vector: Int) { blocks[block.start]?.vector = vector }
}
