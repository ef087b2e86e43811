/// Reads JSON value by value from a text of any size, with a piece of it in memory.
///
/// Strict: UTF-8 without a byte order mark, no comments, no duplicate keys in objects a caller reads, at most 64
/// levels in values it skips. NaN and infinities, which some writers use as numbers, are read as such, so that a caller
/// can name the record. Every fault has its offset from the start of the file.
///
/// All methods throw the caller's own error, which a function given to the initialiser makes of a `JSONFault`. They are
/// inlinable so that the caller's module compiles them for that error, as fast as if they were its own.
public struct JSONReader<Failure: Error>: ~Copyable {
    /// Bytes of the file in memory at a time, unless the caller wants another number.
    public static var standardPiece: Int { 1 << 16 }
    /// An integer or escape must fit.
    @usableFromInline static var smallestPiece: Int { 512 }
    @usableFromInline static var deepest: Int { 64 }

    /// The file's name in faults.
    public let path: String
    @usableFromInline let read: (UnsafeMutableRawBufferPointer, Int) throws(Failure) -> Int
    @usableFromInline let failure: (JSONFault) -> Failure
    /// Bytes in memory, followed by a zero byte that ends every scan.
    @usableFromInline let piece: UnsafeMutablePointer<UInt8>
    @usableFromInline let capacity: Int
    /// The next byte's index in the piece.
    @usableFromInline var position = 0
    /// Bytes in the piece.
    @usableFromInline var filled = 0
    /// The piece's offset in the file.
    @usableFromInline var origin: Int
    /// The text's end in the file.
    @usableFromInline let end: Int
    /// The bytes of the string read last.
    @usableFromInline var token: [UInt8] = []

    /// Creates a reader of a text that lies at `range` in its file.
    ///
    /// - Parameters:
    ///   - piece: Bytes in memory at a time.
    ///   - read: Fills a buffer from an offset in the file and returns the number of bytes; fewer only at the file's end.
    ///   - failure: The caller's error for a fault of the text.
    @inlinable
    public init(
        path: String, range: Range<Int>, piece: Int = standardPiece,
        read: @escaping (UnsafeMutableRawBufferPointer, Int) throws(Failure) -> Int,
        failure: @escaping (JSONFault) -> Failure
    ) {
        (self.path, self.read, self.failure) = (path, read, failure)
        (origin, end) = (range.lowerBound, range.upperBound)
        capacity = max(min(piece, range.count), Self.smallestPiece)
        self.piece = .allocate(capacity: capacity + 1)
        self.piece[0] = 0
    }

    deinit { piece.deallocate() }

    /// The offset of the next byte in the file.
    @inlinable public var offset: Int { origin + position }

    /// Moves the unread bytes to the front of the piece and fills it up; false if nothing was added.
    @inlinable
    mutating func refill() throws(Failure) -> Bool {
        let kept = filled - position
        if position > 0 { piece.update(from: piece + position, count: kept) }
        origin += position
        position = 0
        let wanted = min(capacity - kept, end - origin - kept)
        let added = try read(UnsafeMutableRawBufferPointer(start: piece + kept, count: wanted), origin + kept)
        filled = kept + added
        piece[filled] = 0
        return added > 0
    }

    /// Makes `count` bytes available if the text has them.
    @inlinable
    mutating func isAvailable(_ count: Int) throws(Failure) -> Bool {
        if filled - position >= count { return true }
        _ = try refill()
        return filled - position >= count
    }

    /// The next byte that is not white space, without consuming it.
    @inlinable
    public mutating func peek() throws(Failure) -> UInt8 {
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
    @inlinable
    public mutating func kind() throws(Failure) -> JSONKind {
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
    @inlinable
    mutating func take(_ mark: Unicode.Scalar) throws(Failure) {
        let byte = try peek()
        guard byte == UInt8(ascii: mark) else { throw fault(.syntax, "the byte \(byte) where '\(mark)' belongs") }
        position += 1
    }

    /// Consumes a mark if it is the next byte.
    @inlinable
    mutating func takes(_ mark: Unicode.Scalar) throws(Failure) -> Bool {
        guard try peek() == UInt8(ascii: mark) else { return false }
        position += 1
        return true
    }

    /// Reads an object; `member` is called after each key and its colon and must consume the value.
    ///
    /// - Parameters:
    ///   - limit: Maximum number of keys.
    ///   - repeated: Receives a key that occurs again, whose value is then skipped; by default that ends the reading.
    @inlinable
    public mutating func object(
        limit: Int = 1000,
        repeated: (Failure) throws(Failure) -> Void = { (fault: Failure) throws(Failure) in throw fault },
        _ member: (inout JSONReader, String) throws(Failure) -> Void
    ) throws(Failure) {
        var keys = KeySet()
        try take("{")
        if try takes("}") { return }
        repeat {
            guard try peek() == UInt8(ascii: "\"") else { throw fault(.syntax, "a key without quotation mark") }
            let start = offset
            let key = try string()
            guard keys.insert(key) else {
                try repeated(failure(JSONFault(.duplicateKey, offset: start, "the key \(key.debugDescription) again")))
                try take(":")
                try skip()
                continue
            }
            guard keys.count <= limit else { throw fault(.syntax, "an object of more than \(limit) keys") }
            try take(":")
            try member(&self, key)
        } while try takes(",")
        try take("}")
    }

    /// Reads an array; `element` is called before each value and must consume it.
    @inlinable
    public mutating func array(_ element: (inout JSONReader) throws(Failure) -> Void) throws(Failure) {
        try take("[")
        if try takes("]") { return }
        repeat { try element(&self) } while try takes(",")
        try take("]")
    }

    /// Consumes true, false or null; null gives nil.
    @inlinable
    public mutating func literal() throws(Failure) -> Bool? {
        _ = try peek()
        if try takesWord("true") { return true }
        if try takesWord("false") { return false }
        if try takesWord("null") { return nil }
        throw fault(.syntax, "a word that is neither true, false nor null")
    }

    /// Consumes a word if it comes next.
    @inlinable
    mutating func takesWord(_ word: StaticString) throws(Failure) -> Bool {
        let count = word.utf8CodeUnitCount
        guard try isAvailable(count) else { return false }
        for index in 0..<count where piece[position + index] != word.utf8Start[index] { return false }
        position += count
        return true
    }

    /// Verifies that only white space is left.
    @inlinable
    public mutating func finish() throws(Failure) {
        while true {
            while position < filled {
                let byte = piece[position]
                guard byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 else {
                    throw fault(.syntax, "trailing data after the value")
                }
                position += 1
            }
            guard try refill() else { return }
        }
    }

    /// The caller's error for a fault at the next byte.
    @usableFromInline
    func fault(_ rule: JSONRule, _ found: String) -> Failure {
        failure(JSONFault(rule, offset: offset, found))
    }
}

/// The keys of an object so far; as fast for many keys as for few.
@usableFromInline
struct KeySet {
    /// Up to this many keys are compared one by one, which is faster than hashing them.
    private static let fewest = 16
    private var few: [String] = []
    private var many: Set<String> = []

    @usableFromInline init() {}

    @usableFromInline var count: Int { many.isEmpty ? few.count : many.count }

    /// Adds a key; false if it is there already.
    @usableFromInline
    mutating func insert(_ key: String) -> Bool {
        if !many.isEmpty { return many.insert(key).inserted }
        guard !few.contains(key) else { return false }
        few.append(key)
        if few.count > Self.fewest { (many, few) = (Set(few), []) }
        return true
    }
}
