/// Reads JSON value by value from a file of any size, with a piece of it in memory.
///
/// Strict: UTF-8 without a byte order mark, no comments, no duplicate keys in objects a caller reads, at most 64
/// levels. NaN and infinities, which some writers use as numbers, are read as such, so that a caller can name the
/// record. Every fault has its offset from the start of the file.
struct JSONReader: ~Copyable {
    /// The type of the next value, by its first byte.
    enum Kind { case object, array, string, number, literal }

    /// Bytes of the file in memory at a time.
    static let standardPiece = 1 << 16
    /// An integer or escape must fit.
    static let smallestPiece = 512
    private static let deepest = 64

    let file: AnnotationFile
    /// Bytes in memory, followed by a zero byte that ends every scan.
    let piece: UnsafeMutablePointer<UInt8>
    let capacity: Int
    /// The next byte's index in the piece.
    var position = 0
    /// Bytes in the piece.
    var filled = 0
    /// The piece's offset in the file.
    private var origin: Int
    /// The text's end in the file.
    private let end: Int
    /// The bytes of the string read last.
    var token: [UInt8] = []

    /// Reads a part of a file, by default all of it.
    init(_ file: AnnotationFile, _ range: Range<Int>? = nil, piece: Int = standardPiece) {
        self.file = file
        let range = range ?? 0..<file.size
        (origin, end) = (range.lowerBound, range.upperBound)
        capacity = max(min(piece, range.count), Self.smallestPiece)
        self.piece = .allocate(capacity: capacity + 1)
        self.piece[0] = 0
    }

    deinit { piece.deallocate() }

    /// The offset of the next byte in the file.
    var offset: Int { origin + position }

    /// Moves the unread bytes to the front of the piece and fills it up; false if nothing was added.
    mutating func refill() throws(AnnotationFault) -> Bool {
        let kept = filled - position
        if position > 0 { piece.update(from: piece + position, count: kept) }
        origin += position
        position = 0
        let wanted = min(capacity - kept, end - origin - kept)
        let added = try file.read(
            into: UnsafeMutableRawBufferPointer(start: piece + kept, count: wanted), at: origin + kept)
        filled = kept + added
        piece[filled] = 0
        return added > 0
    }

    /// Makes `count` bytes available if the text has them.
    mutating func isAvailable(_ count: Int) throws(AnnotationFault) -> Bool {
        if filled - position >= count { return true }
        _ = try refill()
        return filled - position >= count
    }

    /// The next byte that is not white space, without consuming it.
    mutating func peek() throws(AnnotationFault) -> UInt8 {
        while true {
            while position < filled {
                let byte = piece[position]
                guard byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 else { return byte }
                position += 1
            }
            guard try refill() else { throw fault(.truncated, "the text ends too early") }
        }
    }

    /// The kind of the next value.
    mutating func kind() throws(AnnotationFault) -> Kind {
        let byte = try peek()
        switch byte {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"), UInt8(ascii: "n"): return .literal
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "N"), UInt8(ascii: "I"):
            return .number
        case 0xef: throw fault(.syntax, "a byte order mark or another character that no value begins with")
        default: throw fault(.syntax, "no value begins with the byte \(byte)")
        }
    }

    /// Consumes one punctuation mark.
    mutating func take(_ mark: Unicode.Scalar) throws(AnnotationFault) {
        let byte = try peek()
        guard byte == UInt8(ascii: mark) else { throw fault(.syntax, "the byte \(byte) where '\(mark)' belongs") }
        position += 1
    }

    /// Consumes a mark if it is the next byte.
    private mutating func takes(_ mark: Unicode.Scalar) throws(AnnotationFault) -> Bool {
        guard try peek() == UInt8(ascii: mark) else { return false }
        position += 1
        return true
    }

    /// Reads an object; `member` is called after each key and its colon and must consume the value.
    ///
    /// - Parameters:
    ///   - limit: Maximum number of keys.
    ///   - repeated: Receives a key that occurs again, whose value is then skipped; by default that ends the reading.
    mutating func object(
        limit: Int = 1000,
        repeated: (AnnotationFault) throws(AnnotationFault) -> Void = { fault throws(AnnotationFault) in throw fault },
        _ member: (inout JSONReader, String) throws(AnnotationFault) -> Void
    ) throws(AnnotationFault) {
        var keys: [String] = []
        try take("{")
        if try takes("}") { return }
        repeat {
            guard try peek() == UInt8(ascii: "\"") else { throw fault(.syntax, "a key without quotation mark") }
            let start = offset
            let key = try string()
            if keys.contains(key) {
                try repeated(
                    AnnotationFault(
                        file: file.path, offset: start, .duplicateKey, "the key \(key.debugDescription) again"))
                try take(":")
                try skip()
                continue
            }
            guard keys.count < limit else { throw fault(.syntax, "an object of more than \(limit) keys") }
            keys.append(key)
            try take(":")
            try member(&self, key)
        } while try takes(",")
        try take("}")
    }

    /// Reads an array; `element` is called before each value and must consume it.
    mutating func array(
        _ element: (inout JSONReader) throws(AnnotationFault) -> Void
    ) throws(AnnotationFault) {
        try take("[")
        if try takes("]") { return }
        repeat { try element(&self) } while try takes(",")
        try take("]")
    }

    /// Skips a value of any kind, checking its syntax.
    mutating func skip() throws(AnnotationFault) {
        var objects: [Bool] = []  // for each open level whether it is an object
        repeat {
            switch try kind() {
            case .object:
                try take("{")
                try open(&objects, true)
                if try peek() != UInt8(ascii: "}") {
                    try skipKey()
                    continue
                }
            case .array:
                try take("[")
                try open(&objects, false)
                if try peek() != UInt8(ascii: "]") { continue }
            case .string: try skipString()
            case .number:
                guard try notFinite() == nil else { throw fault(.syntax, "NaN and infinities are not JSON") }
                _ = try number()
            case .literal: _ = try literal()
            }
            while let isObject = objects.last {
                if try takes(",") {
                    if isObject { try skipKey() }
                    break
                }
                try take(isObject ? "}" : "]")
                objects.removeLast()
            }
        } while !objects.isEmpty
    }

    private func open(_ objects: inout [Bool], _ isObject: Bool) throws(AnnotationFault) {
        guard objects.count < Self.deepest else { throw fault(.syntax, "more than \(Self.deepest) levels") }
        objects.append(isObject)
    }

    private mutating func skipKey() throws(AnnotationFault) {
        guard try peek() == UInt8(ascii: "\"") else { throw fault(.syntax, "a key without quotation mark") }
        try skipString()
        try take(":")
    }

    /// Consumes true, false or null; null gives nil.
    mutating func literal() throws(AnnotationFault) -> Bool? {
        if try takesWord("true") { return true }
        if try takesWord("false") { return false }
        if try takesWord("null") { return nil }
        throw fault(.syntax, "a word that is neither true, false nor null")
    }

    /// Consumes a word if it comes next.
    mutating func takesWord(_ word: StaticString) throws(AnnotationFault) -> Bool {
        let count = word.utf8CodeUnitCount
        guard try isAvailable(count) else { return false }
        for index in 0..<count where piece[position + index] != word.utf8Start[index] { return false }
        position += count
        return true
    }

    /// Verifies that only white space is left.
    mutating func finish() throws(AnnotationFault) {
        while true {
            while position < filled {
                guard [0x20, 0x0a, 0x0d, 0x09].contains(piece[position]) else {
                    throw fault(.syntax, "trailing data after the value")
                }
                position += 1
            }
            guard try refill() else { return }
        }
    }

    /// Creates a fault at the next byte.
    func fault(_ rule: AnnotationRule, _ found: String) -> AnnotationFault {
        AnnotationFault(file: file.path, offset: offset, rule, found)
    }
}

/// Values that may be of the wrong type: those are consumed too, so that reading can continue after them.
extension JSONReader {
    /// Consumes a value; nil if it is not an integer.
    mutating func integerOrNil() throws(AnnotationFault) -> Int? {
        if try kind() == .number { return try integer() }
        try skip()
        return nil
    }

    /// Consumes a value; nil if it is not a number.
    mutating func numberOrNil() throws(AnnotationFault) -> Double? {
        if try kind() == .number { return try number() }
        try skip()
        return nil
    }

    /// Consumes a value; nil if it is not a string.
    mutating func stringOrNil() throws(AnnotationFault) -> String? {
        if try kind() == .string { return try string() }
        try skip()
        return nil
    }

    /// Consumes an array of at most `limit` numbers into `numbers`; false if the value is something else.
    mutating func numbers(into numbers: inout [Double], limit: Int = 1 << 22) throws(AnnotationFault) -> Bool {
        numbers.removeAll(keepingCapacity: true)
        guard try kind() == .array else {
            try skip()
            return false
        }
        var areNumbers = true
        try take("[")
        if try takes("]") { return true }
        repeat {
            guard numbers.count < limit else { throw fault(.syntax, "an array of more than \(limit) numbers") }
            if let number = try numberOrNil() { numbers.append(number) } else { areNumbers = false }
        } while try takes(",")
        try take("]")
        return areNumbers
    }
}
