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
    /// The step of the whole run, from 0.
    public let runStep: Int

    /// Names a place.
    public init(epoch: Int, step: Int, position: Int, sampleIndex: Int, runStep: Int = 0) {
        (self.epoch, self.step, self.position) = (epoch, step, position)
        (self.sampleIndex, self.runStep) = (sampleIndex, runStep)
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
    /// What is left of the present step's share.
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
