import Adapters
public import Collectives
import Datasets
import Foundation
import Telemetry
public import Kernels
import Imaging

/// Scores a model on the evaluation images of a recipe, without training. All ranks call it.
public struct EvaluationRun {
    /// The recipe.
    public let recipe: ResolvedRecipe
    /// The ranks.
    public let communicator: any Communicator
    /// This rank's threads and scratch.
    public let workspace: Workspace
    /// Told on rank 0 what a person should know of the scores.
    public let notice: @Sendable (String) -> Void

    /// Describes an evaluation.
    public init(
        recipe: ResolvedRecipe, communicator: any Communicator, workspace: Workspace,
        notice: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        (self.recipe, self.communicator, self.workspace) = (recipe, communicator, workspace)
        self.notice = notice
    }

    /// Scores all images; the same outcome on every rank.
    ///
    /// - Parameters:
    ///   - path: An adapter file; nil for the base model.
    ///   - output: A folder that gets `images-PROMPT.csv`; made if it is not there.
    ///   - pictures: How many images per kind of prompt are drawn into `output` by rank 0.
    ///
    /// Throws the typed errors of every room.
    public func run(adapter path: String?, output: String?, pictures: Int) throws -> [Evaluator.Outcome] {
        let parts = AdaptationRun(
            recipe: recipe, communicator: communicator, workspace: workspace, isStopRequested: { false })
        try parts.checkRecipes()
        let kernels = try KernelAgreement(mixing: recipe.recipe.execution.mixedKernels, communicator: communicator)
        if communicator.isRoot, let warning = kernels.warning { notice("warning: \(warning)") }
        let loaded = try LoadedModel(recipe.recipe, communicator: communicator)
        let data = try TrainingData(recipe.recipe, communicator: communicator, needsTraining: false)
        guard let evaluator = try parts.makeEvaluator(loaded, data) else {
            throw TrainingError(
                .configuration, "there is no image to score",
                remedy: "set data.split to k:1, name data.evaluationRoot, or give evaluation.prompts")
        }
        let adapted = try path.map { try loaded.adapted(opening: $0) }
        let (outcomes, unreadable) = try evaluator.evaluate(
            adapted ?? loaded.base, communicator: communicator, in: workspace)
        let leftOut = data.unreadable.map(\.number)
        guard Set(leftOut + unreadable.map(\.number)).count <= recipe.recipe.data.badSampleLimit else {
            throw parts.tooManyBad(unreadable, leftOut, data, while: "")
        }
        if let output, communicator.isRoot {
            try makeFolder(output)
            for outcome in outcomes {
                try RunFolder.write(outcome, to: "\(output)/images-\(outcome.prompt.rawValue).csv")
            }
            try draw(pictures, evaluator, loaded, adapted, without: Set(unreadable.map(\.number)), into: output)
        }
        return outcomes
    }

    private func makeFolder(_ output: String) throws(TrainingError) {
        do {
            try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
        } catch {
            throw TrainingError(
                .cannotWrite, "\(output) cannot be made: \((error as NSError).localizedDescription)",
                remedy: "give a folder that can be written")
        }
    }

    private func draw(
        _ count: Int, _ evaluator: Evaluator, _ loaded: LoadedModel, _ adapted: AdaptedModel?,
        without unreadable: Set<Int>, into output: String
    ) throws {
        let pictures = EvaluationPictures(
            loaded: loaded, adapted: adapted, threshold: Float(evaluator.threshold),
            decoderChunk: evaluator.decoderChunk, workspace: workspace)
        let readable = evaluator.ids.indices.filter { !unreadable.contains(evaluator.numbers[$0]) }
        for index in readable.prefix(count) {
            let example = try evaluator.preparation.evaluationExample(index, kinds: evaluator.kinds)
            for prompts in example.prompts {
                try pictures.picture(example, prompts).writePNG(
                    to: "\(output)/\(index + 1)-\(prompts.kind.rawValue).png")
            }
        }
    }
}

extension Evaluator.Outcome {
    /// The figures in one line.
    public var line: String {
        "\(prompt.rawValue): "
            + scores.measured.map { "mean \($0.measure.title) " + String(format: "%.4f, ", $0.value) }.joined()
            + "\(images.count) images, \(instances) instances"
    }
}
