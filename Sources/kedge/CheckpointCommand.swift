import ArgumentParser
import CheckpointStore
import Collectives
import Runs
import Telemetry

/// `kedge checkpoint`.
struct CheckpointCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "checkpoint", abstract: "Lists, checks, shows and compares the checkpoints of a run.",
        subcommands: [List.self, Verify.self, Show.self, Difference.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "One line per checkpoint of a run, newest first; exits with 76 if none is usable.")

        @Argument(help: ArgumentHelp("The run's folder, as in runs/NAME.", valueName: "run"))
        var folder: String

        func run() throws {
            Startup.onAllRanks { communicator in
                guard communicator.isRoot else { return .done }
                let (lines, usable) = try CheckpointReport.list(CheckpointStore(folder: folder + "/checkpoints"))
                lines.forEach { print($0) }
                if lines.isEmpty { print("\(folder) has no checkpoints") }
                return lines.isEmpty || usable > 0 ? .done : .checkpointUnusable
            }
        }
    }

    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Reads a whole checkpoint and verifies every byte against its manifest.")

        @Argument(help: "The checkpoint's folder.")
        var checkpoint: String

        func run() throws {
            Startup.onAllRanks { communicator in
                guard communicator.isRoot else { return .done }
                let manifest = try CheckpointStore.verify(checkpoint)
                print("\(checkpoint) is intact: step \(manifest.step)")
                return .done
            }
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows what a checkpoint contains, and of which run.")

        @Argument(help: "The checkpoint's folder.")
        var checkpoint: String

        func run() throws {
            Startup.onAllRanks { communicator in
                guard communicator.isRoot else { return .done }
                try CheckpointReport.show(checkpoint).forEach { print($0) }
                return .done
            }
        }
    }

    struct Difference: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "diff", abstract: "Compares two checkpoints: settings, counts, values.")

        @Argument(help: "A checkpoint's folder.")
        var first: String

        @Argument(help: "Another checkpoint's folder.")
        var second: String

        func run() throws {
            Startup.onAllRanks { communicator in
                guard communicator.isRoot else { return .done }
                let lines = try CheckpointReport.difference(first, second)
                lines.forEach { print($0) }
                if lines.isEmpty { print("no differences") }
                return .done
            }
        }
    }
}
