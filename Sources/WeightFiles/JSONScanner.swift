/// Reads JSON token by token, as far as the header of a safetensors file needs it.
///
/// A general parser would keep only the last of two equal keys and round long numbers; this one reports every key to
/// its caller and accepts only integers from 0 to 2^53.
struct JSONScanner {
    let text: UnsafeRawBufferPointer
    let path: String
    /// The position of the text in its file, for errors.
    let origin: Int
    private(set) var position = 0

    init(_ text: UnsafeRawBufferPointer, path: String, origin: Int) {
        self.text = text
        self.path = path
        self.origin = origin
    }

    /// The next byte that is not white space, without consuming it.
    mutating func peek() throws(WeightFileError) -> UInt8 {
        while position < text.count, [0x20, 0x09, 0x0a, 0x0d].contains(text[position]) { position += 1 }
        guard position < text.count else { throw failure(.headerSyntax, "the text ends too early") }
        return text[position]
    }

    /// Consumes one punctuation mark.
    mutating func take(_ mark: Unicode.Scalar) throws(WeightFileError) {
        guard try peek() == UInt8(ascii: mark) else { throw failure(.headerSyntax, "expected \(mark)") }
        position += 1
    }

    /// Reads an object; `member` is called after each key and its colon. Throws `duplicateKey` for a second equal key.
    mutating func object(
        _ member: (inout JSONScanner, String) throws(WeightFileError) -> Void
    ) throws(WeightFileError) {
        var seen: Set<String> = []
        try take("{")
        if try peek() == UInt8(ascii: "}") {
            position += 1
            return
        }
        while true {
            let key = try string()
            guard seen.insert(key).inserted else {
                throw failure(.duplicateKey, "the key \(key.debugDescription) again")
            }
            try take(":")
            try member(&self, key)
            if try peek() == UInt8(ascii: "}") { break }
            try take(",")
        }
        position += 1
    }

    /// Reads an array of at most `limit` numbers; `rule` is broken by a longer array.
    mutating func numbers(limit: Int, _ rule: WeightFileError.Rule) throws(WeightFileError) -> [Int] {
        var numbers: [Int] = []
        try take("[")
        if try peek() == UInt8(ascii: "]") {
            position += 1
            return numbers
        }
        while true {
            guard numbers.count < limit else { throw failure(rule, "more than \(limit) numbers") }
            numbers.append(try wholeNumber())
            if try peek() == UInt8(ascii: "]") { break }
            try take(",")
        }
        position += 1
        return numbers
    }

    /// Reads an integer from 0 to 2^53.
    mutating func wholeNumber() throws(WeightFileError) -> Int {
        let first = try peek()
        let start = position
        var value = 0
        while position < text.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(text[position]) {
            value = value * 10 + Int(text[position] - UInt8(ascii: "0"))
            guard value <= 1 << 53 else { throw failure(.wholeNumber, "a number over 2^53") }
            position += 1
        }
        let next = position < text.count ? text[position] : 0
        let isSigned = first == UInt8(ascii: "-") || first == UInt8(ascii: "+")
        if isSigned || [UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E")].contains(next) {
            throw failure(.wholeNumber, "a negative or fractional number")
        }
        guard position > start else { throw failure(.headerSyntax, "expected a number") }
        guard position == start + 1 || first != UInt8(ascii: "0") else {
            throw failure(.headerSyntax, "a number with leading zeros")
        }
        return value
    }

    /// Reads a string; `rule` is broken by any other token.
    mutating func string(else rule: WeightFileError.Rule = .headerSyntax) throws(WeightFileError) -> String {
        guard try peek() == UInt8(ascii: "\"") else { throw failure(rule, "expected a string") }
        position += 1
        var units: [UInt8] = []
        while position < text.count {
            let byte = text[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: units, as: UTF8.self) else {
                    throw failure(.headerText, "a string that is not UTF-8")
                }
                return string
            case UInt8(ascii: "\\"): units += try escape()
            case 0..<0x20: throw failure(.headerSyntax, "a control character in a string")
            default: units.append(byte)
            }
        }
        throw failure(.headerSyntax, "a string without end")
    }

    /// The UTF-8 bytes of the escape after a backslash.
    private mutating func escape() throws(WeightFileError) -> [UInt8] {
        guard position < text.count else { throw failure(.headerSyntax, "a string without end") }
        let mark = text[position]
        position += 1
        switch mark {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [mark]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0c]
        case UInt8(ascii: "n"): return [0x0a]
        case UInt8(ascii: "r"): return [0x0d]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"):
            var code = try hexadecimal()
            if (0xd800..<0xdc00).contains(code), position + 1 < text.count, text[position] == UInt8(ascii: "\\"),
                text[position + 1] == UInt8(ascii: "u")
            {
                position += 2
                let low = try hexadecimal()
                guard (0xdc00..<0xe000).contains(low) else { throw failure(.headerText, "half a surrogate pair") }
                code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw failure(.headerText, "half a surrogate pair") }
            return Array(String(Character(scalar)).utf8)
        default: throw failure(.headerSyntax, "an unknown escape")
        }
    }

    private mutating func hexadecimal() throws(WeightFileError) -> UInt32 {
        guard position + 4 <= text.count,
            let digits = String(validating: text[position..<position + 4], as: UTF8.self),
            digits.allSatisfy(\.isHexDigit), let code = UInt32(digits, radix: 16)
        else { throw failure(.headerSyntax, "an escape without four hexadecimal digits") }
        position += 4
        return code
    }

    /// Consumes the spaces that pad the text to its end.
    mutating func takePadding() throws(WeightFileError) {
        while position < text.count {
            guard text[position] == 0x20 else { throw failure(.headerSyntax, "trailing data after the header") }
            position += 1
        }
    }

    func failure(_ rule: WeightFileError.Rule, _ found: String) -> WeightFileError {
        WeightFileError(rule, path: path, offset: origin + position, found: found)
    }
}
