/// The type of the numbers in a stored tensor.
public enum ElementType: String, Sendable, CaseIterable {
    case bool = "BOOL"
    case uint8 = "U8"
    case int8 = "I8"
    case int16 = "I16"
    case float16 = "F16"
    case bfloat16 = "BF16"
    case int32 = "I32"
    case float32 = "F32"
    case float64 = "F64"
    case int64 = "I64"

    /// The bytes of one number.
    public var size: Int {
        switch self {
        case .bool, .uint8, .int8: 1
        case .int16, .float16, .bfloat16: 2
        case .int32, .float32: 4
        case .float64, .int64: 8
        }
    }

    /// Whether the numbers are integers (including truth values).
    public var isInteger: Bool {
        switch self {
        case .float16, .bfloat16, .float32, .float64: false
        case .bool, .uint8, .int8, .int16, .int32, .int64: true
        }
    }

    /// The sort key in a safetensors file: the reference writer stores wide types first, and types of one width in the
    /// reverse order of this enumeration.
    var storageOrder: Int { Self.allCases.count - (Self.allCases.firstIndex(of: self) ?? 0) }

    /// Reads `count` numbers as floats; exact for every type but F64, I64 and I32, which are rounded to nearest.
    func readFloats(_ source: UnsafeRawPointer, count: Int, into target: UnsafeMutablePointer<Float>) {
        func each<Stored>(_ type: Stored.Type, _ convert: (Stored) -> Float) {
            for index in 0..<count {
                target[index] = convert((source + index * size).loadUnaligned(as: Stored.self))
            }
        }
        switch self {
        case .bool: each(UInt8.self) { $0 == 0 ? 0 : 1 }
        case .uint8: each(UInt8.self) { Float($0) }
        case .int8: each(Int8.self) { Float($0) }
        case .int16: each(Int16.self) { Float(Int16(littleEndian: $0)) }
        case .float16: each(UInt16.self) { Float(Float16(bitPattern: UInt16(littleEndian: $0))) }
        case .bfloat16: each(UInt16.self) { Float(bitPattern: UInt32(UInt16(littleEndian: $0)) << 16) }
        case .int32: each(Int32.self) { Float(Int32(littleEndian: $0)) }
        case .float32: each(UInt32.self) { Float(bitPattern: UInt32(littleEndian: $0)) }
        case .float64: each(UInt64.self) { Float(Double(bitPattern: UInt64(littleEndian: $0))) }
        case .int64: each(Int64.self) { Float(Int64(littleEndian: $0)) }
        }
    }

    /// Reads `count` whole numbers; for integer types only.
    func readIntegers(_ source: UnsafeRawPointer, count: Int) -> [Int] {
        func each<Stored: FixedWidthInteger>(_ type: Stored.Type) -> [Int] {
            (0..<count).map { Int(Stored(littleEndian: (source + $0 * size).loadUnaligned(as: Stored.self))) }
        }
        switch self {
        case .bool: return each(UInt8.self).map { $0 == 0 ? 0 : 1 }
        case .uint8: return each(UInt8.self)
        case .int8: return each(Int8.self)
        case .int16: return each(Int16.self)
        case .int32: return each(Int32.self)
        case .int64: return each(Int64.self)
        case .float16, .bfloat16, .float32, .float64: preconditionFailure("\(self) is not an integer type")
        }
    }
}

/// BF16 bits nearest to a float, ties to even; NaN stays NaN.
func bfloat16Bits(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    if value.isNaN { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
    return UInt16(truncatingIfNeeded: (bits &+ 0x7fff &+ ((bits >> 16) & 1)) >> 16)
}
