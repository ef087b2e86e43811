package import AdaptationMethods
package import Adapters
package import CheckpointStore
import Collectives
import Datasets
import Foundation
import Kernels
import SegmentAnything
import Telemetry
import Tensors
import WeightFiles

// The parts of a run, made from its recipe: one place where recipe keys become the types of the rooms below.

extension AdaptationRun {
    /// Whether the recipe's method has steps at all; an unknown one is refused where it is made.
    package var trains: Bool { (try? method().trains) ?? true }

    /// The recipe's method. Throws `AdaptationMethodError`.
    package func method() throws(AdaptationMethodError) -> any AdaptationMethod {
        try recipe.recipe.adaptationMethod(of: methods)
    }

    /// What is doubtful about the recipe's prompts for its model; nil if nothing is.
    package var promptWarning: String? {
        let (model, prompts) = (recipe.recipe.model, recipe.recipe.prompts)
        let asked =
            prompts.source == .automatic
            ? "prompts.source=automatic" : prompts.kind == .point || prompts.teacherKind == .point ? "points" : nil
        guard !model.kind.prompts.contains(.point), let asked else { return nil }
        let read = model.kind.prompts.map(\.plural).joined(separator: " and ")
        return "warning: \(model.kind.name) was trained on \(read) alone and makes little of \(asked); "
            + "other models read points"
    }

    /// What rank 0's controller is to do.
    package func plan(_ stepsPerEpoch: Int) -> TrainingController.Plan {
        let training = recipe.recipe.training
        let steps = training.steps > 0 ? training.steps : training.epochs * stepsPerEpoch
        return TrainingController.Plan(
            totalSteps: (try? method())?.stages(totalSteps: steps).reduce(0) { $0 + $1.steps } ?? steps,
            logEvery: training.logEvery, evaluateEvery: training.evaluateEvery,
            maximumSkips: training.nonFinite == .skip ? training.maximumSkips : 0,
            saveEvery: recipe.recipe.checkpoint.everySteps,
            maximumBadSamples: recipe.recipe.data.badSampleLimit)
    }

    /// This node's store of anchor embeddings, and what it says of itself. Collective.
    func openAnchors(
        _ loaded: LoadedModel, _ data: TrainingData, reservedBytes: Int
    ) throws -> (store: AnchorStore?, line: String) {
        let (settings, encoder) = (recipe.recipe, loaded.model.encoder)
        guard try method().needs.anchor else {
            return (nil, "anchor store: method.name = \(settings.method.name) has no anchor")
        }
        return try AnchorStore.open(
            settings.anchorStore,
            AnchorStore.Run(
                images: data.training.count, mirrorings: settings.data.flips,
                embedding: [encoder.embeddingSide * encoder.embeddingSide, encoder.embeddingWidth],
                baseDigest: loaded.baseDigest, program: (try? FileDigest.sha256(of: "/proc/self/exe")) ?? "",
                reservedBytes: reservedBytes),
            temporaryFolder: settings.node.folderForTemporaryFiles, communicator: communicator)
    }

    /// What the recipe's method trains in the loaded model. Throws `AdaptationMethodError` and `AdapterError`.
    package func trainables(_ loaded: LoadedModel) throws -> Trainables {
        let description = ModelDescription(loaded.model.configuration)
        let method = try method()
        try method.check(for: description)
        let stages = method.stages(totalSteps: 1)
        guard stages.count <= 1 else {
            throw TrainingError(
                .configuration,
                "method.name=\(recipe.recipe.method.name) has the stages \(stages.map(\.name).joined(separator: ", ")); "
                    + "a run has one", remedy: "take a method of one stage")
        }
        return try Trainables(method.trainables, in: description, recipe.recipe.adapterOptions)
    }

    package func makeTrainer(
        _ loaded: LoadedModel, _ data: TrainingData, anchors: AnchorStore? = nil,
        resuming state: CheckpointState? = nil
    ) throws -> Trainer {
        let settings = recipe.recipe
        let seed = UInt64(bitPattern: Int64(settings.training.seed))
        let sampler = ShardedSampler(
            sampleCount: data.training.count, globalBatch: settings.training.globalBatch, seed: seed)
        let method = try method()
        let preparation = ExamplePreparation(
            dataset: data.training, preprocessing: loaded.preprocessing,
            prompts: promptOptions(PromptKind(settings.prompts.kind), loaded),
            teacherKind: PromptKind(settings.prompts.teacherKind), flips: .init(settings.data.flips),
            keepsMasks: method.needs.masks, seed: seed)
        let optimizer = settings.optimizer
        return Trainer(
            loaded.adapted(by: try trainables(loaded)), method: method,
            passes: PassSettings(
                decoderChunk: settings.training.decoderChunk, recompute: settings.training.recompute),
            communicator: communicator, sampler: sampler, preparation: preparation,
            optimizer: Adam.Configuration(
                beta1: optimizer.beta1, beta2: optimizer.beta2, epsilon: optimizer.epsilon,
                weightDecay: optimizer.weightDecay, isWeightDecayCoupled: optimizer.coupledWeightDecay),
            schedule: LearningRateSchedule(
                base: optimizer.learningRate, warmUpSteps: optimizer.warmUpSteps, decaySteps: optimizer.decaySteps,
                decayFactor: optimizer.decayFactor),
            plan: plan(sampler.stepsPerEpoch),
            prefetch: (settings.training.prefetchDepth, settings.training.prefetchThreads),
            nodeOfRank: settings.sampler.locality == .node
                ? communicator.nodeOfRank : [Int](repeating: 0, count: communicator.worldSize),
            numbers: data.trainingNumbers, badSamples: data.unreadable.map(\.number), anchors: anchors,
            resuming: state, workspace: workspace)
    }

    /// The evaluator, or nil when there is no image or no kind of prompt to score.
    package func makeEvaluator(_ loaded: LoadedModel, _ data: TrainingData) throws -> Evaluator? {
        let settings = recipe.recipe
        guard data.evaluation.count > 0, !settings.evaluation.prompts.isEmpty else { return nil }
        let seed = UInt64(bitPattern: Int64(settings.training.seed))
        let kinds = settings.evaluation.prompts.map { PromptKind($0) }
        let preparation = ExamplePreparation(
            dataset: data.evaluation, preprocessing: loaded.preprocessing, prompts: promptOptions(kinds[0], loaded),
            seed: seed)
        return Evaluator(
            preparation: preparation, kinds: kinds, ids: (0..<data.evaluation.count).map { data.evaluation.id($0) },
            numbers: data.evaluationNumbers,
            threshold: settings.evaluation.threshold, decoderChunk: settings.training.decoderChunk,
            measuresBoundaries: settings.evaluation.boundary,
            prefetch: (settings.training.prefetchDepth, settings.training.prefetchThreads))
    }

    /// Stops all ranks when one has another program or recipe than rank 0; before anything depends on it.
    func checkRecipes() throws {
        let program = [(name: "program", value: (try? FileDigest.sha256(of: "/proc/self/exe")) ?? "unknown")]
        // Threads may differ: the result does not depend on them.
        let settings = RecipeReference.fields.filter { $0.key != "training.threads" }.map {
            (name: $0.key, value: "\($0.value(recipe.recipe))")
        }
        try RankAgreement.check(program + settings, communicator: communicator)
    }

    /// True on all ranks if one of them was asked to stop.
    func isStopAgreed() throws -> Bool {
        communicator.phase = "start"
        return try communicator.allMaximum([isStopRequested() ? 1 : 0])[0] != 0
    }

    /// The end of a run that was asked to stop before its first step: nothing is saved, nothing is lost.
    func stopped(at state: CheckpointState?, _ log: RunLog) -> Outcome {
        log.message(.info, "asked to stop before the first step")
        log.record(
            .end(EndRecord(exitCode: .resumable, step: state?.step ?? 0, imagesSeen: state?.images ?? 0, seconds: 0)))
        return Outcome(exitCode: .resumable, before: [], after: [], adapterDigest: nil)
    }

    /// The lines that open a log.
    func announce(_ loaded: LoadedModel, _ data: TrainingData, firstStep: Int, to log: RunLog) throws {
        let placements = try communicator.allGather(
            floats: [Float(ProcessInfo.processInfo.activeProcessorCount), Float(workspace.pool.threads)])
        let hosts = communicator.hostNames
        log.record(
            .start(
                StartRecord(
                    recipe: recipe.entries,
                    versions: Versions.all,
                    placement: placements.enumerated().map { rank, numbers in
                        .init(host: hosts[rank], cores: Int(numbers[0]), threads: Int(numbers[1]))
                    },
                    openBLASCore: BLASEnvironment.coreName, weightsDigest: loaded.baseDigest,
                    recipeDigest: recipe.recipe.digest, firstStep: firstStep)))
        log.message(
            .info,
            "data: \(data.training.count) images to adapt to, \(data.evaluation.count) to score"
                + (data.withoutInstances > 0 ? ", \(data.withoutInstances) left out without a labelled instance" : ""))
        for image in data.unreadable where communicator.isRoot {
            log.warning("image \(image.id) is left out: \(image.line)")
        }
    }

    /// Tells of a step's images that are left out from now on, and of numbers that are not finite. Rank 0 alone logs.
    func tell(_ outcome: Trainer.StepOutcome, leftOut: [Int], _ log: RunLog) {
        guard communicator.isRoot else { return }
        for image in outcome.unreadable where !leftOut.contains(image.number) {
            log.warning("step \(outcome.step): image \(image.id) is left out: \(image.line)")
        }
        for sample in outcome.nonFinite {
            log.warning("step \(outcome.step): its batch is not used: \(sample.line)")
        }
    }

    /// The error of a run that would have to leave out more images than it may.
    ///
    /// - Parameter leftOut: The numbers of images that were left out before.
    func tooManyBad(
        _ samples: [UnreadableSample], _ leftOut: [Int], _ data: TrainingData, while doing: String
    ) -> TrainingError {
        let now = Set(samples.map(\.number))
        return TrainingError.unreadable(
            samples, others: leftOut.filter { !now.contains($0) }.map(data.id(number:)),
            limit: recipe.recipe.data.badSampleLimit, ranks: communicator.worldSize, while: doing)
    }

    private func promptOptions(_ kind: PromptKind, _ loaded: LoadedModel) -> PromptOptions {
        let prompts = recipe.recipe.prompts
        return PromptOptions(
            kind: kind, positivePoints: prompts.positivePoints, negativePoints: prompts.negativePoints,
            maximumInstances: prompts.maximumInstances,
            source: prompts.source == .annotations ? .annotations : .simulated,
            coarse: prompts.coarse == .mask ? .mask : .box, maskSide: 4 * loaded.model.encoder.embeddingSide)
    }
}

extension WeakAugmentation.Schedule {
    /// The schedule a recipe names.
    init(_ flips: Recipe.Data.Flips) {
        switch flips {
        case .epoch: self = .everyEpoch
        case .image: self = .oncePerImage
        case .none: self = .never
        }
    }
}

extension PromptKind {
    /// The kind a recipe names.
    init(_ kind: Recipe.Prompts.Kind) {
        switch kind {
        case .box: self = .box
        case .point: self = .point
        case .coarse: self = .coarse
        }
    }

    /// The kind a recipe names for the teacher; nil is the student's.
    init?(_ kind: Recipe.Prompts.TeacherKind) {
        switch kind {
        case .same: return nil
        case .box: self = .box
        case .point: self = .point
        }
    }
}
