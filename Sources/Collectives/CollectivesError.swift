/// The reason a collective operation could not complete: what happened, on which rank and host, and the remedy.
public struct CollectivesError: Error, CustomStringConvertible, Sendable, Equatable {
    /// The kinds of failure a caller may want to distinguish.
    public enum Kind: String, Sendable {
        /// Ranks met in different operations, phases or roots.
        case operationMismatch
        /// Ranks disagree on the number of elements.
        case countMismatch
        /// MPI returned an error code.
        case mpiFailure
        /// A message is larger than MPI's 32-bit counts can describe.
        case messageTooLarge
        /// Another rank has failed or has finished, so this operation can never complete.
        case peerFailed
        /// Two samples claim one position of the global batch, or a position is outside it.
        case invalidBatch
        /// The process was started in a way that hides the other ranks (exit code 64).
        case wrongLauncher
        /// A node has no space for memory shared by its ranks.
        case nodeMemory
        /// MPI was not initialised, was initialised twice, or has been finalised.
        case notInitialised
    }

    /// The kind of failure.
    public let kind: Kind
    /// The operation, for example `broadcast`.
    public let operation: String
    /// The rank that reports the error.
    public let rank: Int
    /// The host of that rank.
    public let host: String
    /// What happened.
    public let reason: String
    /// The remedy.
    public let remedy: String

    package init(_ kind: Kind, operation: String, rank: Int, host: String, reason: String, remedy: String) {
        self.kind = kind
        self.operation = operation
        self.rank = rank
        self.host = host
        self.reason = reason
        self.remedy = remedy
    }

    /// One line: operation, rank and host, reason; remedy.
    public var description: String { "\(operation) on rank \(rank) (\(host)): \(reason); \(remedy)" }
}
