import ArgumentParser
import Collectives
import Diagnosis
import Foundation
import Telemetry
import PlainText

/// `kedge doctor`.
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Checks ranks, nodes, network, memory and inputs before a run.",
        discussion: """
            Start it as the run will be started, with the same mpirun options: mpirun ... kedge doctor --recipe \
            FILE. Nothing is written. Every line is ok, a warning (the run works, but slower or not as expected) \
            or a fault (the run fails); warnings and faults include a remedy. Exits with 0, or with the status of the \
            first fault.
            """)

    @OptionGroup var options: RecipeOptions

    @Flag(help: "Print a JSON object with the facts of every rank instead of text.")
    var json = false

    @Option(help: "Seconds to wait for ranks that do not respond; then exits with 72.")
    var timeout = 120

    func validate() throws {
        guard timeout > 0 else { throw ValidationError("--timeout must be 1 or more") }
    }

    func run() throws {
        let launch = Launch.detect()
        let start = {
            try Deadline.start(seconds: Double(timeout), launch: launch) { line in
                Failure.report(line)
                _exit(ExitCode.hang.rawValue)
            }
            return try launch.start(verifying: false)
        }
        Startup.onAllRanks(start: start) { communicator in
            try Examination(
                recipe: options.recipe, settings: options.allSettings,
                environment: ProcessInfo.processInfo.environment, launch: launch
            ).run(communicator) { report in
                // Unbuffered: the other ranks may end the job as soon as they know the status.
                print(json ? try Self.encoded(report) : report.text)
                StandardOutput.flush()
            }
        }
    }

    private static func encoded(_ report: Report) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(report), as: UTF8.self).jsonWithoutMarks
    }
}
