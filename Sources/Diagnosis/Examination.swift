public import Collectives
import Foundation
public import Telemetry

/// Examines a cluster from a run's perspective: all ranks collect facts, rank 0 evaluates them.
public struct Examination {
    private let recipe: String?
    private let settings: [String]
    private let environment: [String: String]
    private let launch: Launch

    /// Creates an examination.
    ///
    /// - Parameters:
    ///   - recipe: A recipe file, or nil for none.
    ///   - settings: `key=value` texts that override it.
    ///   - environment: The process environment.
    ///   - launch: How this process was started.
    public init(
        recipe: String?, settings: [String], environment: [String: String], launch: Launch = .detect()
    ) {
        (self.recipe, self.settings, self.environment, self.launch) = (recipe, settings, environment, launch)
    }

    /// Examines the ranks and returns the same exit code on all of them. Collective.
    ///
    /// Throws `CollectivesError`, and the errors of `tell`.
    ///
    /// - Parameter tell: Receives the report, on one rank, before any rank returns.
    public func run(_ communicator: any Communicator, tell: (Report) throws -> Void) throws -> ExitCode {
        communicator.phase = "doctor"
        let gathering = FactCollector(communicator: communicator, environment: environment, launch: launch)
        let facts = try gathering.facts(recipe: recipe, settings: settings)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let all = try communicator.allGather(bytes: Array(try encoder.encode(facts)))
        var code = ExitCode.done
        if communicator.isRoot {
            let report = Report(facts: all, hosts: communicator.hostNames)
            code = report.exitCode
            // If processes meant to be ranks run alone, only one of them reports.
            if communicator.worldSize > 1 || (launch.environmentRank ?? 0) == 0 || launch.expectedRanks ?? 1 <= 1 {
                try tell(report)
            }
        }
        let answer = try communicator.broadcast(bytes: [UInt8(truncatingIfNeeded: code.rawValue)], from: 0)
        return answer.first.flatMap { ExitCode(rawValue: Int32($0)) } ?? .internalFault
    }
}
