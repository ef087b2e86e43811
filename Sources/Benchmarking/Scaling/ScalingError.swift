import Foundation
public import Telemetry

/// A failed scaling measurement, in one line with its remedy, and the exit code of the process.
public struct ScalingError: Error, Sendable, CustomStringConvertible, Equatable {
    /// The kinds of failure.
    public enum Kind: Sendable, Equatable {
        /// The request is impossible.
        case usage
        /// The program that starts ranks is missing or fails to start them.
        case launcher
        /// A run ended with this status; 128 plus the signal's number if it was killed.
        case run(status: Int32)
        /// A run's log or measurement is not in this program's format.
        case malformedLog
        /// A folder or file cannot be written.
        case cannotWrite
        /// Stopped on request, for example by a signal.
        case stopped
    }

    /// The kind of failure.
    public let kind: Kind
    /// The fault and its location.
    public let problem: String
    /// The remedy.
    public let remedy: String

    /// Creates an error.
    public init(_ kind: Kind, _ problem: String, remedy: String) {
        (self.kind, self.problem, self.remedy) = (kind, problem, remedy)
    }

    /// The problem and the remedy, in one line.
    public var description: String { "\(problem); \(remedy)" }

    /// The documented exit code of this failure; a run's documented exit code is forwarded.
    public var exitCode: ExitCode {
        switch kind {
        case .usage, .launcher: .usage
        case .run(let status): ExitCode(rawValue: status) ?? .internalFault
        case .malformedLog: .internalFault
        case .cannotWrite: .cannotWrite
        case .stopped: .resumable
        }
    }

    /// The error of a run that ended with a status other than 0.
    ///
    /// - Parameters:
    ///   - what: The name of the run, as in `the adaptation on 2 ranks`.
    ///   - output: The run's standard error. If Kedge's own error line is missing, the launcher failed, and its first
    ///     lines are reported.
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
        // Launchers have their own statuses above those of signals.
        if (129...192).contains(status) {
            return ScalingError(
                .run(status: status), "\(what) failed: a rank was ended by signal \(status - 128)",
                remedy: status == 137
                    ? "check whether memory ran out (`kedge plan` reports a rank's memory), or what killed it"
                    : "report it with the recipe")
        }
        let said = lines.map(\.trimmed).filter { !$0.isEmpty && !$0.allSatisfy { "-=*".contains($0) } }
        return ScalingError(
            .launcher,
            "\(what) did not start (status \(status)): "
                + (said.isEmpty ? "the launcher printed no message" : said.prefix(4).joined(separator: " ")),
            remedy: "correct --ranks, --hostfile or --launcher")
    }
}

extension String {
    /// The text without surrounding white space.
    var trimmed: String {
        var rest = Substring(self)
        while rest.first?.isWhitespace == true { rest.removeFirst() }
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return String(rest)
    }
}
