import Tensors

/// One entry of the run's schedule: an image and where in the run it is visited.
public struct SampleRequest: Equatable, Hashable, Sendable {
    /// The epoch, from 0.
    public let epoch: Int
    /// The step inside the epoch, from 0.
    public let step: Int
    /// The position inside the step's global batch, from 0.
    public let position: Int
    /// The image's number in the training set.
    public let sampleIndex: Int
}

/// Orders each epoch and deals its global batches to the ranks.
///
/// The order of an epoch is a permutation drawn from (seed, epoch) alone; it is cut into batches of G images, the last of
/// which may be short. Rank r of N computes as many images as there are positions in [r L / N, (r + 1) L / N) of a batch of
/// L: shares differ by at most one, may be empty, and their union is the batch whatever N is.
///
/// The choice of positions determines what the ranks must exchange (see `SampleOrderedSum`), so a share consists of as
/// few aligned blocks as its size allows: a block of 2^b positions, starting at a multiple of 2^b, for every bit b of
/// the size.
///
/// On several nodes every image has a home, node[i mod N] for image i, where it is computed in every epoch as long as the
/// node's share has capacity, so that a node sees the same images again; the others fill the remaining shares. Images
/// are dealt to nodes individually, or in the blocks of the shares. The rank that computes an image changes no result.
public struct ShardedSampler: Equatable, Sendable {
    /// The number of training images.
    public let sampleCount: Int
    /// The number G of images per optimizer step.
    public let globalBatch: Int
    /// The run's seed.
    public let seed: UInt64

    /// Creates a sampler.
    public init(sampleCount: Int, globalBatch: Int, seed: UInt64) {
        precondition(sampleCount > 0 && globalBatch > 0, "\(sampleCount) images in batches of \(globalBatch)")
        self.sampleCount = sampleCount
        self.globalBatch = globalBatch
        self.seed = seed
    }

    /// The number of steps in an epoch: ceil(images / G).
    public var stepsPerEpoch: Int { (sampleCount + globalBatch - 1) / globalBatch }

    /// The number of images in the batch of a step.
    public func batchSize(step: Int) -> Int {
        precondition(step >= 0 && step < stepsPerEpoch, "step \(step) of \(stepsPerEpoch)")
        return min(globalBatch, sampleCount - step * globalBatch)
    }

    /// The order in which an epoch visits the images.
    public func order(epoch: Int) -> [Int] {
        var generator = SeededGenerator(seed: seed, epoch: epoch, purpose: "epoch order")
        return generator.permutation(sampleCount)
    }

    /// The images of one global batch.
    public func batch(epoch: Int, step: Int) -> [Int] {
        let start = step * globalBatch
        return Array(order(epoch: epoch)[start..<start + batchSize(step: step)])
    }

    /// The unit in which images are dealt to nodes.
    public enum Unit: Sendable, Equatable {
        /// Single images: most of them are computed at home, and a rank sends up to one vector for each.
        case image
        /// Aligned blocks of positions: fewer images are at home, and a rank sends at most one vector per block.
        case block
    }

    /// The positions of a batch that each rank computes, ascending.
    ///
    /// - Parameters:
    ///   - batch: The images of the batch, in order.
    ///   - nodeOfRank: The number of every rank's node, from 0; on a single node images are dealt by position.
    ///   - unit: The unit of dealing to nodes; no effect on one node.
    public static func deal(_ batch: [Int], nodeOfRank: [Int], unit: Unit = .image) -> [[Int]] {
        let ranks = nodeOfRank.count
        let counts = (0..<ranks).map { share(rank: $0, worldSize: ranks, batchSize: batch.count).count }
        let homes = batch.map { nodeOfRank[$0 % ranks] }
        return unit == .block || nodeOfRank.allSatisfy { $0 == nodeOfRank[0] }
            ? dealBlocks(homes, counts, nodeOfRank) : dealImages(homes, counts, nodeOfRank)
    }

    /// Deals single positions: to their homes while those have capacity, the others to nodes with capacity left.
    private static func dealImages(_ homes: [Int], _ counts: [Int], _ nodeOfRank: [Int]) -> [[Int]] {
        var room = [Int](repeating: 0, count: (nodeOfRank.max() ?? 0) + 1)
        for (rank, node) in nodeOfRank.enumerated() { room[node] += counts[rank] }
        var positions = [[Int]](repeating: [], count: room.count)
        var homeless: [Int] = []
        for (position, home) in homes.enumerated() {
            if positions[home].count < room[home] {
                positions[home].append(position)
            } else {
                homeless.append(position)
            }
        }
        for node in positions.indices {
            let missing = room[node] - positions[node].count
            positions[node] = (positions[node] + homeless.prefix(missing)).sorted()
            homeless.removeFirst(missing)
        }
        var taken = [Int](repeating: 0, count: room.count)
        return nodeOfRank.indices.map { rank in
            let node = nodeOfRank[rank]
            defer { taken[node] += counts[rank] }
            return Array(positions[node][taken[node]..<taken[node] + counts[rank]])
        }
    }

    /// Deals aligned blocks, the largest first: the rest of the batch then starts at a multiple of every later size.
    private static func dealBlocks(_ homes: [Int], _ counts: [Int], _ nodeOfRank: [Int]) -> [[Int]] {
        var dealt = [[Int]](repeating: [], count: counts.count)
        var start = 0
        for bit in (0..<Int.bitWidth).reversed() {
            let ranks = counts.indices.filter { counts[$0] >> bit & 1 == 1 }
            let blocks = ranks.indices.map { start + $0 << bit..<start + ($0 + 1) << bit }
            for (rank, block) in zip(ranks, place(blocks, homes, nodes: ranks.map { nodeOfRank[$0] })) {
                dealt[rank] += block
            }
            start += ranks.count << bit
        }
        return dealt
    }

    /// Assigns one block to each rank, in rank order: where most of its images are at home, as capacity allows.
    private static func place(_ blocks: [Range<Int>], _ homes: [Int], nodes: [Int]) -> [Range<Int>] {
        var room = [Int](repeating: 0, count: (nodes.max() ?? 0) + 1)
        for node in nodes { room[node] += 1 }
        var wishes: [(images: Int, block: Int, node: Int)] = []
        for (index, block) in blocks.enumerated() {
            let visitors = homes[block].sorted()
            for node in Set(visitors).sorted() where room.indices.contains(node) {
                wishes.append((visitors.count { $0 == node }, index, node))
            }
        }
        wishes.sort { ($1.images, $0.block, $0.node) < ($0.images, $1.block, $1.node) }
        var nodeOfBlock = [Int?](repeating: nil, count: blocks.count)
        for wish in wishes where nodeOfBlock[wish.block] == nil && room[wish.node] > 0 {
            nodeOfBlock[wish.block] = wish.node
            room[wish.node] -= 1
        }
        var rest = room.indices.flatMap { [Int](repeating: $0, count: room[$0]) }[...]
        var placed = [[Range<Int>]](repeating: [], count: room.count)
        for (index, block) in blocks.enumerated() {
            guard let node = nodeOfBlock[index] ?? rest.popFirst() else { break }
            placed[node].append(block)
        }
        var next = [Int](repeating: 0, count: room.count)
        return nodes.map { node in
            defer { next[node] += 1 }
            return placed[node][next[node]]
        }
    }

    /// A range of consecutive positions of a batch of `batchSize` images with the size of a rank's share; may be empty.
    public static func share(rank: Int, worldSize: Int, batchSize: Int) -> Range<Int> {
        precondition(rank >= 0 && rank < worldSize, "rank \(rank) of \(worldSize)")
        return rank * batchSize / worldSize..<(rank + 1) * batchSize / worldSize
    }

    /// All requests of a rank from a step on, up to the end of epoch `epochs - 1`.
    ///
    /// - Parameters:
    ///   - nodeOfRank: The number of every rank's node; on a single node images are dealt by position.
    ///   - unit: The unit of dealing to nodes.
    public func requests(
        rank: Int, nodeOfRank: [Int], unit: Unit = .image, fromEpoch epoch: Int = 0, step: Int = 0, epochs: Int
    ) -> SampleRequests {
        SampleRequests(
            sampler: self, rank: rank, nodeOfRank: nodeOfRank, unit: unit, epoch: epoch, step: step, epochs: epochs)
    }
}

/// The schedule of one rank, in the order of its steps.
///
/// Starting at any step costs one permutation: nothing before it is replayed.
public struct SampleRequests: Sequence, IteratorProtocol, Sendable {
    private let sampler: ShardedSampler
    private let rank: Int
    private let nodeOfRank: [Int]
    private let unit: ShardedSampler.Unit
    private let epochs: Int
    private var epoch: Int
    private var step: Int
    private var order: [Int] = []
    /// The rest of the current step's share.
    private var positions: ArraySlice<Int>?

    init(
        sampler: ShardedSampler, rank: Int, nodeOfRank: [Int], unit: ShardedSampler.Unit, epoch: Int, step: Int,
        epochs: Int
    ) {
        precondition(epoch >= 0 && step >= 0 && step <= sampler.stepsPerEpoch, "epoch \(epoch), step \(step)")
        self.sampler = sampler
        self.rank = rank
        self.nodeOfRank = nodeOfRank
        self.unit = unit
        self.epochs = epochs
        self.epoch = epoch
        self.step = step
    }

    /// The next image, or nil after the last epoch.
    public mutating func next() -> SampleRequest? {
        while true {
            if step == sampler.stepsPerEpoch {
                epoch += 1
                step = 0
                order = []
            }
            guard epoch < epochs else { return nil }
            if order.isEmpty { order = sampler.order(epoch: epoch) }
            let start = step * sampler.globalBatch
            if positions == nil {
                let batch = Array(order[start..<start + sampler.batchSize(step: step)])
                positions = ShardedSampler.deal(batch, nodeOfRank: nodeOfRank, unit: unit)[rank][...]
            }
            if let position = positions?.popFirst() {
                return SampleRequest(
                    epoch: epoch, step: step, position: position, sampleIndex: order[start + position])
            }
            positions = nil
            step += 1
        }
    }
}
