import AdaptationMethods
import Adapters
import CheckpointStore
import Collectives
import Datasets
import Layers
import Tensors

extension Trainer {
    /// Drops what a stage does not inherit from the one before, at its first step, and keeps what is to hold it.
    ///
    /// Nothing else must be remembered for a run to be resumed: a checkpoint lies before this or after.
    ///
    /// - Returns: All ranks' findings on images that were visited for it.
    func beginStage(
        at place: SamplingSchedule.Place, step: Int, _ stopwatch: inout Stopwatch
    ) throws -> SampleFindings {
        guard place.stage > 0, step == schedule.stageEnds[place.stage - 1] else { return SampleFindings() }
        defer { enter(stage: place.stage) }
        guard settings.stageStart != .everything else { return SampleFindings() }
        earlierUpdates = updates
        optimizer = Adam(count: sum.ownSlice.count, configuration: settings.optimizer.adam)
        if let initialValues { adapted.trained?.values = initialValues }
        guard let (kind, weight) = settings.protection else { return SampleFindings() }
        switch kind {
        case .none: return SampleFindings()
        case .distillation:
            hold = .distillation(
                Distillation(from: TrainableParameters(layout: adapted.layout, values: values), weight: weight))
            return SampleFindings()
        case .elasticWeights:
            let (importance, findings) = try fisherInformation(ofStage: place.stage - 1, &stopwatch)
            hold = .elastic(ElasticPenalty(former: values, importance: importance, weight: weight))
            return findings
        }
    }

    /// Lets the adapters know of a stage.
    func enter(stage: Int) {
        self.stage = stage
        adapted = adapted.inStage(stage)
    }

    /// The Fisher information of all parameters over one more epoch of a stage's images, in full batches. Collective.
    ///
    /// A batch's gradient is the mean over its images, as in a step, so it does not depend on the number of ranks.
    private func fisherInformation(
        ofStage stage: Int, _ stopwatch: inout Stopwatch
    ) throws -> (importance: Tensor, findings: SampleFindings) {
        let (epoch, steps) = schedule.review(ofStage: stage)
        let source = try reader.read(
            schedule.reviewRequests(
                ofStage: stage, rank: communicator.rank, nodeOfRank: nodeOfRank,
                unit: Self.dealingUnit(parameterCount: adapted.layout.count)))
        defer {
            source.cancel()
            source.waitUntilStopped()
        }
        var information = FisherInformation(count: sum.ownSlice.count)
        var (findings, used) = (SampleFindings(), 0)
        for step in 0..<steps {
            let size = schedule.legs[stage].sampler.batchSize(step: step)
            let local = try computeShare(size, epoch: epoch, step: step, from: source, &stopwatch)
            let batch = try sum.exchange(local.records, slab, isFinite: local.findings.nonFinite.isEmpty)
            if !batch.isFinite || !batch.unreadablePositions.isEmpty {
                findings = findings + (try local.findings.gathered(communicator))
            }
            let gradient = sum.sum(of: batch)
            let count = batch.gradientPositions.reduce(0) { $0 + $1.count }
            guard batch.isFinite, count > 0 else { continue }
            used += 1
            information.add(batchGradient: gradient.map { $0 / Float(count) })
        }
        var all = Tensor(uninitialized: [adapted.layout.count])
        let target = UnsafeMutableBufferPointer(start: all.mutablePointer, count: all.count)
        try information.values.withUnsafeBufferPointer { try sum.gather(slice: $0, into: target) }
        stopwatch.lap(\.communication)
        if used == 0 {
            findings.warning =
                "continual.strategy=ewc holds nothing of stage \(stage + 1): none of the \(steps) full batches of "
                + "its images could be used"
        }
        return (all, findings)
    }

    /// The sums of a batch's losses: the total, then the parts, then the count of reused anchors. A penalty, which
    /// belongs to the step and not to its images, counts for each of them.
    func lossSums(of batch: BatchRecords, contributing: Int) -> [Double] {
        var sums = batch.sums(count: 2 + lossNames.count)
        guard let penalty = hold?.penalty else { return sums }
        let value = penalty.value(at: values) * Double(contributing)
        sums[0] += penalty.weight * value
        sums[lossNames.count] += value
        return sums
    }
}

/// What holds a stage near the parameters it began with, and its part of a checkpoint.
enum StageHold: Sendable {
    case distillation(Distillation)
    case elastic(ElasticPenalty)

    private static let (former, importance) = ("former", "importance")

    /// What a checkpoint holds of it; nil in a first stage, and without protection.
    init?(
        _ kept: [CheckpointState.Kept], _ protection: (kind: StageProtection, weight: Double)?,
        _ layout: ParameterLayout
    ) {
        func vector(_ name: String) -> Tensor? {
            kept.first { $0.name == name }.map { Tensor($0.values, [$0.values.count]) }
        }
        guard let (kind, weight) = protection, let former = vector(Self.former) else { return nil }
        switch kind {
        case .none: return nil
        case .distillation:
            self = .distillation(
                Distillation(from: TrainableParameters(layout: layout, values: former), weight: weight))
        case .elasticWeights:
            guard let importance = vector(Self.importance) else { return nil }
            self = .elastic(ElasticPenalty(former: former, importance: importance, weight: weight))
        }
    }

    /// The part of a slice of the parameters that a checkpoint holds.
    func kept(in range: Range<Int>) -> [CheckpointState.Kept] {
        switch self {
        case .distillation(let distillation):
            [.init(Self.former, distillation.former.values.rows(range).elements)]
        case .elastic(let penalty):
            [
                .init(Self.former, penalty.former.rows(range).elements),
                .init(Self.importance, penalty.importance.rows(range).elements),
            ]
        }
    }

    /// The former parameters whose masks count in every image's losses, if they do.
    var distillation: Distillation? {
        guard case .distillation(let distillation) = self else { return nil }
        return distillation
    }

    /// The penalty of a step, if there is one.
    var penalty: ElasticPenalty? {
        guard case .elastic(let penalty) = self else { return nil }
        return penalty
    }
}
