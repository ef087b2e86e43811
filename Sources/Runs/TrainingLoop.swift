import AdaptationMethods
import Adapters
import CheckpointStore
import Collectives
import Datasets
import Evaluation
import FaultInjection
import Foundation
import Kernels
import Machine
import ModelLoading
import Telemetry
import Training

/// The step loop of a run: computing, reporting, evaluating, saving, ending.
struct TrainingLoop {
    let context: RunContext
    let trainer: Trainer
    let anchors: AnchorStore?
    let evaluation: RunEvaluation
    var checkpoints: RunCheckpoints
    /// Results of the evaluations so far.
    var scores: RunEvaluation.Scores
    /// The pool of finished stages, if the strategy keeps one.
    var pool: RunPool?
    /// Steps completed, and images trained on.
    var done: (steps: Int, images: Int)

    /// Trains from the completed steps to the end of the run, or until it is stopped. Collective.
    ///
    /// Throws the error that ends a run that cannot continue; what was learnt until then is saved.
    mutating func run() throws -> TrainingController.ControlMessage.Stop {
        let first = done
        let total = trainer.schedule.totalSteps
        var reporter = StepReporter(
            totalSteps: total, firstStep: done.steps, images: done.images, lossNames: trainer.lossNames,
            threads: context.assembly.workspace.pool.threads, log: context.log)
        if done.steps >= total { context.log.message(.info, "all \(total) steps are already done") }
        if let stage = stageLeftOpen { try evaluate(stage: stage, endsRun: false, &reporter) }
        while done.steps < total {
            announceStage()
            let leftOut = trainer.leftOut
            let outcome = try step()
            if outcome.message.stop == .folderLost { throw try lostFolder() }
            try refuseBadData(outcome, leftOut, isNew: done.steps > first.steps)
            report(outcome, leftOut)
            done.steps += 1
            done.images += outcome.images
            reporter.add(outcome)
            if outcome.endsEpoch || outcome.message.stop != nil { reportEpoch(outcome, &reporter) }
            if outcome.message.logs {
                try reporter.report(
                    outcome, stage: context.stages.count > 1 ? context.stages[outcome.stage].name : nil,
                    communicator: context.assembly.communicator)
            }
            if outcome.message.evaluates {
                try evaluate(stage: outcome.stage, endsRun: outcome.message.stop != nil, &reporter)
            }
            try checkpoints.proceed(areShardsWritten: outcome.areShardsWritten, log: context.log)
            if outcome.message.saves { try save(outcome.message.stop) }
            if let stop = outcome.message.stop { return try end(stop, outcome) }
        }
        return .finished
    }

    /// One step of all ranks.
    private mutating func step() throws -> StepOutcome {
        checkpoints.enterStep()
        defer { checkpoints.leaveStep() }
        do {
            return try trainer.runStep(
                done.steps, isStopRequested: context.isStopRequested(), saving: { checkpoints.signals })
        } catch {
            // The adapter learnt so far is worth more than a second error.
            if done.steps > 0 { try? saveAdapter() }
            throw error
        }
    }

    /// The error, on all ranks, of a run whose folder is no longer its own. Collective.
    private func lostFolder() throws -> any Error {
        try checkpoints.confirmFolder()
        // It came back in the meantime, but others may have written there.
        return RunError(
            .cannotWrite, "\(context.folder.path) was not this run's for a while",
            remedy: "repeat the command to continue from the last checkpoint")
    }

    /// Ends a run that met more unreadable images than it may skip.
    ///
    /// The step is not completed: the state before it is saved, and the same command repeats it. If nothing was learnt
    /// since, a checkpoint of this very step already exists.
    private mutating func refuseBadData(_ outcome: StepOutcome, _ leftOut: [ImageID], isNew: Bool) throws {
        guard outcome.message.stop == .badData else { return }
        if isNew { try checkpoints.save(state, waits: true, log: context.log) }
        throw context.assembly.tooManyBad(outcome.unreadable, leftOut, context.data, while: "step \(outcome.step): ")
    }

    /// Logs a step's newly skipped images and non-finite values, on rank 0.
    private func report(_ outcome: StepOutcome, _ leftOut: [ImageID]) {
        guard context.assembly.communicator.isRoot else { return }
        for image in outcome.unreadable where !leftOut.contains(image.image) {
            context.log.warning("step \(outcome.step): image \(image.id) skipped: \(image.line)")
        }
        if let warning = outcome.warning { context.log.warning(warning) }
        for sample in outcome.nonFinite {
            context.log.warning("step \(outcome.step): batch skipped: \(sample.line)")
        }
    }

    private func reportEpoch(_ outcome: StepOutcome, _ reporter: inout StepReporter) {
        if context.assembly.recipe.adaptationMethod.needs.anchor { reporter.reportAnchors(epoch: outcome.epoch) }
        if let fault = anchors?.takeFault() {
            context.log.warning("anchor store on \(context.assembly.communicator.hostName) full or failing: \(fault)")
        }
    }

    private mutating func evaluate(stage: Int, endsRun: Bool, _ reporter: inout StepReporter) throws {
        reporter.pause()
        defer { reporter.resume() }
        do { try saveAdapter() } catch {
            // The last adapter is the purpose of the run; an earlier one is a convenience.
            if let loss = context.folder.lock?.loss { throw loss }
            if endsRun { throw error }
            context.log.warning("adapter after step \(done.steps) not saved: \(error)")
        }
        let endsStage = trainer.schedule.stageEnds.contains(done.steps)
        let (subject, evaluated) = try subject(ofStage: stage, endsStage: endsStage)
        guard !evaluation.isEmpty else { return }
        do {
            let records = try evaluation.run(
                subject, .init(step: done.steps, stage: evaluated, loss: reporter.lastLoss), trainer)
            scores.add(records, endsStage: endsStage)
            if endsStage { try reportStages() }
        } catch let error as RunError where error.kind == .badData {
            // On all ranks: too many images are unreadable. What was learnt is saved.
            try checkpoints.save(state, waits: true, log: context.log)
            throw error
        }
    }

    private mutating func save(_ stop: TrainingController.ControlMessage.Stop?) throws {
        try checkpoints.save(state, waits: stop != nil, isNeeded: stop == .requested, log: context.log)
    }

    /// Handles a message that requests a stop.
    private mutating func end(
        _ stop: TrainingController.ControlMessage.Stop, _ outcome: StepOutcome
    ) throws -> TrainingController.ControlMessage.Stop {
        switch stop {
        case .nonFinite:
            try checkpoints.settle(log: context.log)
            try saveAdapter()
            throw RunError(
                .nonFinite, "step \(outcome.step): " + outcome.nonFinite.map(\.line).joined(separator: "; "),
                remedy: "check these images, lower optimizer.learningRate, or set training.nonFinite=skip")
        case .cannotSave: throw checkpoints.failure
        case .finished, .requested, .badData, .folderLost: return stop
        }
    }

    /// This rank's contribution to a checkpoint.
    var state: CheckpointState {
        var state = trainer.state(step: done.steps, images: done.images)
        state.scores = scores.forCheckpoint
        return state
    }

    private func saveAdapter() throws {
        guard context.assembly.communicator.isRoot else { return }
        try FaultInjector.$step.withValue(done.steps) {
            _ = try FaultInjector.$file.withValue(.adapter) {
                try writeAdapter(to: context.folder.adapter(step: done.steps))
            }
        }
    }

    /// Writes the current adapter; returns its SHA-256. Called on rank 0 only.
    func writeAdapter(to file: String) throws -> String {
        try AdapterFile.write(
            trainer.adapted, context.assembly.recipe.adapterOptions,
            context.loaded.description(
                recipeDigest: context.assembly.recipe.digest, step: done.steps,
                intensity: context.data.intensityRecord.text), to: file, ifAllowed: context.folder.permit)
    }
}

// MARK: - Stages

extension TrainingLoop {
    /// What is evaluated in a stage: the adapter in training, or at the end of a stage the pool it has joined. An adapter of
    /// a pool is no measure for other domains than its own.
    private mutating func subject(ofStage stage: Int, endsStage: Bool) throws -> (EvaluatedModel, Stage) {
        let own = context.stages[stage]
        guard var pool = pool.take() else { return (.one(trainer.adapted), own) }
        defer { self.pool = pool }
        guard endsStage else {
            return (.one(trainer.adapted), Stage(own.name, domains: own.domains, evaluated: own.domains))
        }
        if pool.stages == stage {
            try pool.add(
                trainer.adapted, stage: own, step: done.steps, steps: trainer.schedule.legs[stage].steps)
        }
        return (.pool(try pool.evaluated()), own)
    }

    /// The stage that a run ended right after, on request and so without scores and without joining the pool, before it was
    /// resumed; nil if there is none.
    private var stageLeftOpen: Int? {
        guard context.stages.count > 1, let stage = trainer.schedule.stageEnds.dropLast().firstIndex(of: done.steps)
        else { return nil }
        let isScored = evaluation.isEmpty || scores.stageEnds.contains { $0.step == done.steps }
        return isScored && pool.map { $0.stages > stage } ?? true ? nil : stage
    }

    /// Writes and logs the scores of all stages so far, if a run has several; on rank 0.
    private func reportStages() throws {
        let recipe = context.assembly.recipe
        let report = ContinualReport(
            title: "\(recipe.method.name), \(recipe.continual.strategy.name), seed \(recipe.training.seed)",
            stages: context.stages)
        guard context.assembly.communicator.isRoot, let scores = report.scores(scores.stageEnds) else { return }
        do { try context.folder.write(scores) } catch {
            if let loss = context.folder.lock?.loss { throw loss }
            context.log.warning("scores of the stages not written: \(error)")
        }
        for line in scores.text.split(separator: "\n") { context.log.message(.info, String(line)) }
    }

    /// Logs the beginning of a stage, if a run has several.
    private func announceStage() {
        let schedule = trainer.schedule
        guard context.stages.count > 1, let place = schedule.place(of: done.steps) else { return }
        let firstStep = place.stage == 0 ? 0 : schedule.stageEnds[place.stage - 1]
        guard done.steps == firstStep else { return }
        context.log.fact(
            StageFact(
                stage: context.stages[place.stage].name, number: place.stage + 1, count: context.stages.count,
                domains: context.stages[place.stage].domains, firstStep: firstStep,
                steps: schedule.legs[place.stage].steps))
    }
}
