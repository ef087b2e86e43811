import ArgumentParser
import Collectives
import Diagnosis
import Foundation
import Telemetry

/// `kedge doctor`.
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Checks ranks, nodes, network, memory and inputs before a run.",
        discussion: """
            Start it the way the run will be started, with the same mpirun options: mpirun ... kedge doctor --recipe \
            FILE. Nothing is written. Every line is ok, a warning (a run works, but slower or otherwise than expected) \
            or a fault (a run fails), the last two with a remedy below. Ends with 0, or with the status of the first \
            fault.
            """)

    @OptionGroup var options: RecipeOptions

    @Flag(help: "Print one JSON object, with the facts of every rank, instead of the lines.")
    var json = false

    @Option(help: "Seconds after which ranks that do not answer are given up, with status 72.")
    var timeout = 120

    func validate() throws {
        guard timeout > 0 else { throw ValidationError("--timeout must be 1 or more") }
    }

    func run() throws {
        let launch = Launch.detect()
        Deadline.start(seconds: Double(timeout), launch: launch) { line in
            Failure.report(line)
            _exit(ExitCode.hang.rawValue)
        }
        Startup.onAllRanks(start: { try launch.start(verifying: false) }) { communicator in
            try Examination(
                recipe: options.recipe, settings: options.allSettings,
                environment: ProcessInfo.processInfo.environment, launch: launch
            ).run(communicator) { report in
                // Unbuffered: the other ranks may end the job as soon as they know the status.
                FileHandle.standardOutput.write(Data(((json ? try Self.encoded(report) : report.text) + "\n").utf8))
            }
        }
    }

    private static func encoded(_ report: Report) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(report), as: UTF8.self)
    }
}
