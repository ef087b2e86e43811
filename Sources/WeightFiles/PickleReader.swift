/// Reads the pickle of a PyTorch file without being a pickle machine: it knows the opcodes, globals and value kinds that
/// `torch.save` of tensors needs, builds plain values from them, and rejects everything else. Nothing is executed.
///
/// Opcodes as in Python's pickletools, protocol 2.
struct PickleReader {
    static let sizeLimit = 16 << 20
    static let stackLimit = 100_000
    static let memoLimit = 1_000_000
    static let containerLimit = 1_000_000
    static let textLimit = 64 << 10
    static let rankLimit = 8

    private let text: UnsafeRawBufferPointer
    private let path: String
    private var position = 0
    private var opcodeStart = 0
    private var stack: [PickleValue] = []
    /// The stack heights at the open marks.
    private var marks: [Int] = []
    private var memo: [Int: PickleValue] = [:]
    /// The tuples and dictionaries built so far, by number.
    private var tuples: [[PickleValue]] = []
    private(set) var dictionaries: [PickleDictionary] = []

    init(_ text: UnsafeRawBufferPointer, path: String) {
        self.text = text
        self.path = path
    }

    /// The value that the pickle builds.
    mutating func read() throws(WeightFileError) -> PickleValue {
        guard text.count <= Self.sizeLimit else { throw failure(.pickleSize, "\(text.count) bytes") }
        while true {
            opcodeStart = position
            let opcode = try byte()
            guard (opcode == 0x80) == (opcodeStart == 0) else {
                throw failure(.pickleOpcode, "PROTO is missing or not the first opcode")
            }
            if opcode == UInt8(ascii: ".") { break }
            try execute(opcode)
            guard stack.count + marks.count <= Self.stackLimit,
                tuples.count + dictionaries.count <= Self.containerLimit
            else { throw failure(.pickleStack, "too many values") }
        }
        guard position == text.count else { throw failure(.pickleEnd, "bytes after STOP") }
        guard stack.count == 1, marks.isEmpty else {
            throw failure(.pickleStack, "\(stack.count) values and \(marks.count) marks at the end")
        }
        return stack[0]
    }

    private mutating func execute(_ opcode: UInt8) throws(WeightFileError) {
        switch Unicode.Scalar(opcode) {
        case "\u{80}":  // PROTO
            let version = try byte()
            guard version == 2 else {
                throw failure(.pickleOpcode, "pickle protocol \(version)", "save it with pickle_protocol=2")
            }
        case "(": marks.append(stack.count)
        case "}": pushDictionary(isOrdered: false)
        case ")": pushTuple([])
        case "]": stack.append(.list)
        case "t": pushTuple(try popToMark())
        case "\u{85}": pushTuple(try pop(1))
        case "\u{86}": pushTuple(try pop(2))
        case "\u{87}": pushTuple(try pop(3))
        case "q": try remember(Int(try byte()))
        case "r": try remember(Int(try number(UInt32.self)))
        case "h": try recall(Int(try byte()))
        case "j": try recall(Int(try number(UInt32.self)))
        case "X": stack.append(.text(try string(Int(try number(UInt32.self)))))
        case "U": stack.append(.text(try string(Int(try byte()))))
        case "J": stack.append(.integer(Int(try number(Int32.self))))
        case "K": stack.append(.integer(Int(try byte())))
        case "M": stack.append(.integer(Int(try number(UInt16.self))))
        case "\u{8a}": stack.append(.integer(try longInteger()))
        case "G": stack.append(.float(Double(bitPattern: try number(UInt64.self).byteSwapped)))
        case "N": stack.append(.none)
        case "\u{88}": stack.append(.bool(true))
        case "\u{89}": stack.append(.bool(false))
        case "c": try global()
        case "R": try reduce()
        case "Q": try persistentIdentifier()
        case "s": try setItems(try pop(2))
        case "u": try setItems(try popToMark())
        case "a":
            _ = try pop(1)
            try checkList()
        case "e":
            _ = try popToMark()
            try checkList()
        case "b": try build()
        default: throw failure(.pickleOpcode, "the opcode 0x\(String(opcode, radix: 16))")
        }
    }

    // MARK: - Bytes

    private mutating func byte() throws(WeightFileError) -> UInt8 { try number(UInt8.self) }

    private mutating func number<Value: FixedWidthInteger>(_ type: Value.Type) throws(WeightFileError) -> Value {
        guard position + MemoryLayout<Value>.size <= text.count else {
            throw failure(.pickleEnd, "the pickle is cut short")
        }
        defer { position += MemoryLayout<Value>.size }
        return Value(littleEndian: text.loadUnaligned(fromByteOffset: position, as: Value.self))
    }

    private mutating func string(_ length: Int) throws(WeightFileError) -> String {
        guard length <= Self.textLimit else { throw failure(.pickleValue, "a text of \(length) bytes") }
        guard position + length <= text.count else { throw failure(.pickleEnd, "the pickle is cut short") }
        defer { position += length }
        guard let string = String(validating: text[position..<position + length], as: UTF8.self) else {
            throw failure(.pickleValue, "a text that is not UTF-8")
        }
        return string
    }

    /// LONG1: a signed little-endian number of at most eight bytes.
    private mutating func longInteger() throws(WeightFileError) -> Int {
        let length = Int(try byte())
        guard length <= 8 else { throw failure(.pickleValue, "a number of \(length) bytes") }
        var bits: UInt64 = 0
        var last: UInt8 = 0
        for index in 0..<length {
            last = try byte()
            bits |= UInt64(last) << (8 * index)
        }
        if length < 8, last & 0x80 != 0 { bits |= ~0 << (8 * length) }
        return Int(Int64(bitPattern: bits))
    }

    /// One line of GLOBAL, at most 255 bytes long.
    private mutating func line() throws(WeightFileError) -> String {
        let start = position
        while try byte() != UInt8(ascii: "\n") {
            guard position - start <= 255 else { throw failure(.pickleGlobal, "a name of more than 255 bytes") }
        }
        guard let line = String(validating: text[start..<position - 1], as: UTF8.self) else {
            throw failure(.pickleGlobal, "a name that is not UTF-8")
        }
        return line
    }

    // MARK: - Stack and memo

    /// Takes values from above the topmost mark.
    private mutating func pop(_ count: Int) throws(WeightFileError) -> [PickleValue] {
        guard stack.count - (marks.last ?? 0) >= count else {
            throw failure(.pickleStack, "too few values on the stack")
        }
        defer { stack.removeLast(count) }
        return Array(stack.suffix(count))
    }

    private mutating func popToMark() throws(WeightFileError) -> [PickleValue] {
        guard let mark = marks.last else { throw failure(.pickleStack, "no mark on the stack") }
        let values = try pop(stack.count - mark)
        marks.removeLast()
        return values
    }

    private func top() throws(WeightFileError) -> PickleValue {
        guard stack.count > (marks.last ?? 0), let value = stack.last else {
            throw failure(.pickleStack, "too few values on the stack")
        }
        return value
    }

    private mutating func remember(_ index: Int) throws(WeightFileError) {
        let value = try top()
        guard index < Self.memoLimit else { throw failure(.pickleMemo, "the memo index \(index)") }
        memo[index] = value
    }

    private mutating func recall(_ index: Int) throws(WeightFileError) {
        guard let value = memo[index] else { throw failure(.pickleMemo, "the memo has no value \(index)") }
        stack.append(value)
    }

    // MARK: - Objects

    private mutating func pushTuple(_ items: [PickleValue]) {
        stack.append(.tuple(tuples.count))
        tuples.append(items)
    }

    private mutating func pushDictionary(isOrdered: Bool) {
        stack.append(.dictionary(dictionaries.count))
        dictionaries.append(PickleDictionary(isOrdered: isOrdered))
    }

    private mutating func global() throws(WeightFileError) {
        let module = try line()
        let name = try line()
        guard let global = PickleGlobal(module: module, name: name) else {
            throw failure(
                .pickleGlobal, "the global \(module).\(name)",
                "nothing was executed; if you trust the file, load it in PyTorch and save only its state_dict()")
        }
        stack.append(.global(global))
    }

    private mutating func setItems(_ items: [PickleValue]) throws(WeightFileError) {
        guard case .dictionary(let dictionary) = try top(), items.count.isMultiple(of: 2) else {
            throw failure(.pickleValue, "items set on a value that is not a dictionary")
        }
        for index in stride(from: 0, to: items.count, by: 2) {
            let key: PickleDictionary.Key
            switch items[index] {
            case .text(let text): key = .text(text)
            case .integer(let integer): key = .integer(integer)
            default: throw failure(.pickleValue, "a dictionary key that is neither text nor an integer")
            }
            guard dictionaries[dictionary].insert(key, items[index + 1]) else {
                throw failure(.duplicateKey, "the key \(key) again")
            }
        }
    }

    private func checkList() throws(WeightFileError) {
        guard case .list = try top() else { throw failure(.pickleValue, "items appended to a value other than a list") }
    }

    /// BUILD gives an OrderedDict its attributes (`_metadata` of a state dictionary), which are ignored.
    private mutating func build() throws(WeightFileError) {
        _ = try pop(1)
        guard case .dictionary(let dictionary) = try top(), dictionaries[dictionary].isOrdered else {
            throw failure(.pickleValue, "BUILD on a value that is not an OrderedDict")
        }
    }

    private mutating func reduce() throws(WeightFileError) {
        let operands = try pop(2)
        guard case .global(let global) = operands[0], case .tuple(let tuple) = operands[1] else {
            throw failure(.pickleValue, "a call of a value that is not a global")
        }
        let arguments = tuples[tuple]
        switch global {
        case .orderedDictionary:
            guard arguments.isEmpty else { throw failure(.pickleValue, "an OrderedDict with arguments") }
            pushDictionary(isOrdered: true)
        case .rebuildTensor: stack.append(.tensor(try tensor(arguments)))
        case .rebuildParameter:
            guard arguments.count == 3, case .tensor(let tensor) = arguments[0] else {
                throw failure(.pickleValue, "a parameter without its tensor")
            }
            stack.append(.tensor(tensor))
        case .storage: throw failure(.pickleValue, "a call of a storage type")
        }
    }

    /// BINPERSID with `('storage', type, key, location, count)`.
    private mutating func persistentIdentifier() throws(WeightFileError) {
        guard case .tuple(let tuple) = try pop(1)[0] else {
            throw failure(.pickleValue, "a persistent identifier that is not a storage")
        }
        let parts = tuples[tuple]
        guard parts.count == 5, case .text("storage") = parts[0],
            case .global(.storage(let type)) = parts[1], case .text(let key) = parts[2], case .text = parts[3],
            case .integer(let count) = parts[4], count >= 0
        else { throw failure(.pickleValue, "a persistent identifier that is not a storage") }
        guard checkedProduct([count, type.size]) != nil else { throw failure(.sizeOverflow, "\(count) elements") }
        stack.append(.storage(PickleStorage(elementType: type, key: key, count: count)))
    }

    /// `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)`.
    private func tensor(_ arguments: [PickleValue]) throws(WeightFileError) -> PickleTensor {
        guard arguments.count == 6, case .storage(let storage) = arguments[0], case .integer(let offset) = arguments[1],
            let shape = extents(arguments[2]), let strides = extents(arguments[3]), shape.count == strides.count
        else { throw failure(.pickleValue, "a tensor with wrong arguments") }
        guard shape.count <= Self.rankLimit else { throw failure(.rankLimit, "a tensor of shape \(shape)") }
        guard (shape + strides + [offset]).allSatisfy({ $0 >= 0 }) else {
            throw failure(.storageBounds, "a negative offset, extent or stride")
        }
        guard let count = checkedProduct(shape) else { throw failure(.sizeOverflow, "a tensor of shape \(shape)") }
        var last = offset
        var fits = offset <= storage.count
        for (extent, stride) in zip(shape, strides) where count > 0 {
            guard let step = checkedProduct([extent - 1, stride]) else {
                throw failure(.sizeOverflow, "strides \(strides)")
            }
            let (sum, overflow) = last.addingReportingOverflow(step)
            if overflow { throw failure(.sizeOverflow, "strides \(strides)") }
            last = sum
        }
        // A tensor with more elements than its storage repeats some of them: a few bytes could then request any amount
        // of memory.
        fits = fits && count <= storage.count && (count == 0 || last < storage.count)
        guard fits else {
            throw failure(
                .storageBounds, "shape \(shape), strides \(strides), offset \(offset) in a storage of \(storage.count)",
                "if the tensor was expanded, save its contiguous() copy")
        }
        return PickleTensor(storage: storage, offset: offset, shape: shape, strides: strides)
    }

    private func extents(_ value: PickleValue) -> [Int]? {
        guard case .tuple(let tuple) = value else { return nil }
        let extents = tuples[tuple].compactMap { item -> Int? in
            if case .integer(let extent) = item { extent } else { nil }
        }
        return extents.count == tuples[tuple].count ? extents : nil
    }

    private func failure(
        _ rule: WeightFileError.Rule, _ found: String, _ remedy: String? = nil
    ) -> WeightFileError {
        WeightFileError(
            rule, path: path, offset: opcodeStart, found: found,
            remedy: remedy
                ?? "the file is damaged or holds more than tensors: save only its state_dict() with torch.save")
    }
}
