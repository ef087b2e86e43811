public import Tensors

/// A tensor to be written: its name, shape, element type and bytes.
public struct TensorToWrite: Sendable {
    let name: String
    let shape: [Int]
    let elementType: ElementType
    private let content: Content

    private enum Content: Sendable {
        case floats(Tensor)
        case bytes([UInt8])
    }

    /// A float tensor, stored as F32, or rounded to nearest as F16 or BF16, or widened to F64.
    public init(_ name: String, _ tensor: Tensor, as elementType: ElementType = .float32) {
        precondition(!elementType.isInteger, "a float tensor cannot be stored as \(elementType.rawValue)")
        self.name = name
        shape = tensor.shape.dimensions
        self.elementType = elementType
        func bytes<Stored: FixedWidthInteger>(_ convert: (Float) -> Stored) -> Content {
            .bytes(littleEndianBytes(tensor.elements.map(convert)))
        }
        switch elementType {
        case .float16: content = bytes { Float16($0).bitPattern }
        case .bfloat16: content = bytes { bfloat16Bits($0) }
        case .float64: content = bytes { Double($0).bitPattern }
        default: content = .floats(tensor)
        }
    }

    /// Integers in row-major order, stored as `elementType`, which must be able to hold each of them.
    public init(_ name: String, integers: [Int], shape: [Int], as elementType: ElementType = .int64) {
        precondition(checkedProduct(shape) == integers.count, "\(integers.count) numbers do not fill shape \(shape)")
        self.name = name
        self.shape = shape
        self.elementType = elementType
        switch elementType {
        case .int64: content = .bytes(littleEndianBytes(integers))
        case .int32: content = .bytes(littleEndianBytes(integers.map { Int32($0) }))
        case .int16: content = .bytes(littleEndianBytes(integers.map { Int16($0) }))
        case .int8: content = .bytes(littleEndianBytes(integers.map { Int8($0) }))
        case .uint8: content = .bytes(integers.map { UInt8($0) })
        case .bool: content = .bytes(integers.map { $0 == 0 ? 0 : 1 })
        default: preconditionFailure("whole numbers cannot be stored as \(elementType.rawValue)")
        }
    }

    /// Bytes in row-major order, stored as U8.
    public init(_ name: String, bytes: [UInt8], shape: [Int]) {
        precondition(checkedProduct(shape) == bytes.count, "\(bytes.count) bytes do not fill shape \(shape)")
        self.name = name
        self.shape = shape
        elementType = .uint8
        content = .bytes(bytes)
    }

    var byteCount: Int { shape.reduce(elementType.size, *) }

    func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        switch content {
        case .floats(let tensor):
            defer { withExtendedLifetime(tensor) {} }
            return try body(UnsafeRawBufferPointer(start: tensor.pointer, count: tensor.count * 4))
        case .bytes(let bytes):
            let result = bytes.withUnsafeBytes { (raw) -> Swift.Result<Result, Failure> in
                do throws(Failure) { return .success(try body(raw)) } catch { return .failure(error) }
            }
            return try result.get()
        }
    }
}

extension SafetensorsFile {
    /// The result of a finished write.
    public struct WrittenFile: Sendable, Equatable {
        /// The size of the file in bytes.
        public let byteCount: Int
        /// SHA-256 of the file in hexadecimal digits.
        public let digest: String
    }

    /// Writes a file so that at every moment `path` holds either the previous or the complete new file.
    ///
    /// Tensors are in the order of the reference writer (wide element types first, then by name), the header is padded
    /// to 8 bytes, metadata keys are sorted: equal input gives equal bytes. The file is written under a temporary name,
    /// flushed to disk and renamed, unless `permission` throws just before. Throws `spaceLeft`, `writable`, `duplicateKey`, `nameLength`, `rankLimit`,
    /// `tensorCount`.
    @discardableResult
    public static func write(
        _ tensors: [TensorToWrite], metadata: [String: String] = ["format": "pt"], to path: String,
        ifAllowed permission: () throws(WeightFileError) -> Void = {}
    ) throws(WeightFileError) -> WrittenFile {
        let ordered = try order(tensors, path)
        let digest = SHA256Digest()
        var byteCount = 0
        try AtomicFile.write(to: path, ifAllowed: permission) { (descriptor) throws(WeightFileError) in
            func put(_ bytes: UnsafeRawBufferPointer) throws(WeightFileError) {
                digest.update(bytes)
                byteCount += bytes.count
                try AtomicFile.put(bytes, into: descriptor, path: path)
            }
            let header = header(of: ordered, metadata)
            try header.withUnsafeBytesTyped(put)
            for tensor in ordered { try tensor.withBytes(put) }
        }
        return WrittenFile(byteCount: byteCount, digest: digest.hexadecimal())
    }

    /// The bytes that `write` would write. Throws as `write` does, except for disk errors.
    public static func encode(
        _ tensors: [TensorToWrite], metadata: [String: String] = ["format": "pt"]
    ) throws(WeightFileError) -> [UInt8] {
        let ordered = try order(tensors, "bytes")
        var bytes = header(of: ordered, metadata)
        for tensor in ordered { tensor.withBytes { bytes.append(contentsOf: $0) } }
        return bytes
    }

    /// The tensors in file order, after the checks that the reader would perform.
    private static func order(_ tensors: [TensorToWrite], _ path: String) throws(WeightFileError) -> [TensorToWrite] {
        func failure(_ rule: WeightFileError.Rule, _ found: String) -> WeightFileError {
            WeightFileError(rule, path: path, found: found, remedy: "change what is to be written")
        }
        guard tensors.count <= tensorLimit else { throw failure(.tensorCount, "\(tensors.count) tensors") }
        var names: Set<String> = ["__metadata__"]
        for tensor in tensors {
            guard names.insert(tensor.name).inserted else { throw failure(.duplicateKey, "two tensors \(tensor.name)") }
            guard tensor.name.utf8.count <= nameLimit else { throw failure(.nameLength, "the name \(tensor.name)") }
            guard tensor.shape.count <= rankLimit else {
                throw failure(.rankLimit, "\(tensor.name) of shape \(tensor.shape)")
            }
        }
        return tensors.sorted { left, right in
            left.elementType == right.elementType
                ? precedes(left.name, right.name) : left.elementType.storageOrder < right.elementType.storageOrder
        }
    }

    /// The length word and the JSON header, padded with spaces to a multiple of 8 bytes.
    private static func header(of tensors: [TensorToWrite], _ metadata: [String: String]) -> [UInt8] {
        var members: [String] = []
        if !metadata.isEmpty {
            let pairs = metadata.sorted { precedes($0.key, $1.key) }.map { "\(quoted($0.key)):\(quoted($0.value))" }
            members.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
        }
        var begin = 0
        for tensor in tensors {
            let end = begin + tensor.byteCount
            let shape = tensor.shape.map(String.init).joined(separator: ",")
            members.append(
                "\(quoted(tensor.name)):{\"dtype\":\"\(tensor.elementType.rawValue)\",\"shape\":[\(shape)],"
                    + "\"data_offsets\":[\(begin),\(end)]}")
            begin = end
        }
        var text = Array("{\(members.joined(separator: ","))}".utf8)
        text += [UInt8](repeating: 0x20, count: (8 - text.count % 8) % 8)
        return littleEndianBytes([UInt64(text.count)]) + text
    }

    /// A JSON string with the escapes that serde_json, and so the reference writer, uses.
    private static func quoted(_ string: String) -> String {
        var quoted = "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\u{08}": quoted += "\\b"
            case "\u{0c}": quoted += "\\f"
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            case "\0"..<" ":
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}

/// The bytes of integers, least significant first.
func littleEndianBytes<Number: FixedWidthInteger>(_ numbers: [Number]) -> [UInt8] {
    numbers.map(\.littleEndian).withUnsafeBytes { Array($0) }
}

extension [UInt8] {
    /// `withUnsafeBytes` for bodies with typed errors.
    package func withUnsafeBytesTyped<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let result = withUnsafeBytes { (raw) -> Swift.Result<Result, Failure> in
            do throws(Failure) { return .success(try body(raw)) } catch { return .failure(error) }
        }
        return try result.get()
    }
}
