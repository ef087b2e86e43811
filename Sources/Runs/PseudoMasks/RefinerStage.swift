import Interaction
import Evaluation
import AdaptationMethods
import Collectives
import Datasets
import Foundation
import Recipes
import Telemetry
import Training

// The first stage of SUM is a run of its own in the folder `refiner` of the run or of its store: sources with masks alone, method
// `refiner`, the rate and epochs that the recipe gives it, and a fixed seed, so that runs of several seeds share it. It has
// its own log, checkpoints and scores; the same command continues it.

/// The training of the refinement module before a run that needs it.
struct RefinerStage {
    let recipe: ResolvedRecipe
    let plan: PseudoMaskPlan
    /// The folder in which the stage's own folder stands.
    let place: String
    let notice: @Sendable (String) -> Void

    /// The name of the stage's folder.
    static let name = "refiner"

    /// Nil for a run that needs no refinement module.
    init?(_ recipe: ResolvedRecipe, place: String, notice: @escaping @Sendable (String) -> Void) {
        guard let plan = recipe.recipe.adaptationMethod.pseudoMasks, plan.uncertainty == .refiner else { return nil }
        (self.recipe, self.plan, self.place, self.notice) = (recipe, plan, place, notice)
    }

    /// The file of the module.
    var file: String { plan.refiner.file.isEmpty ? "\(place)/\(Self.name)/adapter.safetensors" : plan.refiner.file }

    /// The recipe of the stage. Throws `RecipeError`.
    func stageRecipe() throws -> ResolvedRecipe {
        var own = recipe.recipe
        let seed = TrainingSettings().seed
        own.method = MethodSection()
        own.method.set(row: 0, to: .word(PseudoMaskPlan.Refiner.method))
        for (name, value) in plan.refiner.keys {
            guard let row = own.method.rows.firstIndex(where: { $0.name == name }) else { continue }
            own.method.set(row: row, to: value)
        }
        own.run = RunSettings()
        (own.run.folder, own.run.name) = (place, Self.name)
        own.data.sources = recipe.recipe.data.sources.filter { $0.settings.supervision == .full }
        for index in own.data.sources.indices {
            own.data.sources[index].settings.task = .none
            own.data.sources[index].settings.share = 0
        }
        own.continual = ContinualSettings()
        own.training.domains = .joint
        (own.training.order, own.training.startFrom) = ("", "")
        (own.training.epochs, own.training.steps, own.training.evaluateEvery) = (plan.refiner.epochs, 0, 0)
        own.training.seed = seed
        own.optimizer.learningRate = .value(plan.refiner.rate)
        own.evaluation.prompts = [.point]
        own.evaluation.before = true
        // Refined masks are scored at the images' own size, whatever the run's view.
        own.evaluation.view = .fit
        return try ResolvedRecipe(own, madeFrom: recipe)
    }

    /// Trains the module, or continues or reuses its training; nil if the run was asked to stop. Collective.
    ///
    /// Throws the typed errors of every module, and `RunError` of kind `badData` where refined masks are no better.
    func run(_ start: AdaptationRun.Start, as run: AdaptationRun) throws -> String? {
        guard plan.refiner.file.isEmpty else {
            guard FileManager.default.fileExists(atPath: plan.refiner.file) else {
                throw RunError(
                    .missingInput,
                    "method.refiner=\(plan.refiner.file) does not exist on rank \(run.communicator.rank)",
                    remedy: "give the adapter.safetensors of a run of method refiner, or leave it empty")
            }
            return plan.refiner.file
        }
        let isRoot = run.communicator.isRoot
        if isRoot { notice("stage 1 of 2: the refinement module, in \(place)/\(Self.name)") }
        let stage = AdaptationRun(
            recipe: try stageRecipe(), communicator: run.communicator, workspace: run.workspace,
            revision: run.revision, watchdog: run.watchdog, isStopRequested: run.isStopRequested, notice: notice)
        let outcome = try stage.run(.init(overwriting: start.overwriting && plan.store.isEmpty))
        guard outcome.exitCode == .done else { return nil }
        try judge(outcome, isRoot: isRoot)
        if isRoot { notice("stage 2 of 2: fine-tuning with pseudo-masks") }
        return file
    }

    /// Compares the boundary IoU of refined masks with that of the masks they were made from.
    private func judge(_ outcome: AdaptationRun.Outcome, isRoot: Bool) throws(RunError) {
        guard let before = Self.boundaryIoU(outcome.before), let after = Self.boundaryIoU(outcome.after) else {
            if isRoot {
                notice(
                    "warning: none of the model's answers to points in the held-out images is good enough to be refined, so there "
                        + "is no evidence that the refinement module helps; hold out more images (data.sources.NAME.split)"
                )
            }
            return
        }
        let line = String(
            format: "boundary IoU of %d held-out masks %.4f, refined %.4f", before.instances, before.value, after.value)
        guard after.value <= before.value else {
            if isRoot { notice("the refinement module helps: \(line)") }
            return
        }
        guard plan.refiner.mustImprove else {
            if isRoot { notice("warning: the refinement module does not help: \(line)") }
            return
        }
        throw RunError(
            .badData, "the refinement module does not help: \(line)",
            remedy: "give more images with masks, change method.refinerEpochs or method.refinerRate, choose "
                + "method.uncertainty=discrepancy, which needs none, or go on with method.refinerMustImprove=false")
    }

    /// The mean over sources, weighted by their masks; nil without any.
    private static func boundaryIoU(_ records: [EvaluationRecord]) -> (value: Double, instances: Int)? {
        let scored = records.filter { $0.instances > 0 && $0.scores[.boundaryIoU] != nil }
        let instances = scored.reduce(0) { $0 + $1.instances }
        guard instances > 0 else { return nil }
        let sum = scored.reduce(0) { $0 + Double($1.instances) * ($1.scores[.boundaryIoU] ?? 0) }
        return (sum / Double(instances), instances)
    }
}
