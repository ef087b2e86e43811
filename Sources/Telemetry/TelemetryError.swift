import Foundation

/// Why a log could not be opened or a line could not be written.
public struct TelemetryError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What was tried.
    public enum Operation: String, Sendable {
        case open, write
    }

    /// What was tried.
    public let operation: Operation
    /// The file, or `standard output`.
    public let path: String
    /// The system's error number.
    public let systemError: Int32

    /// A failed operation, for sinks in other rooms too.
    public init(operation: Operation, path: String, systemError: Int32) {
        self.operation = operation
        self.path = path
        self.systemError = systemError
    }

    /// Whether the reader at the other end has gone for good, so that trying again is of no use.
    public var isReaderGone: Bool { systemError == EPIPE || systemError == EBADF }

    /// The exit status that fits when a log cannot even be opened.
    public var exitCode: ExitCode { .cannotWrite }

    /// What, where and what to do, in one line.
    public var description: String {
        let remedy =
            switch systemError {
            case ENOSPC, EDQUOT: "free space there, or choose another run.folder"
            case EACCES, EPERM, EROFS: "make it writable, or choose another run.folder"
            default: "check the path and its file system"
            }
        return "log: cannot \(operation.rawValue) \(path): \(String(cString: strerror(systemError))); \(remedy)"
    }
}
