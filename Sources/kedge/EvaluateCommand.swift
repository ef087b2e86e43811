import Training
import Recipes
import ArgumentParser
import Collectives
import Kernels
import Telemetry
import Runs

/// `kedge evaluate`.
struct EvaluateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Scores a model, with or without an adapter, on the evaluation images of a recipe.",
        discussion: """
            Prints mean IoU and F1 per kind of prompt: means over images of the means over their instances, on the \
            model's canvas. With --output the per-image scores are written there as CSV.
            """)

    @OptionGroup var options: RecipeOptions

    @Option(help: "The adapter of a run (adapter.safetensors). Without it the base model is scored.")
    var adapter: String?

    @Option(help: "A folder for images-PROMPT.csv, one row per image.")
    var output: String?

    @Option(help: "With --output: how many images to draw per kind of prompt, truth, base and adapted side by side.")
    var pictures = 0

    func validate() throws {
        guard pictures >= 0 else { throw ValidationError("--pictures must be 0 or more") }
    }

    func run() throws {
        Startup.onAllRanks { communicator in
            let resolved = try options.resolve()
            let threads = try ThreadShare.threads(asked: resolved.recipe.execution.threads, communicator: communicator)
            let scores = try EvaluationRun(
                recipe: resolved, communicator: communicator, workspace: Workspace(threads: threads),
                notice: { Failure.notice($0) }
            ).run(adapter: adapter, output: output, pictures: pictures)
            if communicator.isRoot {
                for score in scores { print(score.line) }
            }
            return .done
        }
    }
}
