public import Tensors

/// A file's description of one tensor.
public struct TensorEntry: Sendable, Equatable {
    /// The name, unique in its table.
    public let name: String
    /// The extents, outermost first; up to eight.
    public let shape: [Int]
    /// The type of the stored numbers.
    public let elementType: ElementType
    /// The distance between neighbours along each dimension, in elements; nil for row-major order.
    let strides: [Int]?
    /// The first element, in bytes from the beginning of the file.
    let byteOffset: Int

    /// The number of elements; the readers have checked that it does not overflow.
    public var count: Int { shape.reduce(1, *) }

    func renamed(_ name: String) -> TensorEntry {
        TensorEntry(name: name, shape: shape, elementType: elementType, strides: strides, byteOffset: byteOffset)
    }
}

/// The tensors of a weight file, whatever its format, in the order of their names.
///
/// The table keeps the file open, and one of usual size in memory: its F32 tensors in row-major order are then read-only
/// views and cost nothing. Every access to a larger file throws `unchanged` if that was cut meanwhile.
public struct TensorTable: Sendable {
    /// The tensors, sorted by name (by UTF-8 bytes).
    public let entries: [TensorEntry]
    /// The free text of the file (`__metadata__` of safetensors; empty for PyTorch files).
    public let metadata: [String: String]
    /// The file the tensors come from.
    public var path: String { file.path }

    let file: FileBytes
    private let positions: [String: Int]

    /// Sorts entries into a table; names must be unique.
    init(_ entries: [TensorEntry], metadata: [String: String], file: FileBytes) {
        self.entries = entries.sorted { precedes($0.name, $1.name) }
        self.metadata = metadata
        self.file = file
        positions = Dictionary(
            self.entries.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// The names in sorted order.
    public var names: [String] { entries.map(\.name) }

    /// Throws `unchanged` if the file was written to since it was opened: what was read may then be of two states.
    public func checkUnchanged() throws(WeightFileError) { try file.checkUnchanged() }

    /// The entry of one tensor, or nil if the file has none of that name.
    public subscript(name: String) -> TensorEntry? { positions[name].map { entries[$0] } }

    /// One tensor as floats; other element types are converted. Throws `missingTensor`, `tensorRank`.
    public func tensor(_ name: String) throws(WeightFileError) -> Tensor {
        let entry = try entry(name)
        guard entry.shape.count <= 4 else {
            throw WeightFileError(
                .tensorRank, path: path, found: "\(name) has shape \(entry.shape)",
                remedy: "reshape it before saving, or read it with integers or bytes")
        }
        let shape = Shape(entry.shape)
        let isStoredAsUsed = entry.elementType == .float32 && entry.strides == nil
        if isStoredAsUsed, let view = file.view(offset: entry.byteOffset, shape: shape) { return view }
        var tensor = Tensor(uninitialized: shape)
        let target = tensor.mutablePointer
        if isStoredAsUsed {
            try file.read(entry.byteOffset..<entry.byteOffset + 4 * entry.count, into: target)
            return tensor
        }
        try withContiguousBytes(entry) { entry.elementType.readFloats($0, count: entry.count, into: target) }
        return tensor
    }

    /// The integers of one tensor in row-major order. Throws `missingTensor`, `valueType`.
    public func integers(_ name: String) throws(WeightFileError) -> [Int] {
        let entry = try entry(name)
        guard entry.elementType.isInteger else {
            throw WeightFileError(
                .valueType, path: path, found: "\(name) has element type \(entry.elementType.rawValue)",
                remedy: "read it with tensor")
        }
        return try withContiguousBytes(entry) { entry.elementType.readIntegers($0, count: entry.count) }
    }

    /// The bytes of one U8 or BOOL tensor in row-major order. Throws `missingTensor`, `valueType`.
    public func bytes(_ name: String) throws(WeightFileError) -> [UInt8] {
        let entry = try entry(name)
        guard entry.elementType == .uint8 || entry.elementType == .bool else {
            throw WeightFileError(
                .valueType, path: path, found: "\(name) has element type \(entry.elementType.rawValue)",
                remedy: "read it with integers or tensor")
        }
        return try withContiguousBytes(entry) { Array(UnsafeRawBufferPointer(start: $0, count: entry.count)) }
    }

    /// A table of the same tensors under other names, without those whose new name is nil.
    /// Throws `nameCollision`.
    public func renamed(_ newName: (String) -> String?) throws(WeightFileError) -> TensorTable {
        var source: [String: String] = [:]
        var renamed: [TensorEntry] = []
        for entry in entries {
            guard let name = newName(entry.name) else { continue }
            if let other = source.updateValue(entry.name, forKey: name) {
                throw WeightFileError(
                    .nameCollision, path: path, found: "\(other) and \(entry.name) both become \(name)",
                    remedy: "remove one of them from the file")
            }
            renamed.append(entry.renamed(name))
        }
        return TensorTable(renamed, metadata: metadata, file: file)
    }

    /// The table without the prefixes `module.`, `model.` and `sam.` that wrappers add to every name.
    func removingWrapperPrefixes() throws(WeightFileError) -> TensorTable {
        // Counted first and removed once: a hostile file may wrap a hundred thousand names hundreds of times.
        let names = entries.map { Array($0.name.utf8) }
        var length = 0
        while let prefix = ["module.", "model.", "sam."].first(where: { prefix in
            !names.isEmpty && names.allSatisfy { $0.dropFirst(length).starts(with: prefix.utf8) }
        }) {
            length += prefix.utf8.count
        }
        return length == 0 ? self : try renamed { String(decoding: $0.utf8.dropFirst(length), as: UTF8.self) }
    }

    /// Calls `body` with the numbers of a tensor in row-major order, gathered first if they are stored otherwise.
    func withContiguousBytes<Result>(
        _ entry: TensorEntry, _ body: (UnsafeRawPointer) -> Result
    ) throws(WeightFileError) -> Result {
        let (size, count) = (entry.elementType.size, entry.count)
        guard let strides = entry.strides, count > 0 else {
            // An empty tensor may have no place in the file.
            let start = count == 0 ? 0 : entry.byteOffset
            return try file.withStart(of: start..<start + count * size) { body($0) }
        }
        let last = zip(entry.shape, strides).reduce(0) { $0 + ($1.0 - 1) * $1.1 }
        return try file.withStart(of: entry.byteOffset..<entry.byteOffset + (last + 1) * size) {
            Self.gathering(entry, strides, $0, body)
        }
    }

    /// Calls `body` with the elements from `source` on, gathered by their strides.
    private static func gathering<Result>(
        _ entry: TensorEntry, _ strides: [Int], _ source: UnsafeRawPointer, _ body: (UnsafeRawPointer) -> Result
    ) -> Result {
        let size = entry.elementType.size
        let gathered = UnsafeMutableRawPointer.allocate(byteCount: entry.count * size, alignment: 64)
        defer { gathered.deallocate() }
        var index = [Int](repeating: 0, count: entry.shape.count)
        for position in 0..<entry.count {
            let element = zip(index, strides).reduce(0) { $0 + $1.0 * $1.1 }
            (gathered + position * size).copyMemory(
                from: source + element * size, byteCount: size)
            for dimension in index.indices.reversed() {
                index[dimension] += 1
                if index[dimension] < entry.shape[dimension] { break }
                index[dimension] = 0
            }
        }
        return body(gathered)
    }

    private func entry(_ name: String) throws(WeightFileError) -> TensorEntry {
        if let entry = self[name] { return entry }
        throw WeightFileError(
            .missingTensor, path: path, found: "there is no tensor \(name) among the \(entries.count)",
            remedy: "check that the file belongs to this model")
    }
}

/// The order of names in tables and files: by UTF-8 bytes, independent of locale and Unicode version.
func precedes(_ left: String, _ right: String) -> Bool {
    left.utf8.lexicographicallyPrecedes(right.utf8)
}

/// The product of extents, or nil if it overflows.
func checkedProduct(_ factors: [Int]) -> Int? {
    var product = 1
    for factor in factors {
        let (next, overflow) = product.multipliedReportingOverflow(by: factor)
        if overflow { return nil }
        product = next
    }
    return product
}
