import Tensors

/// One place of the run's schedule: which image is visited where.
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
/// On one node these are the rank's positions. On several, every image has a home, node[i mod N] for image i, where it is
/// computed in every epoch as long as the node's share has room, so that a node meets the same images again; the others
/// fill the shares that are left. Who computes an image changes no result.
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

    /// The positions of a batch that each rank computes, ascending.
    ///
    /// - Parameters:
    ///   - batch: The images of the batch, in order.
    ///   - nodeOfRank: The number of every rank's node, from 0; all the same deals by place.
    public static func deal(_ batch: [Int], nodeOfRank: [Int]) -> [[Int]] {
        let ranks = nodeOfRank.count
        let shares = (0..<ranks).map { share(rank: $0, worldSize: ranks, batchSize: batch.count) }
        guard let last = nodeOfRank.max(), last > 0 else { return shares.map { Array($0) } }
        var room = [Int](repeating: 0, count: last + 1)
        for rank in 0..<ranks { room[nodeOfRank[rank]] += shares[rank].count }
        var positions = [[Int]](repeating: [], count: last + 1)
        var homeless: [Int] = []
        for (position, sample) in batch.enumerated() {
            let home = nodeOfRank[sample % ranks]
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
        var taken = [Int](repeating: 0, count: last + 1)
        return (0..<ranks).map { rank in
            let node = nodeOfRank[rank]
            defer { taken[node] += shares[rank].count }
            return Array(positions[node][taken[node]..<taken[node] + shares[rank].count])
        }
    }

    /// The places of a batch of `batchSize` images that a rank's share is as large as; may be empty.
    public static func share(rank: Int, worldSize: Int, batchSize: Int) -> Range<Int> {
        precondition(rank >= 0 && rank < worldSize, "rank \(rank) of \(worldSize)")
        return rank * batchSize / worldSize..<(rank + 1) * batchSize / worldSize
    }

    /// Everything a rank visits from a step on, up to the end of epoch `epochs - 1`.
    ///
    /// - Parameter nodeOfRank: The number of every rank's node; all the same deals by place.
    public func requests(
        rank: Int, nodeOfRank: [Int], fromEpoch epoch: Int = 0, step: Int = 0, epochs: Int
    ) -> SampleRequests {
        SampleRequests(sampler: self, rank: rank, nodeOfRank: nodeOfRank, epoch: epoch, step: step, epochs: epochs)
    }
}

/// The schedule of one rank, in the order of its steps.
///
/// Starting at any step costs one permutation: nothing before it is replayed.
public struct SampleRequests: Sequence, IteratorProtocol, Sendable {
    private let sampler: ShardedSampler
    private let rank: Int
    private let nodeOfRank: [Int]
    private let epochs: Int
    private var epoch: Int
    private var step: Int
    private var order: [Int] = []
    /// What is left of the present step's share.
    private var positions: ArraySlice<Int>?

    init(sampler: ShardedSampler, rank: Int, nodeOfRank: [Int], epoch: Int, step: Int, epochs: Int) {
        precondition(epoch >= 0 && step >= 0 && step <= sampler.stepsPerEpoch, "epoch \(epoch), step \(step)")
        self.sampler = sampler
        self.rank = rank
        self.nodeOfRank = nodeOfRank
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
                positions = ShardedSampler.deal(batch, nodeOfRank: nodeOfRank)[rank][...]
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
