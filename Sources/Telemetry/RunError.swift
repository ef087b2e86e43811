/// A failure of a run, in one line with its remedy, and the exit code of the process.
public struct RunError: Error, Sendable, CustomStringConvertible {
    /// The kind of failure.
    public enum Kind: Sendable, Equatable {
        /// The recipe requests something impossible.
        case configuration
        /// A required file or folder is missing.
        case missingInput
        /// The run folder cannot be written.
        case cannotWrite
        /// An image or a label is unusable.
        case badData
        /// Too many batches had non-finite values.
        case nonFinite
        /// The machine lacks the resources for the run.
        case resources
        /// Ranks do not run the same program.
        case protocolViolation
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

    /// The documented exit code of this failure.
    public var exitCode: ExitCode {
        switch kind {
        case .configuration: .usage
        case .missingInput: .noInput
        case .cannotWrite: .cannotWrite
        case .badData: .data
        case .nonFinite: .nonFinite
        case .resources: .resources
        case .protocolViolation: .internalFault
        }
    }
}
