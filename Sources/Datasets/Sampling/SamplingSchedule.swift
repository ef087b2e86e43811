/// The order of a whole run: stages one after another, each with its own images and number of steps.
///
/// Epochs are counted over the run, so an image that is met in two stages is never augmented twice in the same way.
public struct SamplingSchedule: Sendable, Equatable {
    /// One stage.
    public struct Leg: Sendable, Equatable {
        /// What is sampled.
        public let sampler: ShardedSampler
        /// Steps of the stage.
        public let steps: Int

        /// Describes a stage.
        public init(_ sampler: ShardedSampler, steps: Int) { (self.sampler, self.steps) = (sampler, steps) }

        /// Epochs that it begins.
        var epochs: Int { (steps + sampler.stepsPerEpoch - 1) / sampler.stepsPerEpoch }
    }

    /// Where a step of the run lies.
    public struct Place: Sendable, Equatable {
        /// The stage, from 0.
        public let stage: Int
        /// The epoch of the run, from 0.
        public let epoch: Int
        /// The step inside the epoch, from 0.
        public let step: Int
        /// Images of the batch.
        public let batchSize: Int
        /// Whether the epoch ends with this step.
        public let endsEpoch: Bool
    }

    /// The stages, in order; none for a run that only evaluates.
    public let legs: [Leg]
    /// The number G of images per step.
    public let globalBatch: Int

    /// Puts stages in order; they share one global batch.
    public init(_ legs: [Leg], globalBatch: Int) {
        precondition(legs.allSatisfy { $0.sampler.globalBatch == globalBatch && $0.steps > 0 })
        (self.legs, self.globalBatch) = (legs, globalBatch)
    }

    /// Steps of all stages together.
    public var totalSteps: Int { legs.reduce(0) { $0 + $1.steps } }

    /// The steps after which stages end, ascending.
    public var stageEnds: [Int] {
        var done = 0
        return legs.map { leg in
            done += leg.steps
            return done
        }
    }

    /// Where a step lies; nil from the run's end on.
    public func place(of step: Int) -> Place? {
        var (first, epoch) = (0, 0)
        for (stage, leg) in legs.enumerated() {
            if step < first + leg.steps {
                let (own, place) = (step - first).quotientAndRemainder(dividingBy: leg.sampler.stepsPerEpoch)
                return Place(
                    stage: stage, epoch: epoch + own, step: place, batchSize: leg.sampler.batchSize(step: place),
                    endsEpoch: place + 1 == leg.sampler.stepsPerEpoch || step + 1 == first + leg.steps)
            }
            first += leg.steps
            epoch += leg.epochs
        }
        return nil
    }

    /// The epoch of the run with which a stage begins.
    public func firstEpoch(ofStage stage: Int) -> Int { legs[..<stage].reduce(0) { $0 + $1.epochs } }

    /// One more epoch over a stage's images, whose views no other epoch has: its number, and the full batches it begins with.
    public func review(ofStage stage: Int) -> (epoch: Int, steps: Int) {
        let sampler = legs[stage].sampler
        let isLastFull = sampler.batchSize(step: sampler.stepsPerEpoch - 1) == globalBatch
        let steps = sampler.stepsPerEpoch - (isLastFull || sampler.stepsPerEpoch == 1 ? 0 : 1)
        return (firstEpoch(ofStage: legs.count) + stage, steps)
    }

    /// What a rank visits in a review.
    ///
    /// - Parameters: As of `requests`.
    public func reviewRequests(
        ofStage stage: Int, rank: Int, nodeOfRank: [Int], unit: ShardedSampler.Unit = .image
    ) -> SampleRequests {
        let epoch = review(ofStage: stage).epoch
        return legs[stage].sampler.requests(
            rank: rank, nodeOfRank: nodeOfRank, unit: unit, fromEpoch: epoch, step: 0, epochs: epoch + 1)
    }

    /// The images of all batches before a step; nil past the run's end.
    public func images(before step: Int) -> Int? {
        guard step <= totalSteps else { return nil }
        var (first, images) = (0, 0)
        for leg in legs {
            let own = min(max(step - first, 0), leg.steps)
            let (epochs, rest) = own.quotientAndRemainder(dividingBy: leg.sampler.stepsPerEpoch)
            // Only the last batch of an epoch may be smaller.
            let last = leg.sampler.batchSize(step: leg.sampler.stepsPerEpoch - 1)
            images += epochs * ((leg.sampler.stepsPerEpoch - 1) * globalBatch + last) + rest * globalBatch
            first += leg.steps
        }
        return images
    }

    /// Everything a rank visits from a step on, up to the end of the run.
    ///
    /// - Parameters:
    ///   - nodeOfRank: The number of every rank's node; all the same deals by place.
    ///   - unit: What is dealt to nodes as one.
    public func requests(
        rank: Int, nodeOfRank: [Int], unit: ShardedSampler.Unit = .image, from step: Int = 0
    ) -> ScheduledRequests {
        var parts: [LegRequests] = []
        var (first, epoch) = (0, 0)
        for leg in legs {
            if step < first + leg.steps {
                let begin = max(step - first, 0).quotientAndRemainder(dividingBy: leg.sampler.stepsPerEpoch)
                parts.append(
                    LegRequests(
                        requests: leg.sampler.requests(
                            rank: rank, nodeOfRank: nodeOfRank, unit: unit, fromEpoch: epoch + begin.quotient,
                            step: begin.remainder, epochs: epoch + leg.epochs),
                        firstEpoch: epoch, firstStep: first, steps: leg.steps, stepsPerEpoch: leg.sampler.stepsPerEpoch)
                )
            }
            first += leg.steps
            epoch += leg.epochs
        }
        return ScheduledRequests(parts: parts)
    }
}

/// The requests of one stage, which may end within an epoch.
struct LegRequests: Sendable {
    var requests: SampleRequests
    let firstEpoch: Int
    let firstStep: Int
    let steps: Int
    let stepsPerEpoch: Int

    mutating func next() -> SampleRequest? {
        guard let request = requests.next() else { return nil }
        let own = (request.epoch - firstEpoch) * stepsPerEpoch + request.step
        guard own < steps else { return nil }
        return SampleRequest(
            epoch: request.epoch, step: request.step, position: request.position, sampleIndex: request.sampleIndex,
            runStep: firstStep + own)
    }
}

/// The requests of all stages, in order.
public struct ScheduledRequests: Sequence, IteratorProtocol, Sendable {
    private var parts: [LegRequests]
    private var part = 0

    init(parts: [LegRequests]) { self.parts = parts }

    /// The next image, or nil after the last stage.
    public mutating func next() -> SampleRequest? {
        while part < parts.count {
            if let request = parts[part].next() { return request }
            part += 1
        }
        return nil
    }
}
