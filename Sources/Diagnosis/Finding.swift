public import Telemetry

/// The result of a check, in one line, with its remedy.
public struct Finding: Sendable, Equatable {
    /// The severity.
    public enum State: Sendable, Equatable {
        /// As expected.
        case ok
        /// A run will work, but slower or not as expected.
        case warning
        /// A run will fail with this exit code.
        case fault(ExitCode)

        /// The name in the report.
        public var name: String {
            switch self {
            case .ok: "ok"
            case .warning: "warning"
            case .fault: "fault"
            }
        }
    }

    /// The severity.
    public let state: State
    /// The finding.
    public let found: String
    /// The remedy; empty if nothing needs to be done.
    public let remedy: String

    init(_ state: State, _ found: String, remedy: String) {
        (self.state, self.found, self.remedy) = (state, found, remedy)
    }

    /// A finding without a problem.
    package static func ok(_ found: String) -> Finding { Finding(.ok, found, remedy: "") }

    /// A finding that does not stop a run.
    package static func warning(_ found: String, remedy: String) -> Finding {
        Finding(.warning, found, remedy: remedy)
    }

    /// A finding that makes a run fail with the given exit code.
    package static func fault(_ code: ExitCode, _ found: String, remedy: String) -> Finding {
        Finding(.fault(code), found, remedy: remedy)
    }
}
