public import AdaptationMethods
import Adapters
import CheckpointStore
public import Collectives
import Datasets
import FaultInjection
import Foundation
public import Kernels
import Layers
import SegmentAnything
public import Telemetry

/// A whole run on one rank: load, evaluate, train, evaluate, save. All ranks call it with the same recipe.
public struct AdaptationRun {
    /// The recipe with the sources of its values.
    public let recipe: ResolvedRecipe
    /// The ranks.
    public let communicator: any Communicator
    /// This rank's threads and scratch.
    public let workspace: Workspace
    /// Where rank 0 writes.
    public let folder: RunFolder
    /// True once somebody asked for the run to end, for example by a signal.
    public let isStopRequested: @Sendable () -> Bool
    /// What watches over this rank, if anything does; it gets the run's log.
    public let watchdog: Watchdog?
    /// Told what a person should know before there is a log.
    public let notice: @Sendable (String) -> Void
    /// The methods that the recipe may name.
    let methods: MethodRegistry

    /// What a run does about an earlier one in its folder.
    public struct Start: Sendable {
        /// `auto`, `none`, or the path of a checkpoint.
        public var resume: String
        /// True to replace a run of the same name.
        public var overwriting: Bool
        /// Keys that may differ from those of the checkpoint.
        public var allowedChanges: [String]

        /// Goes on where there is something to go on from, unless told otherwise.
        public init(resume: String = "auto", overwriting: Bool = false, allowedChanges: [String] = []) {
            (self.resume, self.overwriting, self.allowedChanges) = (resume, overwriting, allowedChanges)
        }

        /// What to go on from; nil for nothing.
        var choice: CheckpointStore.Choice? {
            if overwriting || resume == "none" { return nil }
            return resume == "auto" ? .auto : .path(resume)
        }
    }

    /// How a run ended.
    public struct Outcome: Sendable {
        /// The status for the shell.
        public var exitCode: ExitCode
        /// Scores before adaptation, one per kind of prompt; empty when they were not asked for.
        public var before: [EvaluationRecord]
        /// Scores at the end.
        public var after: [EvaluationRecord]
        /// SHA-256 of the adapter file; nil on other ranks than 0.
        public var adapterDigest: String?
    }

    /// Describes a run.
    public init(
        recipe: ResolvedRecipe, communicator: any Communicator, workspace: Workspace, watchdog: Watchdog? = nil,
        methods: MethodRegistry = .known, isStopRequested: @escaping @Sendable () -> Bool,
        notice: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        (self.notice, self.methods) = (notice, methods)
        (self.recipe, self.communicator, self.workspace) = (recipe, communicator, workspace)
        (self.watchdog, self.isStopRequested) = (watchdog, isStopRequested)
        folder = RunFolder(folder: recipe.recipe.run.folder, name: recipe.recipe.run.name)
    }

    /// Runs to the end, from the last checkpoint if there is one.
    ///
    /// Throws the typed errors of every room; the command line turns them into one line and a status.
    public func run(_ start: Start = Start()) throws -> Outcome {
        let settings = recipe.recipe
        try checkRecipes()
        let kernels = try KernelAgreement(mixing: settings.execution.mixedKernels, communicator: communicator)
        let loaded = try LoadedModel(settings, communicator: communicator)
        let trainables = try trainables(loaded)
        if communicator.isRoot, let warning = promptWarning { notice(warning) }
        // Labels that are to be found are kept with the run, which nobody else may write meanwhile.
        let early = settings.prompts.source == .automatic ? try claim(start) : nil
        let labelling = AutomaticLabelling(
            recipe: settings, folder: folder, loaded: loaded, communicator: communicator, workspace: workspace,
            isStopRequested: isStopRequested, notice: notice)
        let data: TrainingData
        do {
            data = try TrainingData(
                settings, communicator: communicator, labelling: early == nil ? nil : { try labelling.label($0, $1) })
        } catch is AutomaticLabelling.StopRequested {
            return Outcome(exitCode: .resumable, before: [], after: [], adapterDigest: nil)
        }
        let memory = try MemoryCheck(
            recipe: settings, methods: methods, configuration: loaded.model.configuration,
            threads: workspace.pool.threads,
            mostInstances: data.mostInstances
        ).run(communicator)
        let claim = try early ?? claim(start)
        defer { withExtendedLifetime(claim) {} }
        var checkpoints = RunCheckpoints(
            settings, folder: folder, loaded: loaded, data: data,
            parameterCount: trainables.layout.count, kernels: kernels.record, communicator: communicator)
        let resumed = try checkpoints.resume(start.choice, allowing: start.allowedChanges)
        if communicator.isRoot {
            try folder.create(
                recipe: recipe.resolvedYAML, overwriting: start.overwriting,
                // A run that was killed before its first checkpoint has not begun.
                resuming: resumed != nil || start.choice == .auto && !folder.holdsAdapter)
        }
        try communicator.barrier()
        let known = resumed?.state.scores ?? []
        let log = try RunLog(rank: communicator.rank, host: communicator.hostName, folder: folder.path) { step in
            guard let first = resumed?.state.step else { return true }
            return step < first || step == first && known.contains { $0.step == step }
        }
        watchdog?.attach(log)
        try announce(loaded, data, firstStep: resumed?.state.step ?? 0, to: log)
        for line in resumed?.skipped ?? [] where communicator.isRoot { log.warning("checkpoint not used: \(line)") }
        if let resumed { log.message(.info, "goes on from \(resumed.path)") }
        for line in [kernels.warning, kernels.difference(from: resumed?.kernels)] where communicator.isRoot {
            if let line { log.warning(line) }
        }
        log.message(.info, loaded.placement)
        log.message(.info, memory.line)
        try checkpoints.open(log: log)

        let evaluator = try makeEvaluator(loaded, data)
        let anchors = try openAnchors(loaded, data, reservedBytes: memory.bytesToCome)
        log.message(.info, anchors.line)
        let trainer = try makeTrainer(loaded, data, anchors: anchors.store, resuming: resumed?.state)
        defer { trainer.stop() }
        let total = plan(trainer.stepsPerEpoch).totalSteps
        if let resumed, resumed.state.step > total {
            throw TrainingError(
                .configuration, "\(resumed.path) has done \(resumed.state.step) steps, this recipe ends after \(total)",
                remedy: "raise training.steps or training.epochs, or take another run.name")
        }
        // Asked to stop before there is anything to save.
        if try isStopAgreed() { return stopped(at: resumed?.state, log) }
        // The first one shows that the folder can be written before any work is done.
        if resumed == nil { try checkpoints.save(trainer.state(step: 0, images: 0), isNeeded: true, log: log) }
        let started = ContinuousClock.now
        var scores = Scores(known.map { evaluationRecord($0) })
        if settings.evaluation.before || total == 0, resumed?.state.step ?? 0 == 0, scores.before.isEmpty, let evaluator
        {
            scores.before = try evaluate(evaluator, loaded.base, trainer, data, step: 0, loss: nil, log)
        }
        let end = try train(
            trainer, loaded, data, evaluator, &checkpoints, anchors.store, from: resumed?.state, &scores, log)
        guard total == 0 || end.stop != .finished || trainer.updates > 0 else {
            throw TrainingError(
                .badData, "none of \(end.steps) steps made an update: no image gave anything to learn from",
                remedy: "see the warnings about images, and kedge data check")
        }
        // A method without steps leaves the model as it was.
        if total == 0 { scores.last = scores.before }
        let code: ExitCode = end.stop == .requested ? .resumable : .done
        // A run that was stopped has no final adapter, only that of its last step.
        let file = code == .done ? folder.adapter : folder.adapter(step: end.steps)
        let digest =
            communicator.isRoot
            ? try AdapterFile.write(
                trainer.adapted, settings.adapterOptions, loaded.description(settings, step: end.steps), to: file) : nil
        if communicator.isRoot {
            if !scores.before.isEmpty, !scores.last.isEmpty, scores.last.allSatisfy({ $0.step == end.steps }) {
                let table = EvaluationTable(before: scores.before, after: scores.last).text
                try folder.writeSummary(table)
                for line in table.split(separator: "\n") { log.message(.info, String(line)) }
            }
            log.message(.info, "adapter \(file) sha256 \(digest ?? "")")
        }
        let seconds = Double((ContinuousClock.now - started).components.seconds)
        log.record(
            .end(
                EndRecord(
                    exitCode: code, step: end.steps, imagesSeen: end.images, badImages: trainer.badSamples.count,
                    seconds: seconds)))
        return Outcome(exitCode: code, before: scores.before, after: scores.last, adapterDigest: digest)
    }

    /// Rank 0's hold on the run's folder.
    private struct Claim {
        let lock: RunLock?
    }

    private func claim(_ start: Start) throws -> Claim {
        guard communicator.isRoot else { return Claim(lock: nil) }
        // Said before hours may go into finding labels.
        if folder.holdsRun, start.choice == nil, !start.overwriting { throw folder.heldAlready }
        try folder.make()
        return Claim(lock: try RunLock(folder: folder.path) { notice($0) })
    }

    private struct TrainingEnd {
        var steps = 0
        var images = 0
        var stop = TrainingController.ControlMessage.Stop.finished
    }

    /// What evaluations gave: of the unadapted model, and the last time.
    private struct Scores {
        var before: [EvaluationRecord]
        var last: [EvaluationRecord]

        init(_ records: [EvaluationRecord]) {
            before = records.filter { $0.step == 0 }
            last = records.filter { $0.step > 0 }
        }

        var forCheckpoint: [CheckpointScore] { (before + last).map { CheckpointScore($0) } }
    }

    /// The loop over steps.
    private func train(
        _ trainer: Trainer, _ loaded: LoadedModel, _ data: TrainingData, _ evaluator: Evaluator?,
        _ checkpoints: inout RunCheckpoints, _ anchors: AnchorStore?, from state: CheckpointState?,
        _ scores: inout Scores, _ log: RunLog
    ) throws -> TrainingEnd {
        let total = plan(trainer.stepsPerEpoch).totalSteps
        var end = TrainingEnd(steps: state?.step ?? 0, images: state?.images ?? 0)
        var reporter = StepReporter(
            totalSteps: total, firstStep: end.steps, images: end.images, lossNames: trainer.lossNames,
            threads: workspace.pool.threads, log: log)
        if end.steps >= total { log.message(.info, "all \(total) steps are done already") }
        while end.steps < total {
            let outcome: Trainer.StepOutcome
            let leftOut = trainer.badSamples
            do {
                outcome = try trainer.runStep(
                    end.steps, isStopRequested: isStopRequested(), saving: checkpoints.signals)
            } catch {
                // What was learnt until here is worth more than a second error.
                if end.steps > 0 { try? save(trainer, loaded, step: end.steps) }
                throw error
            }
            if outcome.message.stop == .badData {
                // The step is not done: what was learnt before it is saved, and the same command does it again.
                // A checkpoint of this very step is there already where nothing was learnt since.
                if end.steps > state?.step ?? 0 {
                    var state = trainer.state(step: end.steps, images: end.images)
                    state.scores = scores.forCheckpoint
                    try checkpoints.save(state, waits: true, log: log)
                }
                throw tooManyBad(outcome.unreadable, leftOut, data, while: "step \(outcome.step): ")
            }
            tell(outcome, leftOut: leftOut, log)
            end.steps += 1
            end.images += outcome.images
            reporter.add(outcome)
            if end.steps % trainer.stepsPerEpoch == 0 || outcome.message.stop != nil {
                reporter.reportAnchors(epoch: outcome.epoch)
                if let fault = anchors?.takeFault() {
                    log.warning("the anchor store takes no more on \(communicator.hostName): \(fault)")
                }
            }
            if outcome.message.logs { try reporter.report(outcome, communicator: communicator) }
            if outcome.message.evaluates {
                reporter.pause()
                do { try save(trainer, loaded, step: end.steps) } catch {
                    // The last one is what the run is for; an earlier one is a convenience.
                    if outcome.message.stop != nil { throw error }
                    log.warning("adapter after step \(end.steps) is not saved: \(error)")
                }
                if let evaluator {
                    do {
                        scores.last = try evaluate(
                            evaluator, trainer.adapted, trainer, data, step: end.steps,
                            loss: reporter.lastLoss, log)
                    } catch let error as TrainingError where error.kind == .badData {
                        // All ranks are here: too many images cannot be read. What was learnt is kept.
                        var state = trainer.state(step: end.steps, images: end.images)
                        state.scores = scores.forCheckpoint
                        try checkpoints.save(state, waits: true, log: log)
                        throw error
                    }
                }
                reporter.resume()
            }
            try checkpoints.proceed(areShardsWritten: outcome.areShardsWritten, log: log)
            if outcome.message.saves {
                var state = trainer.state(step: end.steps, images: end.images)
                state.scores = scores.forCheckpoint
                try checkpoints.save(
                    state, waits: outcome.message.stop != nil, isNeeded: outcome.message.stop == .requested, log: log)
            }
            guard let stop = outcome.message.stop else { continue }
            if stop == .nonFinite {
                try checkpoints.settle(log: log)
                try save(trainer, loaded, step: end.steps)
                throw TrainingError(
                    .nonFinite,
                    "step \(outcome.step): " + outcome.nonFinite.map(\.line).joined(separator: "; "),
                    remedy: "look at these images, lower optimizer.learningRate, or set training.nonFinite=skip")
            }
            if stop == .cannotSave { throw checkpoints.failure }
            end.stop = stop
            return end
        }
        return end
    }

    private func save(_ trainer: Trainer, _ loaded: LoadedModel, step: Int) throws {
        guard communicator.isRoot else { return }
        try FaultInjector.$step.withValue(step) {
            _ = try FaultInjector.$file.withValue(.adapter) {
                try AdapterFile.write(
                    trainer.adapted, recipe.recipe.adapterOptions, loaded.description(recipe.recipe, step: step),
                    to: folder.adapter(step: step))
            }
        }
    }

    private func evaluate(
        _ evaluator: Evaluator, _ adapted: AdaptedModel, _ trainer: Trainer, _ data: TrainingData, step: Int,
        loss: Double?, _ log: RunLog
    ) throws -> [EvaluationRecord] {
        try FaultInjector.$step.withValue(step) { try FaultInjector.check(.evaluation) }
        let started = ContinuousClock.now
        let (outcomes, unreadable) = try evaluator.evaluate(adapted, communicator: communicator, in: workspace)
        let leftOut = trainer.badSamples
        guard try trainer.leaveOut(unreadable) else {
            throw tooManyBad(unreadable, leftOut, data, while: "evaluation after step \(step): ")
        }
        for image in unreadable where communicator.isRoot && !leftOut.contains(image.number) {
            log.warning("evaluation after step \(step): image \(image.id) is left out: \(image.line)")
        }
        let seconds =
            Double((ContinuousClock.now - started).components.attoseconds) * 1e-18
            + Double((ContinuousClock.now - started).components.seconds)
        return outcomes.map { outcome in
            let record = EvaluationRecord(
                name: recipe.recipe.run.name, prompt: outcome.prompt.rawValue, scores: outcome.scores,
                step: step, loss: loss, images: outcome.images.count,
                instances: outcome.instances, threshold: recipe.recipe.evaluation.threshold, seconds: seconds)
            if communicator.isRoot {
                do throws(TrainingError) { try folder.write(outcome, step: step) } catch {
                    log.warning("the scores per image after step \(step) are not written: \(error)")
                }
            }
            log.record(.evaluation(record))
            return record
        }
    }
}
