import ArgumentParser
import Collectives
import Runs
import Telemetry

/// `kedge compare`.
struct CompareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Prints the scores of runs side by side; runs that differ only in seeds share a line.")

    @Argument(help: ArgumentHelp("The runs' folders, as in runs/NAME.", valueName: "run"))
    var folders: [String]

    func run() throws {
        Startup.onAllRanks { communicator in
            guard communicator.isRoot else { return .done }
            print(RunComparison(try folders.map { try RunScores(folder: $0) }).text)
            return .done
        }
    }
}
