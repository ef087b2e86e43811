package import AdaptationMethods
public import Adapters
package import CheckpointStore
package import Collectives
package import Datasets
package import Evaluation
import FaultInjection
package import Kernels
import Layers
import SegmentAnything
import Telemetry
import Tensors

/// One rank of a training run: computes its share of every global batch and keeps its slice of the optimizer.
///
/// A step: samples -> one gradient per sample, added up as far as the order of samples allows -> records to all and partial
/// sums to the owners of the slices -> rank 0's message -> the owners' sums in sample order -> Adam on the slice -> parameters
/// to all. Nothing in it depends on how many ranks there are, except who does what.
public final class Trainer {
    /// The model with the numbers that train, which are equal on all ranks after every step.
    public private(set) var adapted: AdaptedModel
    /// The order of the run.
    package let schedule: SamplingSchedule
    /// The names of the loss parts, in the order of `StepOutcome.lossSums` after the total.
    public let lossNames: [String]

    private let method: any AdaptationMethod
    private let settings: TrainerSettings
    private let communicator: any Communicator
    /// What the run calls the training images.
    private let images: [ImageID]
    private let prefetcher: SamplePrefetcher<SampleRequest, ReadSample>
    private let anchors: AnchorStore?
    private let workspace: Workspace
    private let sum: SampleOrderedSum
    private let slab: GradientSlab
    private var optimizer: Adam
    /// The groups of the own slice, counted from its first number.
    private let groups: [(range: Range<Int>, group: ParameterGroup)]
    private var controller: TrainingController

    /// Prepares a run from its first step; starts reading images ahead.
    ///
    /// - Parameter state: All numbers of an earlier run to resume; no step before it is looked at again.
    package init(
        _ adapted: AdaptedModel, method: any AdaptationMethod, settings: TrainerSettings, data: TrainerData,
        communicator: any Communicator, resuming state: CheckpointState? = nil, workspace: Workspace
    ) {
        (self.adapted, self.method, self.settings) = (adapted, method, settings)
        (self.communicator, self.workspace) = (communicator, workspace)
        (schedule, anchors, images, lossNames) = (data.schedule, data.anchors, data.images, method.lossNames)
        sum = SampleOrderedSum(
            parameterCount: adapted.layout.count, globalBatch: schedule.globalBatch, communicator: communicator)
        slab = GradientSlab(parameterCount: adapted.layout.count)
        let own = sum.ownSlice
        groups = adapted.layout.groups(in: own).map {
            ($0.range.lowerBound - own.lowerBound..<$0.range.upperBound - own.lowerBound, $0.group)
        }
        if let state {
            self.adapted.trained?.values = Tensor(state.parameters, [state.parameters.count])
            optimizer = Adam(
                firstMoment: Array(state.firstMoment[own]), secondMoment: Array(state.secondMoment[own]),
                step: state.updates, configuration: settings.optimizer.adam)
        } else {
            optimizer = Adam(count: own.count, configuration: settings.optimizer.adam)
        }
        controller = TrainingController(
            plan: settings.plan, skipsInARow: state?.skipsInARow ?? 0, skips: state?.skips ?? 0,
            badSamples: data.leftOut.map(\.number) + (state?.badSamples ?? []))
        let requests = schedule.requests(
            rank: communicator.rank, nodeOfRank: data.nodeOfRank,
            unit: Self.dealingUnit(parameterCount: adapted.layout.count), from: state?.step ?? 0)
        let preparation = data.preparation
        prefetcher = SamplePrefetcher(
            requests, depth: settings.prefetch.depth, threads: settings.prefetch.threads
        ) { [anchors] request in
            try FaultInjector.$step.withValue(request.runStep) { try ReadSample(request, preparation, anchors) }
        }
    }

    /// What is dealt to nodes as one: images while a vector is small beside the anchor's pass that an image at home saves,
    /// blocks where sending a vector for each image would take longer (see decision 30).
    package static func dealingUnit(parameterCount: Int) -> ShardedSampler.Unit {
        parameterCount < 1 << 20 ? .image : .block
    }

    /// Updates until now, those before a checkpoint included.
    package var updates: Int { optimizer.step }

    /// The numbers that train. // [P]
    private var values: Tensor { adapted.trained?.values ?? Tensor(zeros: [0]) }

    /// What this rank brings to a checkpoint: its slice of all numbers, and the counts.
    package func state(step: Int, images: Int) -> CheckpointState {
        let own = sum.ownSlice
        var state = CheckpointState(
            step: step, images: images, updates: optimizer.step, first: own.lowerBound,
            parameters: values.rows(own).elements, firstMoment: optimizer.firstMoment,
            secondMoment: optimizer.secondMoment)
        (state.skipsInARow, state.skips) = (controller.skipsInARow, controller.skips)
        state.badSamples = controller.badSamples
        return state
    }

    /// Runs one step on all ranks.
    ///
    /// - Parameters:
    ///   - isStopRequested: True when this rank was asked to end the run.
    ///   - saving: What this rank knows about checkpoints.
    ///
    /// Throws `CollectivesError`, and `DatasetError` for what is not the fault of one image.
    public func runStep(_ step: Int, isStopRequested: Bool, saving: SavingSignals = SavingSignals()) throws
        -> StepOutcome
    {
        communicator.phase = "step \(step)"
        return try FaultInjector.$step.withValue(step) {
            try FaultInjector.check(.step)
            return try run(step, isStopRequested: isStopRequested, saving: saving)
        }
    }

    private func run(_ step: Int, isStopRequested: Bool, saving: SavingSignals) throws -> StepOutcome {
        guard let place = schedule.place(of: step) else { preconditionFailure("step \(step) is behind the run's end") }
        var stopwatch = Stopwatch()
        let local = try computeShare(place, &stopwatch)
        // Ranks that finish early wait here, so that the exchange below costs what it costs.
        try communicator.barrier()
        stopwatch.lap(\.peers)
        let sentBefore = communicator.bytesSent
        try FaultInjector.check(.exchange)
        let batch = try sum.exchange(
            local.records, slab, isFinite: local.findings.nonFinite.isEmpty,
            wantsStop: isStopRequested, hasWritten: saving.isShardWritten)
        let hasFindings = !batch.isFinite || !batch.unreadablePositions.isEmpty
        let findings = try hasFindings ? local.findings.gathered(communicator) : SampleFindings()
        let contributing = batch.gradientPositions.reduce(0) { $0 + $1.count }
        let message = try decide(
            TrainingController.StepReport(
                step: step, contributingSamples: contributing, nonFiniteRanks: batch.nonFiniteRanks,
                badSamples: findings.unreadable.map(\.image.number), isStopRequested: batch.wantsStop, saving: saving))
        let rate = settings.optimizer.schedule.rate(at: step)
        if message.appliesUpdate {
            try update(batch, contributing: contributing, rate: rate)
        }
        stopwatch.lap(\.communication)
        let sums = batch.sums(count: 2 + lossNames.count)
        return StepOutcome(
            step: step, epoch: place.epoch, stage: place.stage, endsEpoch: place.endsEpoch, images: place.batchSize,
            lossSums: Array(sums.prefix(1 + lossNames.count)), anchorsReused: Int(sums[1 + lossNames.count]),
            contributingSamples: contributing, learningRate: rate,
            nonFinite: findings.nonFinite, unreadable: findings.unreadable, badImages: controller.badSamples.count,
            own: local.own, areShardsWritten: batch.writtenRanks.count == communicator.worldSize, message: message,
            seconds: (stopwatch.compute, stopwatch.wait, stopwatch.peers, stopwatch.communication),
            bytesSent: communicator.bytesSent - sentBefore)
    }

    /// Ends reading ahead.
    public func stop() {
        prefetcher.cancel()
        prefetcher.waitUntilStopped()
    }

    private struct Share {
        var records: [SampleRecord] = []
        var findings = SampleFindings()
        var own = (samples: 0, instances: 0, anchorsReused: 0)
    }

    /// Losses of this rank's part of the batch; its gradients go into the slab.
    private func computeShare(_ place: SamplingSchedule.Place, _ stopwatch: inout Stopwatch) throws -> Share {
        // How many is a matter of ranks alone; which ones the schedule of the requests says.
        let count = ShardedSampler.share(
            rank: communicator.rank, worldSize: communicator.worldSize, batchSize: place.batchSize
        ).count
        var share = Share()
        slab.begin(batchSize: place.batchSize)
        for _ in 0..<count {
            communicator.activity.work(at: "reading images")
            let next = try prefetcher.next()
            communicator.activity.work(at: "computing")
            stopwatch.lap(\.wait)
            guard let sample = next else { preconditionFailure("the schedule ended before \(place)") }
            precondition(
                (sample.request.epoch, sample.request.step) == (place.epoch, place.step),
                "the schedule is at another step than the loop")
            switch sample {
            case .prepared(let example): try compute(example, into: &share)
            case .unreadable(let request, let id, let error): leaveOut(request, id, error, in: &share)
            }
            stopwatch.lap(\.compute)
        }
        return share
    }

    /// A sample keeps its position where there is nothing to learn from it.
    private func addEmpty(at position: Int, isUnreadable: Bool = false, to share: inout Share) {
        slab.addEmpty(at: position)
        share.records.append(
            SampleRecord(
                position: position, values: [Double](repeating: 0, count: 2 + lossNames.count), hasGradient: false,
                isUnreadable: isUnreadable))
    }

    /// An image that cannot be read has weight 0; what becomes of the run is for rank 0 to say.
    private func leaveOut(_ request: SampleRequest, _ id: String, _ error: DatasetError, in share: inout Share) {
        addEmpty(at: request.position, isUnreadable: true, to: &share)
        share.findings.unreadable.append(
            UnreadableSample(
                images[request.sampleIndex], id: id, error, rank: communicator.rank, host: communicator.hostName))
    }

    /// Losses and gradient of one sample.
    private func compute(_ prepared: PreparedExample, into share: inout Share) throws {
        let example = prepared.example
        let (position, instances) = (example.request.position, example.prompts.count)
        guard instances > 0 else {
            addEmpty(at: position, to: &share)
            return
        }
        let anchor = prepared.anchorFeatures(anchors)
        var context = StepContext(
            adapted, decoderChunk: settings.passes.decoderChunk, recompute: settings.passes.recompute, anchors: anchor,
            in: workspace)
        let losses = try method.step(
            AdaptationExample(
                weak: example.weak, strong: example.strong, prompts: PromptBatch(example.prompts, 0..<instances),
                teacherPrompts: try example.teacherPrompts.map { try PromptBatch($0, 0..<instances) },
                masks: example.masks?.bitmaps, random: example.random),
            in: &context)
        if FaultInjector.reach(.gradient) == .notANumber { context.gradients.values[0] = .nan }
        let gradient = context.gradients.values
        withExtendedLifetime(gradient) {
            let numbers = UnsafeBufferPointer(start: gradient.pointer, count: gradient.count)
            if let tensor = NonFiniteSample.tensor(losses, numbers, adapted.layout) {
                share.findings.nonFinite.append(
                    NonFiniteSample(
                        position: position, id: example.id, tensor: tensor, rank: communicator.rank,
                        host: communicator.hostName))
            }
            slab.add(numbers, at: position)
        }
        let values = [losses.total] + losses.parts.map(\.value) + [anchor.kept == nil ? 0 : 1]
        share.records.append(SampleRecord(position: position, values: values))
        share.own.samples += 1
        share.own.instances += instances
        share.own.anchorsReused += anchor.kept == nil ? 0 : 1
    }

    /// Counts images that could not be read elsewhere than in training as left out; false, on all ranks, when they are
    /// too many. Collective: all ranks bring the same.
    package func leaveOut(_ samples: [UnreadableSample]) throws -> Bool {
        guard !samples.isEmpty else { return true }
        let mine: [UInt8] = communicator.isRoot ? [controller.leaveOut(samples.map(\.image.number)) ? 1 : 0] : []
        return try communicator.broadcast(bytes: mine, from: 0) == [1]
    }

    /// The images that are left out, in order; on other ranks than 0 as the run began.
    package var leftOut: [ImageID] { controller.badSamples.map(ImageID.init(number:)) }

    /// Rank 0 decides for all.
    private func decide(_ report: TrainingController.StepReport) throws -> TrainingController.ControlMessage {
        let mine = communicator.isRoot ? controller.decide(report).bytes : []
        let bytes = try communicator.broadcast(bytes: mine, from: 0)
        guard let message = TrainingController.ControlMessage(bytes: bytes) else {
            throw RunError(
                .protocolViolation, "rank 0 sent \(bytes) as its decision", remedy: "run one binary on all ranks")
        }
        return message
    }

    /// The mean gradient of the contributing samples at its owners, Adam there, and the parameters back to all.
    private func update(_ batch: BatchRecords, contributing: Int, rate: Double) throws {
        var gradient = sum.sum(of: batch)
        let count = Float(contributing)
        for i in gradient.indices { gradient[i] /= count }
        var slice = values.rows(sum.ownSlice).elements
        optimizer.update(&slice, gradient: gradient, rate: rate, groups: groups)
        try FaultInjector.check(.update)
        var all = Tensor(uninitialized: [adapted.layout.count])
        let target = UnsafeMutableBufferPointer(start: all.mutablePointer, count: all.count)
        try slice.withUnsafeBufferPointer { try sum.gather(slice: $0, into: target) }
        adapted.trained?.values = all
    }
}

/// Splits the time of a step among what it was spent on.
private struct Stopwatch {
    var compute = 0.0
    var wait = 0.0
    var peers = 0.0
    var communication = 0.0
    private var last = ContinuousClock.now

    /// Gives the time since the last lap to one account.
    mutating func lap(_ account: WritableKeyPath<Stopwatch, Double>) {
        let now = ContinuousClock.now
        self[keyPath: account] +=
            Double((now - last).components.attoseconds) * 1e-18 + Double((now - last).components.seconds)
        last = now
    }
}
