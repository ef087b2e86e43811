import JSONReading

/// Files in the safetensors format (https://github.com/huggingface/safetensors): u64 header length, a JSON header, data.
///
/// The reader is stricter than the reference: it also rejects duplicate keys and anything but `{` as the first byte.
/// The writer (see `write`) always gives the same bytes for the same tensors.
public enum SafetensorsFile {
    /// Maximum bytes of a header.
    static let headerLimit: UInt64 = 100_000_000
    /// Maximum number of tensors.
    static let tensorLimit = 100_000
    /// Maximum dimensions of a tensor.
    static let rankLimit = 8
    /// Maximum length of a name, in bytes of UTF-8.
    static let nameLimit = 1024

    /// Reads a file. Throws `WeightFileError` with the rule that the file breaks.
    public static func read(_ path: String) throws(WeightFileError) -> TensorTable {
        try table(of: FileBytes(path: path))
    }

    /// Reads the bytes of a file; `label` replaces its path in errors.
    public static func read(bytes: [UInt8], label: String = "bytes") throws(WeightFileError) -> TensorTable {
        try table(of: FileBytes(copying: bytes, label: label))
    }

    /// A tensor as the header declares it: `begin` and `end` count from the start of the data.
    private struct Declaration {
        var elementType: ElementType
        var shape: [Int]
        var begin: Int
        var end: Int
    }

    package static func table(of file: FileBytes) throws(WeightFileError) -> TensorTable {
        func failure(_ rule: WeightFileError.Rule, _ offset: Int, _ found: String) -> WeightFileError {
            WeightFileError(rule, path: file.path, offset: offset, found: found)
        }
        guard file.count >= 8 else { throw failure(.headerLength, 0, "a file of \(file.count) bytes") }
        let declared = try file.number(UInt64.self, at: 0)
        guard declared <= headerLimit, declared <= UInt64(file.count - 8) else {
            throw failure(.headerLength, 0, "a header of \(declared) bytes in a file of \(file.count)")
        }
        let dataStart = 8 + Int(declared)
        let header = try file.bytes(8..<dataStart)
        guard header.first == UInt8(ascii: "{") else { throw failure(.headerStart, 8, "the header does not start so") }
        guard String(validating: header, as: UTF8.self) != nil else {
            throw failure(.headerText, 8, "bytes that are not UTF-8")
        }

        var metadata: [String: String] = [:]
        var declarations: [(name: String, Declaration)] = []
        var reader = headerReader(file, 8..<dataStart)
        try reader.object(limit: .max) { (reader, key) throws(WeightFileError) in
            if key == "__metadata__" {
                guard try reader.peek() == UInt8(ascii: "{") else {
                    throw reader.fault(.metadataText, "metadata that is not an object")
                }
                try reader.object(limit: .max) { (reader, key) throws(WeightFileError) in
                    metadata[key] = try string(&reader, else: .metadataText)
                }
                return
            }
            guard key.utf8.count <= nameLimit else {
                throw reader.fault(.nameLength, "a name of \(key.utf8.count) bytes")
            }
            guard declarations.count < tensorLimit else { throw reader.fault(.tensorCount, "too many tensors") }
            declarations.append((key, try declaration(of: key, &reader)))
        }
        // Spaces may pad the header, so that the data is aligned.
        let padding = reader.offset..<dataStart
        if let other = header[padding.lowerBound - 8..<padding.upperBound - 8].firstIndex(where: { $0 != 0x20 }) {
            throw failure(.headerSyntax, 8 + other, "trailing data after the header")
        }
        try checkTiling(declarations, dataLength: file.count - dataStart, file)
        let entries = declarations.map { name, declaration in
            TensorEntry(
                name: name, shape: declaration.shape, elementType: declaration.elementType, strides: nil,
                byteOffset: dataStart + declaration.begin)
        }
        return TensorTable(entries, metadata: metadata, file: file)
    }

    /// Reads `{"dtype": ..., "shape": [...], "data_offsets": [begin, end]}` and checks it on its own.
    private static func declaration(
        of name: String, _ reader: inout HeaderReader
    ) throws(WeightFileError) -> Declaration {
        var type: ElementType?
        var shape: [Int]?
        var offsets: [Int]?
        try reader.object { (reader, key) throws(WeightFileError) in
            switch key {
            case "dtype":
                let word = try string(&reader, else: .headerSyntax)
                guard let known = ElementType(rawValue: word) else {
                    throw reader.fault(.elementType, "\(name) has the element type \(word.debugDescription)")
                }
                type = known
            case "shape": shape = try numbers(&reader, limit: rankLimit, .rankLimit)
            case "data_offsets": offsets = try numbers(&reader, limit: 2, .headerSyntax)
            default: throw reader.fault(.headerSyntax, "\(name) has the unknown field \(key.debugDescription)")
            }
        }
        guard let type, let shape, let offsets, offsets.count == 2 else {
            throw reader.fault(.headerSyntax, "\(name) lacks its dtype, shape or two data_offsets")
        }
        guard let length = checkedProduct(shape + [type.size]) else {
            throw reader.fault(.sizeOverflow, "\(name) has shape \(shape)")
        }
        guard offsets[0] <= offsets[1] else {
            throw reader.fault(.offsetOrder, "\(name) spans \(offsets[0]) to \(offsets[1])")
        }
        guard offsets[1] - offsets[0] == length else {
            throw reader.fault(
                .offsetLength, "\(name) has \(offsets[1] - offsets[0]) bytes, its shape asks for \(length)")
        }
        return Declaration(elementType: type, shape: shape, begin: offsets[0], end: offsets[1])
    }

    /// Checks that the tensors, laid side by side, exactly fill the data.
    private static func checkTiling(
        _ declarations: [(name: String, Declaration)], dataLength: Int, _ file: FileBytes
    ) throws(WeightFileError) {
        var expected = 0
        for (name, declaration) in declarations.sorted(by: { ($0.1.begin, $0.1.end) < ($1.1.begin, $1.1.end) }) {
            guard declaration.begin == expected else {
                let fault = declaration.begin < expected ? "overlaps its neighbour" : "leaves a hole before it"
                throw WeightFileError(
                    .tiling, path: file.path, offset: file.count - dataLength + expected,
                    found: "\(name) begins at \(declaration.begin) of the data and \(fault)")
            }
            expected = declaration.end
        }
        guard expected == dataLength else {
            throw WeightFileError(
                .tiling, path: file.path, offset: file.count - dataLength + min(expected, dataLength),
                found: "the tensors need \(expected) bytes and the data has \(dataLength)")
        }
    }
}
