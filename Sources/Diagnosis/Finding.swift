public import Telemetry

/// What a check has found, in one line, and what to do about it.
public struct Finding: Sendable, Equatable {
    /// How bad it is.
    public enum State: Sendable, Equatable {
        /// As it should be.
        case ok
        /// A run will work, but slower or otherwise than expected.
        case warning
        /// A run will fail; with this status.
        case fault(ExitCode)

        /// The word for it.
        public var name: String {
            switch self {
            case .ok: "ok"
            case .warning: "warning"
            case .fault: "fault"
            }
        }
    }

    /// How bad it is.
    public let state: State
    /// What was found.
    public let found: String
    /// What to do; empty when nothing need be done.
    public let remedy: String

    init(_ state: State, _ found: String, remedy: String) {
        (self.state, self.found, self.remedy) = (state, found, remedy)
    }

    package static func ok(_ found: String) -> Finding { Finding(.ok, found, remedy: "") }

    package static func warning(_ found: String, remedy: String) -> Finding {
        Finding(.warning, found, remedy: remedy)
    }

    package static func fault(_ code: ExitCode, _ found: String, remedy: String) -> Finding {
        Finding(.fault(code), found, remedy: remedy)
    }
}
