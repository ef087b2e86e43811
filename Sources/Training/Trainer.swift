package import AdaptationMethods
public import Adapters
package import CheckpointStore
package import Collectives
package import Datasets
package import Evaluation
import FaultInjection
package import Kernels
import Layers
package import Machine
import SegmentAnything
import Telemetry
import Tensors

/// One rank of a training run: computes its share of every global batch and owns a slice of the optimizer state.
///
/// A step: samples -> one gradient per sample, summed as far as sample order allows -> records to all ranks and partial
/// sums to the owners of the slices -> rank 0's message -> the owners' sums in sample order -> Adam on the slice ->
/// parameters to all ranks. The result is independent of the number of ranks; only the division of work depends on it.
public final class Trainer {
    /// The model with its trainable parameters, which are equal on all ranks after every step.
    public internal(set) var adapted: AdaptedModel
    /// The sample order of the run.
    package let schedule: SamplingSchedule
    /// The names of the loss parts, in the order of `StepOutcome.lossSums` after the total.
    public let lossNames: [String]

    let method: any AdaptationMethod
    let settings: TrainerSettings
    let communicator: any Communicator
    /// The training images' names in the run.
    let images: [ImageID]
    private let prefetcher: SamplePrefetcher<SampleRequest, ReadSample>
    let reader: SampleReader
    let anchors: AnchorStore?
    let workspace: Workspace
    let sum: SampleOrderedSum
    let slab: GradientSlab
    var optimizer: Adam
    /// Updates of the optimisers of earlier stages.
    var earlierUpdates: Int
    /// The parameters that a stage begins with, where none is inherited; else nil. // [P]
    let initialValues: Tensor?
    /// What holds the present stage near the one before; nil in a first stage, and without protection.
    var hold: StageHold?
    /// The stage of the last step, from 0.
    var stage = 0
    /// The number of every rank's node, for dealing images.
    let nodeOfRank: [Int]
    /// The parameter groups in this rank's slice, relative to its start.
    private let groups: [(range: Range<Int>, group: ParameterGroup)]
    private var controller: TrainingController

    /// Prepares a run from its first step; starts reading images ahead.
    ///
    /// Throws `ResourceShortage` if the system refuses the threads that read.
    ///
    /// - Parameter state: The full state of an earlier run to resume; no step before it is repeated.
    package init(
        _ adapted: AdaptedModel, method: any AdaptationMethod, settings: TrainerSettings, data: TrainerData,
        communicator: any Communicator, resuming state: CheckpointState? = nil, workspace: Workspace
    ) throws(ResourceShortage) {
        (self.adapted, self.method, self.settings) = (adapted, method, settings)
        (self.communicator, self.workspace) = (communicator, workspace)
        (schedule, anchors, images, nodeOfRank) = (data.schedule, data.anchors, data.images, data.nodeOfRank)
        lossNames = method.lossNames + (settings.protection?.kind.lossNames ?? [])
        sum = SampleOrderedSum(
            parameterCount: adapted.layout.count, globalBatch: schedule.globalBatch, communicator: communicator)
        slab = GradientSlab(parameterCount: adapted.layout.count)
        let own = sum.ownSlice
        groups = adapted.layout.groups(in: own).map {
            ($0.range.lowerBound - own.lowerBound..<$0.range.upperBound - own.lowerBound, $0.group)
        }
        initialValues = settings.stageStart == .nothing ? adapted.trained?.values : nil
        if let state {
            self.adapted.trained?.values = Tensor(state.parameters, [state.parameters.count])
            optimizer = Adam(
                firstMoment: Array(state.firstMoment[own]), secondMoment: Array(state.secondMoment[own]),
                step: state.optimizerUpdates, configuration: settings.optimizer.adam)
        } else {
            optimizer = Adam(count: own.count, configuration: settings.optimizer.adam)
        }
        earlierUpdates = state.map { $0.updates - $0.optimizerUpdates } ?? 0
        hold = state.flatMap { StageHold($0.kept, settings.protection, adapted.layout) }
        controller = TrainingController(
            plan: settings.plan, skipsInARow: state?.skipsInARow ?? 0, skips: state?.skips ?? 0,
            emptyBatches: state?.emptyBatches ?? 0,
            badSamples: data.leftOut.map(\.number) + (state?.badSamples ?? []))
        let requests = schedule.requests(
            rank: communicator.rank, nodeOfRank: data.nodeOfRank,
            unit: Self.dealingUnit(parameterCount: adapted.layout.count), from: state?.step ?? 0)
        reader = SampleReader(preparation: data.preparation, anchors: data.anchors, prefetch: settings.prefetch)
        prefetcher = try reader.read(requests)
        // At a boundary the next stage begins with its first step.
        if let state { enter(stage: schedule.place(of: max(state.step, 1) - 1)?.stage ?? 0) }
    }

    /// The unit assigned to nodes: single images while a gradient vector is small compared to the anchor pass that a
    /// stored embedding saves, blocks if sending a vector per image would take longer (see decision 30).
    package static func dealingUnit(parameterCount: Int) -> ShardedSampler.Unit {
        parameterCount < 1 << 20 ? .image : .block
    }

    /// Updates so far, including those before a checkpoint.
    package var updates: Int { earlierUpdates + optimizer.step }

    /// The trainable parameters. // [P]
    var values: Tensor { adapted.trained?.values ?? Tensor(zeros: [0]) }

    /// This rank's contribution to a checkpoint: its slice of the state, and the counts.
    package func state(step: Int, images: Int) -> CheckpointState {
        let own = sum.ownSlice
        var state = CheckpointState(
            step: step, images: images, updates: updates, first: own.lowerBound,
            parameters: values.rows(own).elements, firstMoment: optimizer.firstMoment,
            secondMoment: optimizer.secondMoment)
        state.optimizerUpdates = optimizer.step
        state.kept = hold?.kept(in: own) ?? []
        (state.skipsInARow, state.skips) = (controller.skipsInARow, controller.skips)
        state.emptyBatches = controller.emptyBatches
        state.badSamples = controller.badSamples
        return state
    }

    /// Runs one step on all ranks.
    ///
    /// - Parameters:
    ///   - isStopRequested: True when this rank was asked to end the run.
    ///   - saving: This rank's state of saving, asked when the exchange begins and again before the decision.
    ///
    /// Throws `CollectivesError`, and `DatasetError` for a fault that does not concern a single image.
    public func runStep(
        _ step: Int, isStopRequested: Bool, saving: () -> SavingSignals = { SavingSignals() }
    ) throws -> StepOutcome {
        communicator.phase = "step \(step)"
        return try FaultInjector.$step.withValue(step) {
            try FaultInjector.check(.step)
            return try run(step, isStopRequested: isStopRequested, saving: saving)
        }
    }

    private func run(_ step: Int, isStopRequested: Bool, saving: () -> SavingSignals) throws -> StepOutcome {
        guard let place = schedule.place(of: step) else { preconditionFailure("step \(step) is past the run's end") }
        var stopwatch = Stopwatch()
        let found = try beginStage(at: place, step: step, &stopwatch)
        let local = try computeShare(
            place.batchSize, epoch: place.epoch, step: place.step, from: prefetcher, &stopwatch)
        // Ranks that finish early wait here, so that the time of the exchange below is its own.
        try communicator.barrier()
        stopwatch.lap(\.peers)
        let sentBefore = communicator.bytesSent
        try FaultInjector.check(.exchange)
        let batch = try sum.exchange(
            local.records, slab, isFinite: local.findings.nonFinite.isEmpty,
            wantsStop: isStopRequested, hasWritten: saving().isShardWritten)
        let contributing = batch.gradientPositions.reduce(0) { $0 + $1.count }
        let hasFindings = !batch.isFinite || contributing < batch.batchSize
        let findings = found + (try hasFindings ? local.findings.gathered(communicator) : SampleFindings())
        let message = try decide(
            TrainingController.StepReport(
                step: step, contributingSamples: contributing, nonFiniteRanks: batch.nonFiniteRanks,
                badSamples: findings.unreadable.map(\.image.number), isStopRequested: batch.wantsStop, saving: saving())
        )
        let rate = rate(at: place, step: step)
        let sums = lossSums(of: batch, contributing: contributing)
        if message.appliesUpdate {
            try update(batch, contributing: contributing, rate: rate)
        }
        stopwatch.lap(\.communication)
        return StepOutcome(
            step: step, epoch: place.epoch, stage: place.stage, endsEpoch: place.endsEpoch, images: place.batchSize,
            lossSums: Array(sums.prefix(1 + lossNames.count)), anchorsReused: Int(sums[1 + lossNames.count]),
            contributingSamples: contributing, learningRate: rate,
            nonFinite: findings.nonFinite, unreadable: findings.unreadable, empty: findings.empty.map(\.id),
            warning: findings.warning, badImages: controller.badSamples.count,
            own: local.own, areShardsWritten: batch.writtenRanks.count == communicator.worldSize, message: message,
            seconds: (stopwatch.compute, stopwatch.wait, stopwatch.peers, stopwatch.communication),
            bytesSent: communicator.bytesSent - sentBefore)
    }

    /// The learning rate of a step, counted from the run's beginning or from its stage's.
    private func rate(at place: SamplingSchedule.Place, step: Int) -> Double {
        let rates = settings.optimizer.schedule
        guard settings.stageStart != .everything, place.stage > 0 else {
            return rates.rate(at: step, epoch: place.epoch)
        }
        return rates.rate(
            at: step - schedule.stageEnds[place.stage - 1],
            epoch: place.epoch - schedule.firstEpoch(ofStage: place.stage))
    }

    /// Stops reading ahead.
    public func stop() {
        prefetcher.cancel()
        prefetcher.waitUntilStopped()
    }

    /// Counts images found unreadable outside training as skipped; false, on all ranks, if there are too many.
    /// Collective: all ranks pass the same images.
    package func leaveOut(_ samples: [UnreadableSample]) throws -> Bool {
        guard !samples.isEmpty else { return true }
        let mine: [UInt8] = communicator.isRoot ? [controller.leaveOut(samples.map(\.image.number)) ? 1 : 0] : []
        return try communicator.broadcast(bytes: mine, from: 0) == [1]
    }

    /// The skipped images, in order; on ranks other than 0, as of the run's start.
    package var leftOut: [ImageID] { controller.badSamples.map(ImageID.init(number:)) }

    /// Broadcasts rank 0's decision.
    private func decide(_ report: TrainingController.StepReport) throws -> TrainingController.ControlMessage {
        let mine = communicator.isRoot ? controller.decide(report).bytes : []
        let bytes = try communicator.broadcast(bytes: mine, from: 0)
        guard let message = TrainingController.ControlMessage(bytes: bytes) else {
            throw RunError(
                .protocolViolation, "rank 0 sent \(bytes) as its decision", remedy: "run one binary on all ranks")
        }
        return message
    }

    /// Sends the contributing samples' mean gradient to the owners, applies Adam there, and sends the parameters to
    /// all.
    private func update(_ batch: BatchRecords, contributing: Int, rate: Double) throws {
        var gradient = sum.sum(of: batch)
        let count = Float(contributing)
        for i in gradient.indices { gradient[i] /= count }
        hold?.penalty?.addGradient(at: values, of: sum.ownSlice, to: &gradient)
        var slice = values.rows(sum.ownSlice).elements
        optimizer.update(&slice, gradient: gradient, rate: rate, groups: groups)
        try FaultInjector.check(.update)
        var all = Tensor(uninitialized: [adapted.layout.count])
        let target = UnsafeMutableBufferPointer(start: all.mutablePointer, count: all.count)
        try slice.withUnsafeBufferPointer { try sum.gather(slice: $0, into: target) }
        adapted.trained?.values = all
    }
}
