/// A fault of a data set: which file or option, what rule it breaks, what to do about it.
public struct DatasetError: Error, Equatable, CustomStringConvertible {
    /// The rule that was broken.
    public enum Code: Equatable, Sendable {
        /// No data set of that name is registered.
        case unknownDataset
        /// A folder the layout demands does not exist or cannot be listed.
        case missingFolder
        /// The data set holds no image.
        case emptyDataset
        /// An image has no label file.
        case missingLabel
        /// Two files claim the same image or the same label.
        case ambiguousName
        /// A label image is not as large as its image.
        case sizeMismatch
        /// A file cannot be read or decoded, or is none.
        case unreadableFile
        /// An annotation breaks a rule of its format.
        case invalidAnnotation
        /// A symbolic link leads out of the data set.
        case outsideRoot
        /// An option has a value that makes no sense.
        case invalidOption
        /// A prompt was asked for that the labels at hand cannot give.
        case unavailablePrompt
        /// A method that learns from masks met an image without any.
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
    /// What the user can do about it.
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
        [.missingLabel, .sizeMismatch, .unreadableFile, .outsideRoot, .invalidAnnotation, .unavailablePrompt].contains(
            code)
    }

    /// The error on one line: where, what, remedy. Names come from files: what is no plain character is written as a number.
    public var description: String {
        var line = ""
        for scalar in "\(location): \(problem); \(remedy)".unicodeScalars {
            if scalar.value < 0x20 || scalar.value == 0x7f {
                line += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                line.unicodeScalars.append(scalar)
            }
        }
        return line
    }
}
