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
/// which may be short. Rank r of N gets the contiguous positions [r L / N, (r + 1) L / N) of a batch of L images: shares
/// differ by at most one, may be empty, and their union is the batch whatever N is. Contiguous shares keep neighbours of
/// the summation tree on one rank.
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

    /// The positions of a batch of `batchSize` images that belong to a rank; may be empty.
    public static func share(rank: Int, worldSize: Int, batchSize: Int) -> Range<Int> {
        precondition(rank >= 0 && rank < worldSize, "rank \(rank) of \(worldSize)")
        return rank * batchSize / worldSize..<(rank + 1) * batchSize / worldSize
    }

    /// Everything a rank visits from a step on, up to the end of epoch `epochs - 1`.
    public func requests(
        rank: Int, worldSize: Int, fromEpoch epoch: Int = 0, step: Int = 0, epochs: Int
    ) -> SampleRequests {
        SampleRequests(sampler: self, rank: rank, worldSize: worldSize, epoch: epoch, step: step, epochs: epochs)
    }
}

/// The schedule of one rank, in the order of its steps.
///
/// Starting at any step costs one permutation: nothing before it is replayed.
public struct SampleRequests: Sequence, IteratorProtocol, Sendable {
    private let sampler: ShardedSampler
    private let rank: Int
    private let worldSize: Int
    private let epochs: Int
    private var epoch: Int
    private var step: Int
    private var offset = 0
    private var order: [Int] = []

    init(sampler: ShardedSampler, rank: Int, worldSize: Int, epoch: Int, step: Int, epochs: Int) {
        precondition(epoch >= 0 && step >= 0 && step <= sampler.stepsPerEpoch, "epoch \(epoch), step \(step)")
        self.sampler = sampler
        self.rank = rank
        self.worldSize = worldSize
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
            let share = ShardedSampler.share(
                rank: rank, worldSize: worldSize, batchSize: sampler.batchSize(step: step))
            if offset < share.count {
                defer { offset += 1 }
                let position = share.lowerBound + offset
                return SampleRequest(
                    epoch: epoch, step: step, position: position,
                    sampleIndex: order[step * sampler.globalBatch + position])
            }
            offset = 0
            step += 1
        }
    }
}
