import AdaptationMethods
import Adapters
import CheckpointStore
public import Collectives
import Datasets
import Evaluation
import Foundation
public import Kernels
import Layers
import ModelLoading
public import Recipes
public import Telemetry
import Training

/// A whole run on one rank: load, evaluate, train, evaluate, save. All ranks call it with the same recipe.
public struct AdaptationRun {
    /// The recipe with the sources of its values.
    public let recipe: ResolvedRecipe
    /// The communicator of all ranks.
    public let communicator: any Communicator
    /// This rank's threads and scratch.
    public let workspace: Workspace
    /// The run's folder, where rank 0 writes.
    public let folder: RunFolder
    /// True once the run was asked to end, for example by a signal.
    public let isStopRequested: @Sendable () -> Bool
    /// The watchdog of this rank, if any; it writes to the run's log.
    public let watchdog: Watchdog?
    /// Called with notices for the user before the log is open.
    public let notice: @Sendable (String) -> Void

    let assembly: RunAssembly
    /// The git revision of the program, for the log.
    let revision: String

    /// How to treat an existing run in the same folder.
    public struct Start: Sendable {
        /// `auto`, `none`, or the path of a checkpoint.
        public var resume: String
        /// True to replace a run of the same name.
        public var overwriting: Bool
        /// Keys that may differ from those of the checkpoint.
        public var allowedChanges: [String]

        /// Defaults: resume if there is a checkpoint.
        public init(resume: String = "auto", overwriting: Bool = false, allowedChanges: [String] = []) {
            (self.resume, self.overwriting, self.allowedChanges) = (resume, overwriting, allowedChanges)
        }

        /// The checkpoint to resume from; nil for none.
        var choice: CheckpointStore.Choice? {
            if overwriting || resume == "none" { return nil }
            return resume == "auto" ? .auto : .path(resume)
        }
    }

    /// How a run ended.
    public struct Outcome: Sendable {
        /// The exit code for the shell.
        public var exitCode: ExitCode
        /// Scores before adaptation, one per source and kind of prompt; empty if not requested.
        public var before: [EvaluationRecord] = []
        /// Scores at the end.
        public var after: [EvaluationRecord] = []
        /// SHA-256 of the adapter file; nil on ranks other than 0.
        public var adapterDigest: String?
    }

    /// Creates a run; `run` executes it.
    public init(
        recipe: ResolvedRecipe, communicator: any Communicator, workspace: Workspace, revision: String = "unknown",
        watchdog: Watchdog? = nil, isStopRequested: @escaping @Sendable () -> Bool,
        notice: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        (self.notice, self.recipe, self.communicator, self.workspace) = (notice, recipe, communicator, workspace)
        (self.revision, self.watchdog, self.isStopRequested) = (revision, watchdog, isStopRequested)
        folder = RunFolder(folder: recipe.recipe.run.folder, name: recipe.recipe.run.name)
        assembly = RunAssembly(recipe: recipe.recipe, communicator: communicator, workspace: workspace)
    }

    /// Runs to the end, from the last checkpoint if there is one.
    ///
    /// Throws the typed errors of every module; the command line turns them into one line and an exit code.
    public func run(_ start: Start = Start()) throws -> Outcome {
        let begin = ContinuousClock.now
        try assembly.checkRecipes()
        let continued = try ContinuedPool(recipe.recipe)
        let kernels = try KernelAgreement(
            mixing: recipe.recipe.execution.mixedKernels, communicator: communicator)
        var claim: Claim?
        guard let first = try runFirstStage(start, &claim) else { return Outcome(exitCode: .resumable) }
        try MemoryCheck.checkWeights(recipe.recipe.model, communicator)
        let loaded = try LoadedModel(recipe.recipe.model, recipe.recipe.node, communicator: communicator)
        try continued?.check(loaded)
        if let refiner = first.refiner { _ = try loaded.refiner(opening: refiner) }
        let trainables = try assembly.trainables(loaded)
        let startValues = try assembly.startValues(trainables, loaded)
        if communicator.isRoot, let warning = assembly.promptWarning { notice(warning) }
        guard let data = try openData(loaded, start, &claim, refiner: first.refiner) else {
            return Outcome(exitCode: .resumable)
        }
        let assembly = self.assembly.settled(data)
        if communicator.isRoot, self.assembly.promptWarning == nil, let warning = assembly.promptWarning {
            notice(warning)
        }
        try assembly.checkStages(data, trainables)
        let memory = try assembly.memoryCheck(loaded, data, inherited: continued?.domains.count ?? 0)
            .run(communicator)
        if claim == nil { claim = try self.claim(start) }
        let folder = self.folder.held(by: claim?.lock)
        let isUnbegun = communicator.isRoot && folder.isUnbegun

        var checkpoints = RunCheckpoints(
            recipe.recipe, folder: folder,
            identity: .init(
                assembly, loaded, data, parameterCount: trainables.layout.count, kernels: kernels.record,
                startDigest: startValues?.digest, continuing: continued),
            communicator: communicator)
        let resumed = try checkpoints.resume(start.choice, allowing: start.allowedChanges, isUnbegun: isUnbegun)
        let log = try openLog(start, resumed, in: folder)
        log.record(
            .start(
                try assembly.startRecord(
                    recipe.entries, loaded, Versions.all(revision: revision), firstStep: resumed?.state.step ?? 0)))
        announce(data, kernels, resumed, to: log)
        log.fact(assembly.promptFact)
        if let startValues { log.message(.info, startValues.line(recipe.recipe.training.startFrom)) }
        for line in assembly.scheduleWarnings(data) + data.scoreWarnings where communicator.isRoot { log.warning(line) }
        loaded.placement.map { log.fact($0) }
        log.fact(memory.fact)
        try checkpoints.open(log: log)
        let anchors = try assembly.openAnchors(loaded, data, reservedBytes: memory.bytesToCome)
        log.fact(anchors.fact)

        let trainer = try assembly.makeTrainer(
            loaded, data, anchors: anchors.store, startingFrom: startValues?.values, resuming: resumed?.state)
        defer { trainer.stop() }
        let context = RunContext(
            assembly: assembly, loaded: loaded, data: data, stages: assembly.stages(data), folder: folder, log: log,
            isStopRequested: isStopRequested)
        var loop = try loop(context, trainer, anchors.store, checkpoints, resumed, continued)
        return try train(&loop, resumed, since: begin)
    }

    /// What a run has trained before its model is loaded.
    private struct FirstStage {
        /// The file of the refinement module; nil for a run without one.
        let refiner: String?
    }

    /// Trains what the run needs first; nil if it was asked to stop meanwhile. Collective.
    private func runFirstStage(_ start: Start, _ claim: inout Claim?) throws -> FirstStage? {
        guard let stage = RefinerStage(recipe, place: folder.products(of: recipe.recipe), notice: notice) else {
            return FirstStage(refiner: nil)
        }
        claim = try self.claim(start)
        // What the run would refuse is refused before the first stage.
        _ = try RunRehearsal(recipe.recipe, communicator: communicator)
        return try stage.run(start, as: self).map { FirstStage(refiner: $0) }
    }

    /// The loop from the first step, or from a checkpoint.
    private func loop(
        _ context: RunContext, _ trainer: Trainer, _ anchors: AnchorStore?, _ checkpoints: RunCheckpoints,
        _ resumed: CheckpointStore.Resumed?, _ continued: ContinuedPool?
    ) throws -> TrainingLoop {
        let (state, stageEnds) = (resumed?.state, trainer.schedule.stageEnds)
        let evaluation = RunEvaluation(
            context: context, evaluators: context.assembly.makeEvaluators(context.loaded, context.data))
        let pool = try makePool(context, continued, trainer.schedule, done: state?.step ?? 0)
        return TrainingLoop(
            context: context, trainer: trainer, anchors: anchors, evaluation: evaluation, checkpoints: checkpoints,
            scores: .init(evaluation.records(state?.scores ?? []), stageEnds: stageEnds), pool: pool,
            done: (state?.step ?? 0, state?.images ?? 0))
    }

    /// The pool of the run, if its strategy keeps one. Collective.
    private func makePool(
        _ context: RunContext, _ continued: ContinuedPool?, _ schedule: SamplingSchedule, done: Int
    ) throws -> RunPool? {
        guard recipe.recipe.continual.strategy.keepsPool else { return nil }
        return try RunPool(context, continuing: continued, steps: done, stageEnds: schedule.stageEnds)
    }

    /// From the first checkpoint to the summary.
    private func train(
        _ loop: inout TrainingLoop, _ resumed: CheckpointStore.Resumed?, since begin: ContinuousClock.Instant
    ) throws -> Outcome {
        let total = loop.trainer.schedule.totalSteps
        if let resumed, resumed.state.step > total {
            throw RunError(
                .configuration, "\(resumed.path) is at step \(resumed.state.step), but this recipe ends after \(total)",
                remedy: "raise training.steps or training.epochs, choose another run.name, or replace the run with "
                    + "--overwrite")
        }
        // Asked to stop before there is anything to save.
        if try assembly.isStopAgreed(isStopRequested()) { return stopped(loop) }
        // The first checkpoint proves that the folder is writable before any work is done.
        if resumed == nil { try loop.checkpoints.save(loop.state, isNeeded: true, log: loop.context.log) }
        if recipe.recipe.evaluation.before || total == 0, loop.done.steps == 0, loop.scores.before.isEmpty {
            loop.scores.before = try loop.evaluation.run(.one(loop.context.loaded.base), .init(step: 0), loop.trainer)
        }
        let stop = try loop.run()
        guard total == 0 || stop != .finished || loop.trainer.updates > 0 else {
            throw RunError(
                .badData, "none of \(loop.done.steps) steps updated the model: no image gave a training signal",
                remedy: "see the warnings about images, and run kedge data check")
        }
        return try finish(&loop, stop == .requested ? .resumable : .done, since: begin)
    }
}
