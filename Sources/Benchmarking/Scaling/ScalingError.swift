import Foundation
public import Telemetry

/// Why scaling could not be measured, in one line with its remedy, and the status the process should exit with.
public struct ScalingError: Error, Sendable, CustomStringConvertible, Equatable {
    /// The kinds of failure.
    public enum Kind: Sendable, Equatable {
        /// What is asked for cannot be.
        case usage
        /// The program that starts ranks is not there or does not start any.
        case launcher
        /// A run of ranks ended with this status; 128 and a signal's number for one that was killed.
        case run(status: Int32)
        /// A run's log or measurement is not what this program writes.
        case malformedLog
        /// A folder or file cannot be written.
        case cannotWrite
        /// Somebody asked for the end, for example by a signal.
        case stopped
    }

    /// The kind of failure.
    public let kind: Kind
    /// What and where.
    public let problem: String
    /// What to do.
    public let remedy: String

    /// Creates an error.
    public init(_ kind: Kind, _ problem: String, remedy: String) {
        (self.kind, self.problem, self.remedy) = (kind, problem, remedy)
    }

    /// One line.
    public var description: String { "\(problem); \(remedy)" }

    /// The documented status of this failure; that of a run whose status is documented is passed on.
    public var exitCode: ExitCode {
        switch kind {
        case .usage, .launcher: .usage
        case .run(let status): ExitCode(rawValue: status) ?? .internalFault
        case .malformedLog: .internalFault
        case .cannotWrite: .cannotWrite
        case .stopped: .resumable
        }
    }

    /// The error of a run of ranks that ended with a status other than 0.
    ///
    /// - Parameters:
    ///   - what: What was run, as in `the adaptation on 2 ranks`.
    ///   - output: What the run wrote to standard error. Kedge's own line says what was wrong; without one it is the
    ///     launcher that did not get along, and its first lines are told.
    package static func ofRun(_ what: String, status: Int32, output: String) -> ScalingError {
        let mark = "kedge: error: "
        let lines = output.split(whereSeparator: \.isNewline).map(String.init)
        let own = lines.compactMap { line in line.range(of: mark).map { String(line[$0.upperBound...]) } }
        if let told = own.first, ExitCode(rawValue: status) != nil {
            let remedy = told.split(separator: ";", maxSplits: 1).dropFirst().first.map(String.init)
            return ScalingError(
                .run(status: status), "\(what) failed: \(told.split(separator: ";", maxSplits: 1)[0])",
                remedy: remedy?.trimmed ?? "see docs/reference/exit-codes.md for status \(status)")
        }
        // Launchers have statuses of their own above those of signals.
        if (129...192).contains(status) {
            return ScalingError(
                .run(status: status), "\(what) failed: a rank was ended by signal \(status - 128)",
                remedy: status == 137
                    ? "see whether memory ran out (`kedge plan` tells what a rank needs), or who killed it"
                    : "report it with the recipe")
        }
        let said = lines.map(\.trimmed).filter { !$0.isEmpty && !$0.allSatisfy { "-=*".contains($0) } }
        return ScalingError(
            .launcher,
            "\(what) did not start (status \(status)): "
                + (said.isEmpty ? "its launcher said nothing" : said.prefix(4).joined(separator: " ")),
            remedy: "mend --ranks, --hostfile or --launcher")
    }
}

extension String {
    /// The text without white space at its ends.
    var trimmed: String {
        var rest = Substring(self)
        while rest.first?.isWhitespace == true { rest.removeFirst() }
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return String(rest)
    }
}
