import Adapters
public import Collectives
import Datasets
public import Evaluation
import FaultInjection
import Foundation
import Imaging
public import Kernels
import ModelLoading
public import Recipes
import Routing
import Telemetry
import Training
import WeightFiles

/// Scores a model on the evaluation images of a recipe, without training. All ranks call it.
public struct EvaluationRun {
    /// The recipe.
    public let recipe: ResolvedRecipe
    /// The ranks.
    public let communicator: any Communicator
    /// This rank's threads and scratch.
    public let workspace: Workspace
    /// Called on rank 0 with warnings that concern the scores.
    public let notice: @Sendable (String) -> Void

    /// Creates an evaluation; `run` executes it.
    public init(
        recipe: ResolvedRecipe, communicator: any Communicator, workspace: Workspace,
        notice: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        (self.recipe, self.communicator, self.workspace) = (recipe, communicator, workspace)
        self.notice = notice
    }

    /// The scores of one source's images with one kind of prompt.
    public struct Score: Sendable {
        /// The source's name; nil where the recipe names none.
        public let source: String?
        /// The scores.
        public let outcome: Evaluator.Outcome

        /// Where a router sent the images, in words; nil without a router.
        public let routes: String?

        /// The figures in one line.
        public var line: String {
            (source.map { "\($0) " } ?? "") + "\(outcome.prompt.rawValue): "
                + outcome.scores.measured.map { "mean \($0.measure.title) " + String(format: "%.4f, ", $0.value) }
                .joined()
                + "\(outcome.images.count) images, \(outcome.instances) instances"
        }
    }

    /// Scores all images; the scores are the same on every rank.
    ///
    /// - Parameters:
    ///   - path: An adapter file; nil for the base model.
    ///   - poolPath: The folder of a pool, from which a router chooses for each image; nil for none.
    ///   - output: A folder for `images-PROMPT.csv`, or `images-SOURCE-PROMPT.csv` if sources are named; created if it
    ///     is missing.
    ///   - pictures: Number of images per source and kind of prompt that rank 0 draws into `output`.
    ///
    /// Throws the typed errors of every module.
    public func run(
        adapter path: String?, pool poolPath: String? = nil, output: String?, pictures: Int
    ) throws -> [Score] {
        let prepared = try prepare(adapter: path, pool: poolPath) { sources in
            output.map { folder in outputs(sources, pictures: pictures).map { folder + "/" + $0 } } ?? []
        }
        var scores: [Score] = []
        var unreadable: [UnreadableSample] = []
        for source in prepared.sources {
            communicator.phase = "evaluation"
            try FaultInjector.check(.evaluation)
            let result = try source.evaluator.evaluate(prepared.subject, communicator: communicator, in: workspace)
            if let line = result.vanishedLine, communicator.isRoot { notice("warning: \(source.source): \(line)") }
            let name = prepared.name(of: source)
            let routes = prepared.pool.map {
                RoutingFact(result.routes, $0.router.domains, source, step: 0).destinations
            }
            scores += result.outcomes.map { Score(source: name, outcome: $0, routes: routes) }
            unreadable += result.unreadable
        }
        try prepared.check(unreadable)
        guard let output, communicator.isRoot else { return scores }
        try write(scores, into: output)
        let missing = Set(unreadable.map(\.image))
        for source in prepared.sources {
            try draw(pictures, source, prepared.loaded, prepared.adapted, without: missing, into: output)
        }
        return scores
    }

    /// Opens weights, images and what is scored; checks what can be known before.
    ///
    /// - Parameter outputs: The files that will be written, which must be none of the inputs.
    func prepare(
        adapter path: String?, pool poolPath: String?, outputs: ([SourceEvaluator]) -> [String]
    ) throws -> Prepared {
        let files = try poolPath.map { try AdapterPool(opening: $0) }
        try files?.check(model: recipe.recipe.model.kind, view: recipe.recipe.evaluation.view)
        let reading =
            try path.map { AdapterIntensity(try AdapterFile(opening: $0), path: $0) }
            ?? files.map { (files) throws(WeightFileError) in try AdapterIntensity(files) }
        let (settings, notices) = reading?.apply(to: recipe) ?? (recipe.recipe, [])
        let assembly = RunAssembly(recipe: settings, communicator: communicator, workspace: workspace)
        try assembly.checkRecipes()
        let kernels = try KernelAgreement(mixing: settings.execution.mixedKernels, communicator: communicator)
        if communicator.isRoot, let warning = kernels.warning { notice("warning: \(warning)") }
        try MemoryCheck.checkWeights(settings.model, communicator)
        let loaded = try LoadedModel(settings.model, settings.node, communicator: communicator)
        let data = try TrainingData(settings, communicator: communicator, needsTraining: false)
        for line in data.warnings where communicator.isRoot { notice("warning: \(line)") }
        if communicator.isRoot { tell(notices, reading, data, settings) }
        let sources = assembly.makeEvaluators(loaded, data)
        guard !sources.isEmpty else {
            if let error = data.nothingToScore, !settings.evaluation.prompts.isEmpty { throw error }
            throw RunError(
                .configuration, "there are no images to score",
                remedy: "set data.split to k:1, data.evaluationRoot, or evaluation.prompts")
        }
        if communicator.isRoot { try protect(outputs(sources), adapter: path, settings) }
        _ = try assembly.memoryCheck(loaded, data, evaluating: true).run(communicator)
        let adapted = try path.map { try loaded.adapted(opening: $0) }
        let pool = try files.map { try AdaptedPool($0, over: loaded) }
        let subject = pool.map(EvaluatedModel.pool) ?? .one(adapted ?? loaded.base)
        return Prepared(
            assembly: assembly, loaded: loaded, data: data, sources: sources, adapted: adapted, pool: pool,
            subject: subject)
    }

    /// Throws if an output is one of the inputs.
    private func protect(_ outputs: [String], adapter path: String?, _ settings: Recipe) throws {
        try InputProtection.check(
            outputs: outputs, files: [path, LoadedModel.weightPath(settings.model)].compactMap { $0 },
            folders: settings.data.all.flatMap {
                [$0.settings.options.root] + ($0.settings.evaluationRoot.map { [$0] } ?? [])
            })
    }

    private static func table(_ prefix: String, _ kind: PromptKind) -> String {
        "images-\(prefix)\(kind.rawValue).csv"
    }

    private static func picture(_ prefix: String, _ index: Int, _ kind: PromptKind) -> String {
        "\(prefix)\(index + 1)-\(kind.rawValue).png"
    }

    func prefix(_ source: SourceEvaluator) -> String {
        recipe.recipe.data.sources.isEmpty ? "" : source.source + "-"
    }

    /// The names of the files that a run may write.
    private func outputs(_ sources: [SourceEvaluator], pictures: Int) -> [String] {
        sources.flatMap { source in
            source.evaluator.kinds.flatMap { kind in
                let drawn = pictures > 0 ? Array(source.evaluator.ids.indices) : []
                return [Self.table(prefix(source), kind)] + drawn.map { Self.picture(prefix(source), $0, kind) }
            }
        }
    }

    /// Says how images were read, where that is not plain.
    private func tell(_ notices: [String], _ reading: AdapterIntensity?, _ data: TrainingData, _ settings: Recipe) {
        for line in notices { notice(line) }
        for line in data.intensityLines(settings) { notice((line.isWarning ? "warning: " : "") + line.text) }
        let deepImages = data.intensities.reduce(0) { $0 + $1.deepImages }
        if let line = reading?.noticeWithoutRecord(deepImages: deepImages, key: "data.intensity=full") { notice(line) }
    }

    private func write(_ scores: [Score], into output: String) throws {
        try makeFolder(output)
        for score in scores {
            let name = Self.table(score.source.map { $0 + "-" } ?? "", score.outcome.prompt)
            try RunFolder.write(score.outcome, to: output + "/" + name)
        }
    }

    func makeFolder(_ output: String) throws(RunError) {
        do {
            try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
        } catch {
            throw RunError(
                .cannotWrite, "\(output) cannot be created: \((error as NSError).localizedDescription)",
                remedy: "choose a writable folder")
        }
    }

    private func draw(
        _ count: Int, _ source: SourceEvaluator, _ loaded: LoadedModel, _ adapted: AdaptedModel?,
        without unreadable: Set<ImageID>, into output: String
    ) throws {
        let evaluator = source.evaluator
        let prefix = prefix(source)
        let pictures = EvaluationPictures(
            loaded: loaded, adapted: adapted, threshold: Float(evaluator.threshold),
            decoderChunk: evaluator.decoderChunk, workspace: workspace)
        let readable = evaluator.ids.indices.filter { !unreadable.contains(evaluator.images[$0]) }
        for index in readable.prefix(count) {
            let example = try evaluator.preparation.evaluationExample(index, kinds: evaluator.kinds)
            for prompts in example.prompts {
                try pictures.picture(example, prompts).writePNG(
                    to: output + "/" + Self.picture(prefix, index, prompts.kind))
            }
        }
    }
}

/// What an evaluation has opened before it scores.
struct Prepared {
    let assembly: RunAssembly
    let loaded: LoadedModel
    let data: TrainingData
    let sources: [SourceEvaluator]
    let adapted: AdaptedModel?
    let pool: AdaptedPool?
    let subject: EvaluatedModel

    /// The name of a source; nil where the recipe names none.
    func name(of source: SourceEvaluator) -> String? {
        assembly.recipe.data.sources.isEmpty ? nil : source.source
    }

    /// Throws `RunError` of kind `badData` if more images cannot be read than the recipe allows.
    func check(_ unreadable: [UnreadableSample]) throws {
        let leftOut = data.unreadable.map(\.image)
        guard Set(leftOut + unreadable.map(\.image)).count <= assembly.recipe.data.badSampleLimit else {
            throw assembly.tooManyBad(unreadable, leftOut, data, while: "")
        }
    }
}
