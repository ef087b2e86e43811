import WeightFiles

/// Why a checkpoint cannot be written, read or used: what happened, where, and what to do about it.
public struct CheckpointError: Error, CustomStringConvertible, Sendable, Equatable {
    /// The kinds of failure a caller may want to tell apart.
    public enum Kind: String, Codable, Sendable {
        /// A checkpoint that was named does not exist.
        case missing
        /// A file is missing, damaged or not what the manifest says.
        case damaged
        /// There are checkpoints and none of them can be used.
        case noneUsable
        /// The checkpoint is of a run with other settings, weights or data.
        case changed
        /// Another process has the run.
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
    /// What the reader can do about it.
    public let remedy: String

    package init(_ kind: Kind, at path: String, _ reason: String, remedy: String) {
        (self.kind, self.path, self.reason, self.remedy) = (kind, path, reason, remedy)
    }

    /// One line: place, reason; remedy.
    public var description: String { "\(path): \(reason); \(remedy)".onOneLine }

    static func damaged(_ path: String, _ reason: String) -> CheckpointError {
        CheckpointError(.damaged, at: path, reason, remedy: "use another checkpoint")
    }

    static func cannotWrite(_ path: String, _ reason: String) -> CheckpointError {
        CheckpointError(
            .cannotWrite, at: path, "cannot be written: \(reason)",
            remedy: "free disk space or give a folder that can be written")
    }
}

extension CheckpointError: Codable {}
