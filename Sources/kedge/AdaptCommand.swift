import ArgumentParser
import Collectives
import Datasets
import FaultInjection
import Foundation
import Kernels
import Machine
import Recipes
import Revision
import Runs
import Telemetry
import Training

/// Options that name a recipe.
struct RecipeOptions: ParsableArguments {
    @Option(name: .long, help: "The recipe, a YAML file; without it, every key keeps its default.")
    var recipe: String?

    @Option(
        name: .customLong("set"), parsing: .singleValue,
        help: ArgumentHelp(
            "Sets one key, as in optimizer.learningRate=1e-3; repeatable, overrides the file.", valueName: "key=value"))
    var settings: [String] = []

    @Option(
        name: .long,
        help: "Short for --set node.baseMemory: one copy of the frozen weights per node, or a private one per rank.")
    var baseMemory: NodeSharedMemory.Kind?

    /// All `key=value` overrides of the file, including the shorthand options.
    var allSettings: [String] { settings + (baseMemory.map { ["node.baseMemory=\($0.rawValue)"] } ?? []) }

    /// The recipe with the source of each value. Throws `RecipeError` that lists all faults.
    func resolve(adding more: [String] = []) throws -> ResolvedRecipe {
        try ResolvedRecipe(path: recipe, environment: ProcessInfo.processInfo.environment, settings: allSettings + more)
    }
}

/// `kedge adapt`.
struct AdaptCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "adapt", abstract: "Adapts a model to the images of a recipe.",
        discussion: """
            Writes runs/NAME: recipe.yaml, log.jsonl, evaluation.csv, images-STEP-PROMPT.csv and adapter.safetensors. \
            Results do not depend on the number of ranks or threads.

            Recipe keys:
            \(Recipe().helpText)
            """)

    @OptionGroup var options: RecipeOptions

    @Option(
        name: .customLong("continue"),
        help: ArgumentHelp(
            "Short for --set continual.pool: a finished pool to a copy of which the run adds its domains.",
            valueName: "folder"))
    var pool: String?

    @Option(
        help: ArgumentHelp(
            "auto resumes from the newest complete checkpoint in the run's folder, none refuses a folder with a run, "
                + "a path resumes from exactly that checkpoint.", valueName: "auto|none|PATH"))
    var resume = "auto"

    @Option(
        parsing: .singleValue,
        help: ArgumentHelp("A recipe key that may differ from the checkpoint's; repeatable.", valueName: "key"))
    var allowChange: [String] = []

    @Flag(help: "Replace a run of the same name, including its checkpoints.")
    var overwrite = false

    @Flag(
        help: """
            Print the resolved recipe, with the source of every value, check that the labels give its prompts, and exit.
            """)
    var dryRun = false

    @OptionGroup var faults: FaultOptions

    func validate() throws {
        guard !overwrite || resume == "auto" || resume == "none" else {
            throw ValidationError("--overwrite removes the run that --resume \(resume) continues; use only one of them")
        }
    }

    func run() throws {
        StopSignals.watch()
        Startup.onAllRanks { communicator in
            faults.arm(rank: communicator.rank)
            let resolved = try options.resolve(adding: pool.map { ["continual.pool=\($0)"] } ?? [])
            if dryRun {
                if communicator.isRoot { print(resolved.fileText, terminator: "") }
                try rehearse(resolved.recipe, communicator)
                return .done
            }
            let threads = try ThreadShare.threads(asked: resolved.recipe.execution.threads, communicator: communicator)
            let workspace = try Workspace.start(threads: threads)
            let watchdog = try Watchdog(recipe: resolved.recipe, communicator: communicator, pool: workspace.pool) {
                _exit(ExitCode.hang.rawValue)
            }
            try StopSignals.endIfStuck(
                communicator, pool: workspace.pool, saveSeconds: resolved.recipe.watchdog.save)
            // Those that read and save start after the run's folder is made.
            try SystemThread.probe(1 + resolved.recipe.execution.prefetchThreads)
            let run = AdaptationRun(
                recipe: resolved, communicator: communicator, workspace: workspace, revision: Revision.git,
                watchdog: watchdog,
                isStopRequested: { StopSignals.isStopRequested }, notice: { Failure.notice($0) })
            return try run.run(
                AdaptationRun.Start(resume: resume, overwriting: overwrite, allowedChanges: allowChange)
            ).exitCode
        }
    }

    /// Opens the images of a dry run and states what the run would do with them; throws what the run would throw.
    private func rehearse(_ recipe: Recipe, _ communicator: any Communicator) throws {
        let roots = recipe.data.all.map(\.settings.options.root)
        let missing = roots.filter { access($0, F_OK) != 0 }
        guard missing.isEmpty else {
            if communicator.isRoot {
                Failure.notice("labels not checked: there is no folder \(missing.joined(separator: ", ")) yet")
            }
            return
        }
        let rehearsal = try RunRehearsal(recipe, communicator: communicator)
        guard communicator.isRoot else { return }
        for line in rehearsal.lines + rehearsal.warnings.map({ "warning: " + $0 }) { Failure.notice(line) }
    }
}
