import AdaptationMethods
package import Adapters
package import CheckpointStore
package import Collectives
package import Datasets
package import Evaluation
import Foundation
package import Kernels
import Layers
package import ModelLoading
import Recipes
import SegmentAnything
import Telemetry
package import Tensors
package import Training
import WeightFiles

/// Turns sections of the recipe into trainer, evaluators, schedule and the store of anchor embeddings.
///
/// Model, data, checkpoints and watchdog are opened from their sections directly.
package struct RunAssembly {
    let recipe: Recipe
    let communicator: any Communicator
    let workspace: Workspace

    package init(recipe: Recipe, communicator: any Communicator, workspace: Workspace) {
        (self.recipe, self.communicator, self.workspace) = (recipe, communicator, workspace)
    }

    /// The assembly of a run over these images: with the prompts that their labels give, and the schedule of its length.
    func settled(_ data: TrainingData) -> RunAssembly {
        RunAssembly(
            recipe: recipe.settled(data.choice, totalSteps: scheduledSteps(data)), communicator: communicator,
            workspace: workspace)
    }

    /// The steps of one schedule of the optimiser: those of the run or, where each stage has its own, of the longest.
    private func scheduledSteps(_ data: TrainingData) -> Int {
        let schedule = schedule(data)
        guard recipe.continual.strategy.stageStart != .everything else { return schedule.totalSteps }
        return schedule.legs.map(\.steps).max() ?? 0
    }

    /// The parameters that the recipe's method trains in the loaded model. Throws `AdaptationMethodError` and
    /// `AdapterError`.
    package func trainables(_ loaded: LoadedModel) throws -> Trainables {
        let description = ModelDescription(loaded.model.configuration)
        let method = recipe.adaptationMethod
        try method.check(for: description)
        return try Trainables(method.trainables, in: description, recipe.adapterOptions)
    }

    /// Throws `RunError` of kind `missingInput` if the file of the values that training begins with does not exist.
    func checkStartFile() throws(RunError) {
        let path = recipe.training.startFrom
        guard !path.isEmpty, !FileManager.default.fileExists(atPath: path) else { return }
        throw RunError(
            .missingInput, "training.startFrom=\(path) does not exist on rank \(communicator.rank)",
            remedy: "give the adapter.safetensors of a run, or a weight file")
    }

    /// The values that training begins with, if the recipe names a file; equal on all ranks. Collective.
    ///
    /// Throws `WeightFileError` for a file that does not fit, and `RunError`.
    func startValues(_ trainables: Trainables, _ loaded: LoadedModel) throws -> StartValues? {
        let path = recipe.training.startFrom
        guard !path.isEmpty else { return nil }
        try checkStartFile()
        let start = try StartValues(reading: path, for: trainables, baseDigest: loaded.baseDigest)
        try RankAgreement.check([(name: "training.startFrom", value: start.digest)], communicator: communicator)
        return start
    }

    /// Stops a run with more stages than its adapters have a share for. Throws `RunError`.
    func checkStages(_ data: TrainingData, _ trainables: Trainables) throws(RunError) {
        let (count, most) = (stages(data).count, recipe.promptPool.stages)
        guard count > most, trainables.adapters.contains(where: { $0 is any StagedAdapter }) else { return }
        throw RunError(
            .configuration, "\(count) stages, but promptPool.stages=\(most)",
            remedy: "set promptPool.stages to at least the number of domains")
    }

    /// The stages of the run.
    func stages(_ data: TrainingData) -> [Stage] {
        let domains = recipe.training.order.isEmpty ? data.training.domains : recipe.training.orderedDomains
        let stages = recipe.adaptationMethod.stages(over: domains, order: recipe.training.domains)
        let strategy = recipe.continual.strategy
        guard strategy != .none else { return stages }
        // Domains to come are not scored; those that are never trained on always are.
        let trained = domains
        let natural = DataMixture.inOrder(data.evaluation.map(\.domain)).filter { !trained.contains($0) }
        return stages.indices.map { place in
            let learned = (strategy.servesEarlierDomains ? stages[...place] : stages[place...place]).flatMap(\.domains)
            return Stage(
                stages[place].name, domains: stages[place].domains,
                evaluated: trained.filter { learned.contains($0) } + natural)
        }
    }

    /// The sample order of the run: each stage over the images of its domains.
    package func schedule(_ data: TrainingData) -> SamplingSchedule {
        let training = recipe.training
        let stages = stages(data)
        let legs = stages.indices.map { place in
            let sampler = ShardedSampler(
                data.training.pools(of: stages[place].domains) + memory(of: stages[..<place], data),
                globalBatch: training.globalBatch, seed: training.generatorSeed)
            return SamplingSchedule.Leg(
                sampler, steps: training.steps > 0 ? training.steps : training.epochs * sampler.stepsPerEpoch)
        }
        return SamplingSchedule(legs, globalBatch: training.globalBatch)
    }

    /// The images of earlier stages that are trained on again, if the strategy replays any: each alone, so that all images of
    /// a stage are sampled alike.
    private func memory(of stages: ArraySlice<Stage>, _ data: TrainingData) -> [ShardedSampler.Pool] {
        guard recipe.continual.strategy.replaysMemory else { return [] }
        return stages.flatMap(\.domains).flatMap { domain in
            data.training.memory(of: domain, size: recipe.continual.memory, seed: recipe.training.generatorSeed)
        }.map { ShardedSampler.Pool(images: $0..<$0 + 1) }
    }

    /// When rank 0's controller evaluates, saves and logs.
    package func plan(_ schedule: SamplingSchedule) -> TrainingController.Plan {
        let training = recipe.training
        return TrainingController.Plan(
            totalSteps: schedule.totalSteps, logEvery: training.logEvery, evaluateEvery: training.evaluateEvery,
            maximumSkips: training.nonFinite == .skip ? training.maximumSkips : 0,
            saveEvery: recipe.checkpoint.everySteps, maximumBadSamples: recipe.data.badSampleLimit,
            stageEnds: schedule.stageEnds)
    }

    /// This node's store of anchor embeddings, and its record for the log. Collective.
    func openAnchors(
        _ loaded: LoadedModel, _ data: TrainingData, reservedBytes: Int
    ) throws -> (store: AnchorStore?, fact: AnchorStoreFact) {
        let encoder = loaded.model.encoder
        guard recipe.adaptationMethod.needs.anchor else {
            return (nil, .none("method.name = \(recipe.method.name) has no anchor"))
        }
        return try AnchorStore.open(
            recipe.anchorStore,
            AnchorStore.Run(
                images: data.training.count, mirrorings: recipe.data.flips,
                embedding: [encoder.embeddingSide * encoder.embeddingSide, encoder.embeddingWidth],
                baseDigest: loaded.baseDigest, program: (try? FileDigest.sha256(of: "/proc/self/exe")) ?? "",
                reservedBytes: reservedBytes),
            temporaryFolder: recipe.node.folderForTemporaryFiles, communicator: communicator)
    }

    /// The trainer of this rank, at the first step or at a checkpoint's state.
    package func makeTrainer(
        _ loaded: LoadedModel, _ data: TrainingData, anchors: AnchorStore? = nil, startingFrom start: Tensor? = nil,
        resuming state: CheckpointState? = nil
    ) throws -> Trainer {
        let method = recipe.adaptationMethod
        let schedule = schedule(data)
        let preparation = ExamplePreparation(
            dataset: data.training, preprocessing: loaded.preprocessing,
            prompts: promptOptions(data.choice.prompts.kind.kind ?? .box, loaded),
            teacherKind: recipe.prompts.teacherKind.kind,
            flips: recipe.data.flips, keepsMasks: method.needs.masks,
            view: method.needs.view == .jittered ? .jittered : .fitted, seed: recipe.training.generatorSeed)
        var settings = TrainerSettings(plan: plan(schedule))
        settings.passes = PassSettings(
            decoderChunk: recipe.execution.decoderChunk, recompute: recipe.execution.recompute)
        settings.optimizer = recipe.optimizer.settled(totalSteps: scheduledSteps(data))
        settings.stageStart = recipe.continual.strategy.stageStart
        settings.protection = recipe.continual.protection
        settings.prefetch = prefetch
        var source = TrainerData(
            preparation, schedule: schedule, images: data.training.ids,
            nodeOfRank: recipe.sampler.locality == .node
                ? communicator.nodeOfRank : [Int](repeating: 0, count: communicator.worldSize))
        (source.leftOut, source.anchors) = (data.unreadable.map(\.image), anchors)
        var adapted = loaded.adapted(by: try trainables(loaded))
        if let start { adapted.trained?.values = start }
        return try Trainer(
            adapted, method: method, settings: settings, data: source,
            communicator: communicator, resuming: state, workspace: workspace)
    }

    /// One evaluator per source with evaluation images; none without a kind of prompt.
    package func makeEvaluators(_ loaded: LoadedModel, _ data: TrainingData) -> [SourceEvaluator] {
        let settings = data.choice.evaluation
        guard let kind = settings.kinds?.first else { return [] }
        let answers = recipe.adaptationMethod.answers
        return data.evaluation.map { set in
            let preparation = ExamplePreparation(
                dataset: set.images, preprocessing: loaded.preprocessing, prompts: promptOptions(kind, loaded),
                view: settings.view == .squash ? .squashed : .fitted, seed: recipe.training.generatorSeed)
            var evaluator = Evaluator(
                settings, preparation: preparation, ids: (0..<set.images.count).map { set.images.id($0) },
                images: set.ids, decoderChunk: recipe.execution.decoderChunk, prefetch: prefetch)
            evaluator.answers = answers
            return SourceEvaluator(source: set.source, domain: set.domain, evaluator: evaluator)
        }
    }

    private var prefetch: (depth: Int, threads: Int) {
        (recipe.execution.prefetchDepth, recipe.execution.prefetchThreads)
    }

    private func promptOptions(_ kind: PromptKind, _ loaded: LoadedModel) -> PromptOptions {
        recipe.prompts.options(kind: kind, maskSide: 4 * loaded.model.encoder.embeddingSide)
    }
}

/// The evaluator of one source's images.
package struct SourceEvaluator {
    /// The source's name.
    package let source: String
    /// The domain its images belong to.
    package let domain: String
    /// Scores its images.
    package let evaluator: Evaluator
}
