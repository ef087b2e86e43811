import Tensors

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
    /// Images that are sampled alike: those of one source.
    public struct Pool: Equatable, Sendable {
        /// Their places in the data.
        public let images: Range<Int>
        /// Part of each batch, relative to the other pools'; 0 in all pools samples all images alike.
        public let share: Int

        /// Describes a pool.
        public init(images: Range<Int>, share: Int = 0) { (self.images, self.share) = (images, share) }
    }

    /// The images, by source.
    public let pools: [Pool]
    /// The number G of images per optimizer step.
    public let globalBatch: Int
    /// The run's seed.
    public let seed: UInt64

    /// Creates a sampler over images that are numbered from 0.
    public init(sampleCount: Int, globalBatch: Int, seed: UInt64) {
        self.init([Pool(images: 0..<sampleCount)], globalBatch: globalBatch, seed: seed)
    }

    /// Creates a sampler over pools, of which either all have a share or none has.
    public init(_ pools: [Pool], globalBatch: Int, seed: UInt64) {
        precondition(!pools.isEmpty && pools.allSatisfy { !$0.images.isEmpty } && globalBatch > 0)
        precondition(
            pools.allSatisfy { $0.share > 0 } || pools.allSatisfy { $0.share == 0 }, "shares for some pools only")
        self.pools = pools
        self.globalBatch = globalBatch
        self.seed = seed
    }

    /// The number of images that are sampled from.
    public var sampleCount: Int { pools.reduce(0) { $0 + $1.images.count } }

    /// Images of each batch by pool: G divided in proportion to the shares, what is left going to the largest remainders;
    /// nil where all images are sampled alike.
    public var slots: [Int]? {
        Self.slots(shares: pools.map(\.share), globalBatch: globalBatch)
    }

    /// Images of each batch by share; nil where no share is given. A share may round to no image.
    package static func slots(shares: [Int], globalBatch: Int) -> [Int]? {
        let total = shares.reduce(0, +)
        guard total > 0 else { return nil }
        var slots = shares.map { globalBatch * $0 / total }
        let byRemainder = shares.indices.sorted {
            (globalBatch * shares[$1] % total, $0) < (globalBatch * shares[$0] % total, $1)
        }
        for pool in byRemainder.prefix(globalBatch - slots.reduce(0, +)) { slots[pool] += 1 }
        return slots
    }

    /// The number of steps in an epoch: ceil(images / G) or, with shares, as many as the pool that takes longest needs for
    /// all of its images; the others start over meanwhile.
    public var stepsPerEpoch: Int {
        guard let slots else { return (sampleCount + globalBatch - 1) / globalBatch }
        return zip(pools, slots).map { ($0.images.count + $1 - 1) / max($1, 1) }.max() ?? 0
    }

    /// The number of images in the batch of a step.
    public func batchSize(step: Int) -> Int {
        precondition(step >= 0 && step < stepsPerEpoch, "step \(step) of \(stepsPerEpoch)")
        return slots == nil ? min(globalBatch, sampleCount - step * globalBatch) : globalBatch
    }

    /// The order in which an epoch visits the images, batch after batch.
    public func order(epoch: Int) -> [Int] {
        guard let slots else {
            var generator = SeededGenerator(seed: seed, epoch: epoch, purpose: "epoch order")
            let images = pools.flatMap { Array($0.images) }
            return generator.permutation(images.count).map { images[$0] }
        }
        let steps = stepsPerEpoch
        let streams = zip(pools, slots).map { stream(of: $0, count: steps * $1, epoch: epoch) }
        return (0..<steps).flatMap { step in
            zip(streams, slots).flatMap { stream, slots in stream[step * slots..<(step + 1) * slots] }
        }
    }

    /// So many images of a pool: all of them in a random order, then all of them in another one, and so on.
    private func stream(of pool: Pool, count: Int, epoch: Int) -> [Int] {
        var images: [Int] = []
        var round = 0
        while images.count < count {
            var generator = SeededGenerator(
                seed: seed, epoch: epoch, sample: pool.images.lowerBound, purpose: "epoch order, round \(round)")
            images += generator.permutation(pool.images.count).map { pool.images.lowerBound + $0 }
            round += 1
        }
        return Array(images.prefix(count))
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
