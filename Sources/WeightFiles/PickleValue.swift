/// A value that a pickle of tensors can build.
///
/// Tuples and dictionaries are kept in tables and referred to by number: values refer to each other without nesting, so
/// that neither cycles nor a million nested tuples can harm code that walks or frees them.
enum PickleValue {
    case none
    case bool(Bool)
    case integer(Int)
    case float(Double)
    case text(String)
    case tuple(Int)
    /// The reader needs no list, so items are not kept.
    case list
    case dictionary(Int)
    case global(PickleGlobal)
    case storage(PickleStorage)
    case tensor(PickleTensor)
}

/// A dictionary under construction, in the order of insertion. `isOrdered` marks a `collections.OrderedDict`.
struct PickleDictionary {
    enum Key: Hashable, CustomStringConvertible {
        case text(String)
        case integer(Int)

        var description: String {
            switch self {
            case .text(let text): text.debugDescription
            case .integer(let integer): String(integer)
            }
        }
    }

    let isOrdered: Bool
    private(set) var items: [(key: Key, value: PickleValue)] = []
    private var positions: [Key: Int] = [:]

    init(isOrdered: Bool) { self.isOrdered = isOrdered }

    /// Adds a pair; false where the key exists already.
    mutating func insert(_ key: Key, _ value: PickleValue) -> Bool {
        guard positions.updateValue(items.count, forKey: key) == nil else { return false }
        items.append((key, value))
        return true
    }

    subscript(key: String) -> PickleValue? { positions[.text(key)].map { items[$0].value } }
}

/// The globals that a pickle of tensors may name; nothing else is looked up, and none of these is executed.
enum PickleGlobal: Equatable {
    case orderedDictionary
    case rebuildTensor
    case rebuildParameter
    case storage(ElementType)

    init?(module: String, name: String) {
        switch (module, name) {
        case ("collections", "OrderedDict"): self = .orderedDictionary
        case ("torch._utils", "_rebuild_tensor_v2"): self = .rebuildTensor
        case ("torch._utils", "_rebuild_parameter"): self = .rebuildParameter
        case ("torch", "FloatStorage"): self = .storage(.float32)
        case ("torch", "DoubleStorage"): self = .storage(.float64)
        case ("torch", "HalfStorage"): self = .storage(.float16)
        case ("torch", "BFloat16Storage"): self = .storage(.bfloat16)
        case ("torch", "LongStorage"): self = .storage(.int64)
        case ("torch", "IntStorage"): self = .storage(.int32)
        case ("torch", "ShortStorage"): self = .storage(.int16)
        case ("torch", "CharStorage"): self = .storage(.int8)
        case ("torch", "ByteStorage"): self = .storage(.uint8)
        case ("torch", "BoolStorage"): self = .storage(.bool)
        default: return nil
        }
    }
}

/// A storage that a pickle refers to: the entry `data/<key>` of the archive.
struct PickleStorage {
    let elementType: ElementType
    let key: String
    let count: Int
}

/// A tensor that a pickle describes: a strided window on a storage, checked to lie inside it.
struct PickleTensor {
    let storage: PickleStorage
    let offset: Int
    let shape: [Int]
    let strides: [Int]

    /// Whether the elements are in row-major order; dimensions of extent one may have any stride.
    var isContiguous: Bool {
        // Without elements any order is contiguous, and the product of the extents beside the zero may overflow.
        if shape.contains(0) { return true }
        var expected = 1
        for (extent, stride) in zip(shape, strides).reversed() where extent != 1 {
            if stride != expected { return false }
            expected *= extent
        }
        return true
    }
}
