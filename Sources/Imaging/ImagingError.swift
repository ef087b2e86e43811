import PlainText

/// The reason an image could not be read or written, in one line with the file, the rule and the remedy.
public struct ImagingError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The kind of failure, for callers that decide by it.
    public enum Code: String, Sendable {
        /// The file cannot be opened or read, or is not a regular file.
        case unreadable
        /// The file or the image is larger than the limits allow.
        case overLimit
        /// The bytes are neither PNG nor JPEG.
        case notAnImage
        /// The image is truncated or breaks the rules of its format.
        case damaged
        /// A valid image of an unsupported kind.
        case unsupported
        /// Memory for the samples could not be allocated.
        case outOfMemory
        /// The file cannot be created or written.
        case unwritable
        /// The disk or the quota is full.
        case diskFull
    }

    /// The kind of failure.
    public let code: Code
    /// The path, or a name for bytes from memory.
    public let file: String
    /// What is wrong.
    public let cause: String
    /// The remedy.
    public let remedy: String
    /// The error number of the failed system call, if any.
    public let systemError: Int32?

    /// Creates an error from its parts.
    public init(_ code: Code, file: String, cause: String, remedy: String, systemError: Int32? = nil) {
        self.code = code
        self.file = file
        self.cause = cause
        self.remedy = remedy
        self.systemError = systemError
    }

    /// The message: `file: cause; remedy`.
    public var description: String { "\(file): \(cause); \(remedy)".onOneLine }

    /// The error of opening a file that a system call refused with this number; a lack of descriptors or memory is not
    /// blamed on the file.
    package static func cannotOpen(_ path: String, _ number: Int32) -> ImagingError {
        RegularFile.readError(path, "it cannot be opened", number)
    }
}
