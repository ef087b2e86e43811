import PlainText

/// A fault of a data set: the file or option, the rule it breaks, and the remedy.
public struct DatasetError: Error, Equatable, CustomStringConvertible {
    /// The rule that was broken.
    public enum Code: Equatable, Sendable {
        /// No data set of that name is registered.
        case unknownDataset
        /// A folder required by the layout does not exist or cannot be listed.
        case missingFolder
        /// The data set holds no image.
        case emptyDataset
        /// An image has no label file.
        case missingLabel
        /// Two files claim the same image or the same label.
        case ambiguousName
        /// A label image is not as large as its image.
        case sizeMismatch
        /// A file cannot be read or decoded, or is missing.
        case unreadableFile
        /// A file is not what it was when the run began.
        case changedFile
        /// An annotation breaks a rule of its format.
        case invalidAnnotation
        /// A symbolic link leads out of the data set.
        case outsideRoot
        /// An option has an invalid value.
        case invalidOption
        /// The available labels cannot provide the requested prompt.
        case unavailablePrompt
        /// A method that learns from masks was given an image without any.
        case missingMasks
        /// A file could not be written.
        case writeFailed
    }

    /// The rule that was broken.
    public let code: Code
    /// The file, folder or option at fault.
    public let location: String
    /// What is wrong with it.
    public let problem: String
    /// The remedy for the user.
    public let remedy: String

    /// Creates an error from its parts.
    public init(_ code: Code, at location: String, _ problem: String, remedy: String) {
        self.code = code
        self.location = location
        self.problem = problem
        self.remedy = remedy
    }

    /// True if one image is at fault, so that the others could be used without it.
    public var concernsOneImage: Bool {
        [
            .missingLabel, .sizeMismatch, .unreadableFile, .changedFile, .outsideRoot, .invalidAnnotation,
            .unavailablePrompt,
        ].contains(code)
    }

    /// The error on one line: where, what, remedy. Names come from files, so unprintable characters are escaped.
    public var description: String { "\(location): \(problem); \(remedy)".onOneLine }
}
