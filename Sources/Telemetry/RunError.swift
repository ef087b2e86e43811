/// What went wrong in a run, in one line with its remedy, and the status the process should exit with.
public struct RunError: Error, Sendable, CustomStringConvertible {
    /// The kind of failure.
    public enum Kind: Sendable, Equatable {
        /// The recipe asks for what cannot be.
        case configuration
        /// A file or folder that is needed is not there.
        case missingInput
        /// The run folder cannot be written.
        case cannotWrite
        /// An image or a label cannot be used.
        case badData
        /// Too many batches had numbers that are not finite.
        case nonFinite
        /// The machine cannot give what the run needs.
        case resources
        /// Ranks do not run the same program.
        case protocolViolation
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

    /// The documented status of this failure.
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
