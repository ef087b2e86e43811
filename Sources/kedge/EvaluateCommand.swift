public import ArgumentParser
import Collectives
public import Evaluation
import FaultInjection
import Foundation
public import Interaction
import Kernels
import Machine
import Recipes
import Runs
import Telemetry
import Training

extension InteractiveStart: ExpressibleByArgument {}

extension TaskKind: ExpressibleByArgument {}

/// `kedge evaluate`.
struct EvaluateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Scores a model, with or without an adapter, on a recipe's evaluation images.",
        discussion: """
            Prints mean IoU and F1 per kind of prompt: averaged over each image's instances, then over images, on the \
            model's canvas. --output writes the scores of each image as CSV. --rounds scores clicks as a user makes them, at \
            the images' own size: after each round the mean over objects of the mask that the model trusts most, and of the \
            best of three where a single prompt gives three.
            """)

    @OptionGroup var options: RecipeOptions

    @Option(help: "The adapter of a run (adapter.safetensors). Without it, scores the base model.")
    var adapter: String?

    @Option(
        help: ArgumentHelp(
            "The pool of a run with continual.strategy=moda (runs/NAME/pool), whose router chooses for each image.",
            valueName: "folder"))
    var pool: String?

    @Option(help: "A folder for images-PROMPT.csv, one row per image.")
    var output: String?

    @Option(help: "With --output: images to draw per kind of prompt, with truth, base and adapted masks side by side.")
    var pictures = 0

    @Option(
        help: ArgumentHelp(
            "Score rounds of clicks instead: each into the middle of the largest error, with the mask so far as prompt.",
            valueName: "number"))
    var rounds: Int?

    @Option(help: "With --rounds: how an object is first pointed at.")
    var start = InteractiveStart.point

    @Option(help: "With --rounds: the kind of task of the first round, for adapters trained with tasks.")
    var task = TaskKind.none

    @OptionGroup var faults: FaultOptions

    func validate() throws {
        guard rounds.map({ (1...100).contains($0) }) ?? true else { throw ValidationError("--rounds must be 1 to 100") }
        guard rounds != nil || (start == .point && task == .none) else {
            throw ValidationError("--start and --task belong to --rounds")
        }
        guard rounds == nil || pictures == 0 else { throw ValidationError("--pictures are not drawn with --rounds") }
        guard pictures >= 0 else { throw ValidationError("--pictures must be 0 or more") }
        guard pool == nil || adapter == nil else { throw ValidationError("give --adapter or --pool, not both") }
        guard pool == nil || pictures == 0 else {
            throw ValidationError("--pictures are drawn with one adapter; leave it out with --pool")
        }
    }

    func run() throws {
        Startup.onAllRanks { communicator in
            faults.arm(rank: communicator.rank)
            let resolved = try options.resolve()
            let threads = try ThreadShare.threads(asked: resolved.recipe.execution.threads, communicator: communicator)
            let workspace = try Workspace.start(threads: threads)
            let watchdog = try Watchdog(evaluating: resolved.recipe, communicator: communicator, pool: workspace.pool) {
                _exit(ExitCode.hang.rawValue)
            }
            defer { watchdog.stop() }
            try SystemThread.probe(resolved.recipe.execution.prefetchThreads)
            let evaluation = EvaluationRun(
                recipe: resolved, communicator: communicator, workspace: workspace,
                notice: { Failure.notice($0) })
            if let rounds {
                var rules = InteractiveProtocol()
                (rules.rounds, rules.start, rules.task) = (rounds, start, task.id)
                let scores = try evaluation.run(interactively: rules, adapter: adapter, pool: pool, output: output)
                if communicator.isRoot { for line in scores.flatMap(\.lines) { print(line) } }
                return .done
            }
            let scores = try evaluation.run(adapter: adapter, pool: pool, output: output, pictures: pictures)
            if communicator.isRoot {
                for score in scores { print(score.line + (score.routes.map { "; routing: \($0)" } ?? "")) }
            }
            return .done
        }
    }
}
