/// Numbers and strings.
extension JSONReader {
    @usableFromInline static var longestNumber: Int { 400 }

    /// Consumes a number as the nearest `Double`; infinite if it is too large for one.
    @inlinable
    public mutating func number() throws(Failure) -> Double {
        if let special = try notFinite() { return special }
        let scanned = try scannedNumber()
        defer { position += scanned.length }
        return scanned.double ?? JSONNumber.double(piece + position, length: scanned.length)
    }

    /// Consumes a number; nil if it is not an integer that fits.
    @inlinable
    public mutating func integer() throws(Failure) -> Int? {
        if try notFinite() != nil { return nil }
        let scanned = try scannedNumber()
        defer { position += scanned.length }
        if scanned.isWhole, scanned.isExact, scanned.digits <= UInt64(Int.max) {
            return scanned.isNegative ? -Int(scanned.digits) : Int(scanned.digits)
        }
        return Int(exactly: JSONNumber.double(piece + position, length: scanned.length)).flatMap {
            $0.magnitude <= 1 << 53 ? $0 : nil
        }
    }

    /// Consumes a number; nil if it is written with anything but digits, or over 2^53.
    @inlinable
    public mutating func wholeNumber() throws(Failure) -> Int? {
        if try notFinite() != nil { return nil }
        let scanned = try scannedNumber()
        position += scanned.length
        guard !scanned.isNegative, scanned.isWhole, scanned.isExact, scanned.digits <= 1 << 53 else { return nil }
        return Int(scanned.digits)
    }

    /// Consumes NaN or an infinity, which JSON does not have.
    @inlinable
    mutating func notFinite() throws(Failure) -> Double? {
        let byte = try peek()
        let isSigned = byte == UInt8(ascii: "-")
        if isSigned { _ = try isAvailable(2) }
        let first = isSigned ? piece[position + 1] : byte
        guard first == UInt8(ascii: "N") || first == UInt8(ascii: "I") else { return nil }
        if try takesWord("NaN") { return .nan }
        if try takesWord("Infinity") { return .infinity }
        if try takesWord("-Infinity") { return -.infinity }
        throw fault(.syntax, "a word where a number belongs")
    }

    @inlinable
    mutating func scannedNumber() throws(Failure) -> JSONNumber {
        while true {
            let scanned = JSONNumber.scan(piece + position)
            // A number at the end of the piece may continue in the file.
            if let scanned, position + scanned.length < filled { return scanned }
            if filled - position < Self.longestNumber, try refill() { continue }
            guard let scanned, scanned.length < Self.longestNumber else {
                let last = piece[filled - 1]
                if scanned == nil, "-+.eE".utf8.contains(last) {
                    throw fault(.truncated, "the text ends inside a number")
                }
                throw fault(.syntax, "a number that is malformed or over \(Self.longestNumber) characters")
            }
            return scanned
        }
    }

    /// Consumes a string of at most `limit` bytes.
    @inlinable
    public mutating func string(limit: Int = 1 << 20) throws(Failure) -> String {
        try scanString(keepingAtMost: limit)
        guard let string = String(validating: token, as: UTF8.self) else {
            throw fault(.text, "a string that is not UTF-8")
        }
        return string
    }

    /// Consumes a string of at most `limit` bytes and returns them.
    @inlinable
    public mutating func stringBytes(limit: Int) throws(Failure) -> [UInt8] {
        try scanString(keepingAtMost: limit)
        return token
    }

    /// Consumes a string, of which `token` receives at most `limit` bytes; nil stores none of it.
    @inlinable
    mutating func scanString(keepingAtMost limit: Int?) throws(Failure) {
        guard try peek() == UInt8(ascii: "\"") else { throw fault(.syntax, "no string where one belongs") }
        if limit != nil { token.removeAll(keepingCapacity: true) }
        position += 1
        while true {
            var next = position
            while Self.isPlain(piece[next]) { next += 1 }
            if let limit {
                token.append(contentsOf: UnsafeBufferPointer(start: piece + position, count: next - position))
                guard token.count <= limit else { throw fault(.syntax, "a string over \(limit) bytes") }
            }
            position = next
            if position == filled {
                guard try refill() else { throw fault(.truncated, "the text ends inside a string") }
                continue
            }
            switch piece[position] {
            case UInt8(ascii: "\""):
                position += 1
                return
            case UInt8(ascii: "\\"):
                let scalar = try escape()
                if limit != nil { token.append(contentsOf: scalar.utf8) }
            case 0..<0x20: throw fault(.syntax, "a control character in a string")
            default:
                let length = try characterLength()
                if limit != nil {
                    token.append(contentsOf: UnsafeBufferPointer(start: piece + position, count: length))
                }
                position += length
            }
        }
    }

    /// Whether a byte of a string stands for itself.
    @inlinable
    static func isPlain(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte < 0x80 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }

    /// The number of bytes of the multi-byte character that comes next.
    @inlinable
    mutating func characterLength() throws(Failure) -> Int {
        _ = try isAvailable(4)
        let length =
            switch piece[position] {
            case 0xc2...0xdf: 2
            case 0xe0...0xef: 3
            case 0xf0...0xf4: 4
            default: 0
            }
        let bytes = UnsafeBufferPointer(start: piece + position, count: min(length, filled - position))
        guard length > 0, bytes.count == length, String(validating: bytes, as: UTF8.self) != nil else {
            throw fault(.text, "a string that is not UTF-8")
        }
        return length
    }

    /// Consumes an escape; one for half a character together with the other half.
    @inlinable
    mutating func escape() throws(Failure) -> Unicode.Scalar {
        guard try isAvailable(2) else { throw fault(.truncated, "the text ends inside a string") }
        let mark = piece[position + 1]
        if mark == UInt8(ascii: "u") { return try unicodeEscape() }
        let scalar: Unicode.Scalar
        switch mark {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): scalar = Unicode.Scalar(mark)
        case UInt8(ascii: "b"): scalar = "\u{8}"
        case UInt8(ascii: "f"): scalar = "\u{c}"
        case UInt8(ascii: "n"): scalar = "\n"
        case UInt8(ascii: "r"): scalar = "\r"
        case UInt8(ascii: "t"): scalar = "\t"
        default: throw fault(.syntax, "an unknown escape in a string")
        }
        position += 2
        return scalar
    }

    @inlinable
    mutating func unicodeEscape() throws(Failure) -> Unicode.Scalar {
        var code = try hexadecimal()
        if (0xd800..<0xdc00).contains(code), try isAvailable(6), piece[position] == UInt8(ascii: "\\"),
            piece[position + 1] == UInt8(ascii: "u")
        {
            let low = try hexadecimal()
            guard (0xdc00..<0xe000).contains(low) else { throw fault(.text, "half a surrogate pair") }
            code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw fault(.text, "half a surrogate pair") }
        return scalar
    }

    /// Consumes `\u` and its four digits.
    @inlinable
    mutating func hexadecimal() throws(Failure) -> UInt32 {
        guard try isAvailable(6) else { throw fault(.truncated, "the text ends inside a string") }
        var code: UInt32 = 0
        for index in 2..<6 {
            let character = Character(Unicode.Scalar(piece[position + index]))
            guard character.isASCII, let digit = character.hexDigitValue else {
                throw fault(.syntax, "an escape without four hexadecimal digits")
            }
            code = code << 4 | UInt32(digit)
        }
        position += 6
        return code
    }
}
