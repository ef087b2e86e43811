/// Numbers and strings.
extension JSONReader {
    private static let longestNumber = 400
    /// Powers of ten that a `Double` holds exactly.
    private static let powersOfTen: [Double] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22,
    ]

    /// A number as it was scanned.
    private struct ScannedNumber {
        var isNegative = false
        /// All digits as one integer, as far as they fit.
        var digits: UInt64 = 0
        /// Whether all digits fitted.
        var isExact = true
        /// Ten to this power times the digits is the value.
        var exponent = 0
        var isWhole = true
        var length = 0
    }

    /// Consumes a number as the nearest `Double`; infinite if it is too large for one.
    mutating func number() throws(AnnotationFault) -> Double {
        if let special = try notFinite() { return special }
        let scanned = try scannedNumber()
        defer { position += scanned.length }
        // Digits and power of ten are then both exact, so that one operation rounds correctly.
        if scanned.isExact, scanned.digits <= 1 << 53, abs(scanned.exponent) <= 22 {
            let digits = Double(scanned.digits)
            let power = Self.powersOfTen[abs(scanned.exponent)]
            let value = scanned.exponent < 0 ? digits / power : digits * power
            return scanned.isNegative ? -value : value
        }
        return longNumber(scanned.length)
    }

    /// Consumes a number; nil if it is not an integer that fits.
    mutating func integer() throws(AnnotationFault) -> Int? {
        if try notFinite() != nil { return nil }
        let scanned = try scannedNumber()
        defer { position += scanned.length }
        if scanned.isWhole, scanned.isExact, scanned.digits <= UInt64(Int.max) {
            return scanned.isNegative ? -Int(scanned.digits) : Int(scanned.digits)
        }
        return Int(exactly: longNumber(scanned.length)).flatMap { $0.magnitude <= 1 << 53 ? $0 : nil }
    }

    private func longNumber(_ length: Int) -> Double {
        let text = String(decoding: UnsafeBufferPointer(start: piece + position, count: length), as: UTF8.self)
        return Double(text) ?? .nan
    }

    /// Consumes NaN or an infinity, which JSON does not have.
    mutating func notFinite() throws(AnnotationFault) -> Double? {
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

    private mutating func scannedNumber() throws(AnnotationFault) -> ScannedNumber {
        while true {
            let scanned = scanNumber()
            // A number at the end of the piece may continue in the file.
            if let scanned, position + scanned.length < filled { return scanned }
            if filled - position < Self.longestNumber, try refill() { continue }
            guard let scanned, scanned.length < Self.longestNumber else {
                if scanned == nil, "-+.eE".utf8.contains(piece[filled - 1]) {
                    throw fault(.truncated, "the text ends inside a number")
                }
                throw fault(.syntax, "a number that is malformed or over \(Self.longestNumber) characters")
            }
            return scanned
        }
    }

    /// Scans a number at the position without consuming it; nil if it is malformed or ends with the piece.
    private func scanNumber() -> ScannedNumber? {
        var scanned = ScannedNumber()
        var next = position
        func digit() -> UInt64? {
            let byte = piece[next]
            return byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") ? UInt64(byte - UInt8(ascii: "0")) : nil
        }
        if piece[next] == UInt8(ascii: "-") {
            scanned.isNegative = true
            next += 1
        }
        let first = next
        while let value = digit() {
            if scanned.digits < 100_000_000_000_000_000 {
                scanned.digits = scanned.digits * 10 + value
            } else {
                scanned.isExact = false
            }
            next += 1
        }
        guard next > first, next == first + 1 || piece[first] != UInt8(ascii: "0") else { return nil }
        if piece[next] == UInt8(ascii: ".") {
            scanned.isWhole = false
            next += 1
            let start = next
            while let value = digit() {
                if scanned.digits < 100_000_000_000_000_000 {
                    scanned.digits = scanned.digits * 10 + value
                    scanned.exponent -= 1
                } else {
                    scanned.isExact = false
                }
                next += 1
            }
            guard next > start else { return nil }
        }
        if piece[next] | 0x20 == UInt8(ascii: "e") {
            scanned.isWhole = false
            next += 1
            let isNegative = piece[next] == UInt8(ascii: "-")
            if isNegative || piece[next] == UInt8(ascii: "+") { next += 1 }
            let start = next
            var exponent = 0
            while let value = digit() {
                exponent = min(exponent * 10 + Int(value), 100_000)
                next += 1
            }
            guard next > start else { return nil }
            scanned.exponent += isNegative ? -exponent : exponent
        }
        scanned.length = next - position
        return scanned
    }

    /// Consumes a string of at most `limit` bytes.
    mutating func string(limit: Int = 1 << 20) throws(AnnotationFault) -> String {
        try stringBytes(limit: limit)
        guard let string = String(validating: token, as: UTF8.self) else {
            throw fault(.text, "a string that is not UTF-8")
        }
        return string
    }

    /// Consumes a string of at most `limit` bytes into `token`.
    mutating func stringBytes(limit: Int) throws(AnnotationFault) {
        token.removeAll(keepingCapacity: true)
        try scanString(keepingAtMost: limit)
    }

    /// Consumes a string without storing it.
    mutating func skipString() throws(AnnotationFault) { try scanString(keepingAtMost: nil) }

    private mutating func scanString(keepingAtMost limit: Int?) throws(AnnotationFault) {
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
                if limit != nil { token.append(contentsOf: Array(String(Character(scalar)).utf8)) }
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
    private static func isPlain(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte < 0x80 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }

    /// The number of bytes of the multi-byte character that comes next.
    private mutating func characterLength() throws(AnnotationFault) -> Int {
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
    private mutating func escape() throws(AnnotationFault) -> Unicode.Scalar {
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

    private mutating func unicodeEscape() throws(AnnotationFault) -> Unicode.Scalar {
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
    private mutating func hexadecimal() throws(AnnotationFault) -> UInt32 {
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
