import JSONReading
import Testing
import TestSupport

/// A reader of a text in memory that lies at `origin` in its file.
private func reader(_ text: [UInt8], origin: Int = 0, piece: Int? = nil) -> JSONReader<JSONFault> {
    JSONReader(
        path: "text", range: origin..<origin + text.count, piece: piece ?? JSONReader<JSONFault>.standardPiece,
        read: { buffer, offset throws(JSONFault) in
            let bytes = text[(offset - origin)...].prefix(buffer.count)
            buffer.copyBytes(from: bytes)
            return bytes.count
        }, failure: { $0 })
}

private func reader(_ text: String) -> JSONReader<JSONFault> { reader(Array(text.utf8)) }

/// The fault of a whole text that is skipped; nil if there is none.
private func fault(_ text: [UInt8], piece: Int? = nil) -> JSONFault? {
    var reader = reader(text, piece: piece)
    do throws(JSONFault) {
        try reader.skip()
        try reader.finish()
        return nil
    } catch {
        return error
    }
}

/// The fault that `body` throws.
private func fault(
    _ text: String, _ body: (inout JSONReader<JSONFault>) throws(JSONFault) -> Void
) -> JSONFault? {
    var reader = reader(text)
    do throws(JSONFault) {
        try body(&reader)
        return nil
    } catch {
        return error
    }
}

@Suite struct JSONReaderTests {
    @Test func readsValuesInTurn() throws {
        var reader = reader(#" {"a": [1, -2.5, 1e2], "b\n": "\u00e9\ud83d\ude00/", "c": {"d": null}, "e": true } "#)
        var keys: [String] = []
        var numbers: [Double] = []
        try reader.object { (reader, key) throws(JSONFault) in
            keys.append(key)
            switch key {
            case "a": #expect(try reader.numbers(into: &numbers))
            case "b\n": #expect(try reader.string() == "é😀/")
            case "c":
                try reader.object { (reader, _) throws(JSONFault) in #expect(try reader.literal() == nil) }
            default: #expect(try reader.literal() == true)
            }
        }
        try reader.finish()
        #expect(keys == ["a", "b\n", "c", "e"])
        #expect(numbers == [1, -2.5, 100])
    }

    @Test func kindsOfValues() throws {
        let kinds: [(String, JSONKind)] = [
            ("{}", .object), (" [", .array), ("\n\"", .string), ("-1", .number), ("NaN", .number), ("null", .literal),
        ]
        for (text, kind) in kinds {
            var reader = reader(text)
            #expect(try reader.kind() == kind, "\(text)")
        }
    }

    @Test(arguments: [
        ("0", 0), ("-0", 0), ("12", 12), ("-7", -7), ("1e3", 1000), ("2.0", 2),
        ("9007199254740993", 9_007_199_254_740_993),
        ("1.5", nil), ("1e400", nil), ("99999999999999999999", nil), ("NaN", nil), ("-Infinity", nil),
    ]) func integers(_ text: String, _ value: Int?) throws {
        var reader = reader(text)
        #expect(try reader.integer() == value)
        try reader.finish()
    }

    @Test(arguments: [
        ("0", 0), ("12", 12), ("9007199254740992", 9_007_199_254_740_992), ("9007199254740993", nil), ("-0", nil),
        ("1.0", nil), ("1e0", nil), ("99999999999999999999", nil), ("NaN", nil),
    ]) func wholeNumbers(_ text: String, _ value: Int?) throws {
        var reader = reader(text)
        #expect(try reader.wholeNumber() == value)
        try reader.finish()
    }

    @Test func numbersAreTheNearestDouble() throws {
        let texts = [
            "0.1", "-0.0", "5e-324", "2.2250738585072011e-308", "9007199254740993", "1e22", "1E-22", "1e23", "123.456",
            "0.30000000000000004", "179769313486231580793728971405301e276", "3" + String(repeating: "0", count: 300),
        ]
        for text in texts {
            var reader = reader(text)
            #expect(try reader.number().bitPattern == Double(text)?.bitPattern, "\(text)")
        }
        var huge = reader("1e999")
        #expect(try huge.number() == .infinity)
    }

    /// A value of the wrong type is consumed too.
    @Test func valuesOfTheWrongType() throws {
        var reader = reader(#"["x", {"a": [1]}, 2, [1, "2"], [3]]"#)
        var index = 0
        var numbers: [Double] = []
        try reader.array { (reader) throws(JSONFault) in
            switch index {
            case 0: #expect(try reader.integerOrNil() == nil)
            case 1: #expect(try reader.numberOrNil() == nil)
            case 2: #expect(try reader.stringOrNil() == nil)
            default: #expect(try reader.numbers(into: &numbers) == (index == 4))
            }
            index += 1
        }
        try reader.finish()
        #expect(index == 5 && numbers == [3])
    }

    /// The error of the function that reads the bytes is passed on as it is.
    @Test func errorsOfTheFile() {
        struct Unreadable: Error {}
        var reader = JSONReader<any Error>(
            path: "text", range: 0..<4, read: { _, _ throws(any Error) in throw Unreadable() }, failure: { $0 })
        #expect(throws: Unreadable.self) { try reader.skip() }
    }
}

@Suite struct JSONFaultTests {
    @Test(arguments: [
        ("", JSONRule.truncated, 0), ("[1, ", .truncated, 4), ("\"ab", .truncated, 3), ("[1e", .truncated, 1),
        ("{\"a\"", .truncated, 4), ("\u{feff}{}", .syntax, 0), ("[1 2]", .syntax, 3), ("[1,]", .syntax, 3),
        ("{,}", .syntax, 1), ("{a:1}", .syntax, 1), ("{\"a\":1,}", .syntax, 7), ("[01]", .syntax, 1),
        ("[+1]", .syntax, 1), ("[NaN]", .syntax, 4), ("nul", .syntax, 0), ("\"\\x\"", .syntax, 1),
        ("\"\\u00g0\"", .syntax, 1), ("\"a\u{1}\"", .syntax, 2), ("{} x", .syntax, 3), ("// x", .syntax, 0),
        ("\"\\ud800\"", .text, 7), ("\"\\ud800\\u0041\"", .text, 13),
    ]) func ruleAndOffset(_ text: String, _ rule: JSONRule, _ offset: Int) {
        let found = fault(Array(text.utf8))
        #expect(found?.rule == rule && found?.offset == offset, "\(text): \(String(describing: found))")
    }

    @Test(
        arguments: [
            [0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xe2, 0x82], [0x80],
        ] as [[UInt8]]) func bytesThatAreNotUTF8(_ bytes: [UInt8])
    {
        #expect(fault([0x22] + bytes + [0x22])?.rule == .text)
    }

    @Test func offsetsCountFromTheStartOfTheFile() {
        var late = reader(Array("[1, x]".utf8), origin: 1000)
        #expect(throws: JSONFault(.syntax, offset: 1004, "no value begins with the byte 120")) { try late.skip() }
    }

    @Test func duplicateKeys() throws {
        let text = #"{"a": 1, "\u0061": [2], "b": 3}"#
        let found = fault(text) { reader throws(JSONFault) in
            try reader.object { (reader, _) throws(JSONFault) in try reader.skip() }
        }
        #expect(found == JSONFault(.duplicateKey, offset: 9, #"the key "a" again"#))
        var tolerant = reader(text)
        var repeated: [JSONFault] = []
        var keys: [String] = []
        try tolerant.object(repeated: { fault throws(JSONFault) in repeated.append(fault) }) {
            (reader, key) throws(JSONFault) in
            keys.append(key)
            try reader.skip()
        }
        #expect(repeated == [found] && keys == ["a", "b"])
    }

    /// Repetitions are found however many keys an object has, in time that grows no faster than the text.
    @Test(.timeLimit(.minutes(1))) func manyKeys() throws {
        for count in [15, 16, 17, 18, 300_000] {
            let members = (0..<count).map { "\"\($0)\":0" }.joined(separator: ",")
            func read(_ text: String, limit: Int) -> JSONFault? {
                fault(text) { reader throws(JSONFault) in
                    try reader.object(limit: limit) { (reader, _) throws(JSONFault) in try reader.skip() }
                }
            }
            #expect(read("{\(members)}", limit: count) == nil)
            #expect(read("{\(members)}", limit: count - 1)?.rule == .syntax)
            #expect(read("{\(members),\"0\":0}", limit: count)?.rule == .duplicateKey)
            #expect(read("{\(members),\"\(count - 1)\":0}", limit: count)?.rule == .duplicateKey)
        }
    }

    @Test func limits() {
        let levels = { (count: Int) in
            Array((String(repeating: "[", count: count) + String(repeating: "]", count: count)).utf8)
        }
        #expect(fault(levels(64)) == nil)
        #expect(fault(levels(65))?.rule == .syntax)
        #expect(fault(levels(100_000))?.offset == 65)
        #expect(fault(#""abcd""#) { reader throws(JSONFault) in _ = try reader.string(limit: 4) } == nil)
        #expect(fault(#""abcde""#) { reader throws(JSONFault) in _ = try reader.string(limit: 4) }?.rule == .syntax)
        #expect(fault(Array(String(repeating: "1", count: 399).utf8)) == nil)
        #expect(fault(Array(String(repeating: "1", count: 400).utf8))?.rule == .syntax)
        var numbers: [Double] = []
        #expect(fault("[1,2]") { reader throws(JSONFault) in _ = try reader.numbers(into: &numbers, limit: 2) } == nil)
        let long = fault("[1,2,3]") { reader throws(JSONFault) in _ = try reader.numbers(into: &numbers, limit: 2) }
        #expect(long?.rule == .syntax && long?.offset == 5)
    }

    /// A text gives the same at any place of the border between two pieces, sound or cut short.
    @Test func piecesMakeNoDifference() {
        let value = #"{"é\u00e9\ud83d\ude00": [-12.5e-3, true, null, "€😀\\"], "b": 1234567890}"#
        for padding in 400..<620 {
            let text = [UInt8](repeating: 0x20, count: padding) + Array(value.utf8)
            #expect(fault(text, piece: 512) == nil)
        }
        let text = Array(("[" + String(repeating: value + ",", count: 20) + "1]").utf8)
        for count in 0..<text.count {
            let whole = fault(Array(text[..<count]))
            #expect(whole != nil && fault(Array(text[..<count]), piece: 512) == whole)
        }
    }
}
