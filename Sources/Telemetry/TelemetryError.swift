import Foundation

/// A log that could not be opened, or a line that could not be written.
public struct TelemetryError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The attempted operation.
    public enum Operation: String, Sendable {
        case open, write
    }

    /// The attempted operation.
    public let operation: Operation
    /// The file, or `standard output`.
    public let path: String
    /// The system's error number.
    public let systemError: Int32

    /// Creates the error of a failed operation, also for sinks of other modules.
    public init(operation: Operation, path: String, systemError: Int32) {
        self.operation = operation
        self.path = path
        self.systemError = systemError
    }

    /// True if the reader at the other end is permanently gone, so that retrying is useless.
    public var isReaderGone: Bool { systemError == EPIPE || systemError == EBADF }

    /// The exit code when a log cannot be opened.
    public var exitCode: ExitCode { .cannotWrite }

    /// Fault, location and remedy, in one line.
    public var description: String {
        if systemError == EAGAIN { return "log: the reader of \(path) has stopped reading" }
        let remedy =
            switch systemError {
            case ENOSPC, EDQUOT: "free disk space, or choose another run.folder"
            case ELOOP: "remove the link: a run follows none inside its own folder"
            case EACCES, EPERM, EROFS: "make it writable, or choose another run.folder"
            default: "check the path and its file system"
            }
        return "log: cannot \(operation.rawValue) \(path): \(String(cString: strerror(systemError))); \(remedy)"
    }
}
