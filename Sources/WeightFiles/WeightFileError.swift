import PlainText

/// The reason a weight file was rejected or could not be written: the rule it broke, where, and the remedy.
public struct WeightFileError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The rule that was broken.
    public enum Rule: String, Sendable, CaseIterable {
        // The file itself.
        case fileUnreadable = "the file can be read"
        case unchanged = "a file stays as it is while it is read"
        case regularFile = "a weight file is a regular file"
        case knownFormat = "a weight file is a safetensors file or a PyTorch zip archive"
        case oneFile = "a model is in one file"
        case writable = "the file can be written"
        case spaceLeft = "there is space left for the file"

        // safetensors.
        case headerLength = "the header lies inside the file"
        case headerStart = "the header starts with {"
        case headerText = "the header is UTF-8 text"
        case headerSyntax = "the header is JSON of the safetensors form"
        case duplicateKey = "keys are unique"
        case metadataText = "metadata values are strings"
        case elementType = "the element type is known"
        case wholeNumber = "numbers are whole, not negative and at most 2^53"
        case rankLimit = "a tensor has at most 8 dimensions"
        case nameLength = "a tensor name has at most 1024 bytes"
        case tensorCount = "a file holds at most 100000 tensors"
        case sizeOverflow = "the size of a tensor fits in 63 bits"
        case offsetOrder = "a tensor does not end before it begins"
        case offsetLength = "the bytes of a tensor are as many as its shape asks for"
        case tiling = "tensors fill the data without hole, overlap or trailing bytes"

        // The zip archive of a PyTorch file.
        case legacyFile = "PyTorch files are zip archives (PyTorch 1.6 or later)"
        case archiveDirectory = "the archive ends with a whole central directory"
        case archiveEntryCount = "an archive holds at most 10000 entries"
        case archiveMethod = "archive entries are stored, not compressed"
        case archiveEncryption = "archive entries are not encrypted"
        case archiveName = "archive entry names are plain relative paths"
        case archiveRoot = "all archive entries lie in one folder"
        case archiveOverlap = "archive entries lie inside the file and do not overlap"
        case archiveLocalHeader = "the local header of an entry agrees with the directory"
        case archiveChecksum = "the CRC-32 of an entry is right"
        case aliasLimit = "the tensors of a file take at most eight times its bytes"
        case byteOrder = "numbers are little-endian"

        // The pickle inside it.
        case pickleSize = "data.pkl has at most 16 MiB"
        case pickleOpcode = "the pickle uses only the opcodes that tensors need"
        case pickleGlobal = "the pickle names only the globals that tensors need"
        case pickleEnd = "the pickle is whole and ends with STOP"
        case pickleStack = "the pickle stack is used within its bounds"
        case pickleMemo = "the pickle memo is used within its bounds"
        case pickleValue = "pickle values have the kinds that tensors need"
        case storageSize = "a storage has the bytes it declares"
        case storageBounds = "a tensor lies inside its storage"
        case stateDictionary = "the file holds one dictionary of tensors"

        // Pools of adapters.
        case pool = "a pool holds the files that its manifest names"

        // The table and the model.
        case missingTensor = "the tensor exists"
        case tensorRank = "a tensor has at most 4 dimensions"
        case valueType = "the values are of the requested kind"
        case nameCollision = "no two tensors get the same name"
        case tiedTensors = "copies of a tied tensor are equal"
        case dialect = "the tensor names are those of a known model"
        case contract = "the tensors are those of the model"
    }

    /// The rule that was broken.
    public let rule: Rule
    /// The file, or a label if there is no file.
    public let path: String
    /// The byte at which it was noticed, counted from the beginning of the file or, in a pickle, of `data.pkl`.
    public let offset: Int?
    /// What was found.
    public let found: String
    /// The remedy.
    public let remedy: String

    /// Creates an error; the default remedy is the one for damaged files.
    public init(_ rule: Rule, path: String, offset: Int? = nil, found: String, remedy: String? = nil) {
        self.rule = rule
        self.path = path
        self.offset = offset
        self.found = found
        self.remedy = remedy ?? "the file is damaged or was not written correctly: fetch or save it again"
    }

    /// One line: where, what, which rule, remedy.
    public var description: String {
        let place = offset.map { "\(path) at byte \($0)" } ?? path
        return "\(place): \(found) (rule: \(rule.rawValue)); \(remedy)".onOneLine
    }
}
