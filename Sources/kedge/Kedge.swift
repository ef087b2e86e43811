import ArgumentParser
import Foundation
import Revision
import Runs
import Telemetry

/// The command line: parses arguments, starts the ranks' part of a command, and turns errors into one line and an exit
/// code.
@main
struct Kedge: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kedge",
        abstract: "Adapts the Segment Anything Model to a new image domain, on CPU clusters.",
        discussion: """
            Runs alone, or on several ranks with `mpirun -np N kedge adapt ...`. Exit codes: 0 done, 64 usage or \
            recipe, 65 damaged data, 66 missing input, 69 resources, 70 internal, 71 not finite, 72 no response, \
            73 cannot write, 75 stopped on request, 76 no usable checkpoint.
            """,
        version: Versions.full(revision: Revision.git),
        subcommands: [
            AdaptCommand.self, EvaluateCommand.self, SegmentCommand.self, InspectCommand.self, SynthesizeCommand.self,
            DataCommand.self, CompareCommand.self, ModelsCommand.self, PlanCommand.self, BenchCommand.self,
            DoctorCommand.self, CheckpointCommand.self, PoolCommand.self, UncertaintyCommand.self,
        ])

    static func main() {
        Startup.prepareProcess()
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch {
            // Help, version and invalid arguments: the parser's own messages, and status 0 or 64.
            let (code, text) = (exitCode(for: error), fullMessage(for: error))
            if code.isSuccess {
                print(text)
                Foundation.exit(StandardOutput.finish(.done).rawValue)
            }
            if !text.isEmpty { StandardError.write(text) }
            exit(withError: code)
        }
    }
}
