import WeightFiles
import PlainText

/// The reason a checkpoint cannot be written, read or used: what happened, where, and the remedy.
public struct CheckpointError: Error, CustomStringConvertible, Sendable, Equatable {
    /// The kinds of failure a caller may want to distinguish.
    public enum Kind: String, Codable, Sendable {
        /// The named checkpoint does not exist.
        case missing
        /// A file is missing, damaged or not as the manifest states.
        case damaged
        /// There are checkpoints, but none can be used.
        case noneUsable
        /// The checkpoint belongs to a run with other settings, weights or data.
        case changed
        /// Another process holds the run's lock, or this one has lost it.
        case locked
        /// A folder or file cannot be written.
        case cannotWrite
    }

    /// The kind of failure.
    public let kind: Kind
    /// The file or folder.
    public let path: String
    /// What happened.
    public let reason: String
    /// The remedy.
    public let remedy: String

    package init(_ kind: Kind, at path: String, _ reason: String, remedy: String) {
        (self.kind, self.path, self.reason, self.remedy) = (kind, path, reason, remedy)
    }

    /// One line: place, reason; remedy.
    public var description: String { "\(path): \(reason); \(remedy)".onOneLine }

    static func damaged(_ path: String, _ reason: String) -> CheckpointError {
        CheckpointError(.damaged, at: path, reason, remedy: "use another checkpoint")
    }

    /// An entry of a run's own folder that leads out of it.
    package static func link(_ path: String, _ what: String) -> CheckpointError {
        CheckpointError(
            .cannotWrite, at: path, "is \(what); a run follows no links inside its own folder",
            remedy: "remove it, or choose another run.name; nothing was written")
    }

    static func cannotWrite(_ path: String, _ reason: String) -> CheckpointError {
        CheckpointError(
            .cannotWrite, at: path, "cannot be written: \(reason)",
            remedy: "free disk space or choose a writable folder")
    }
}

extension CheckpointError: Codable {}
