import PlainText

/// A value in a recipe, without its field's Swift type.
public enum RecipeValue: Equatable, Sendable {
    case none
    case text(String)
    /// A word of a choice or a grammar, for which `none` is an ordinary word.
    case word(String)
    case integer(Int)
    case number(Double)
    case flag(Bool)
    case texts([String])
    case integers([Int])
}

/// The content of a recipe file or `key=value` setting for one key, before the key's rule parses it.
enum RecipeEntry: Equatable, Sendable {
    /// Plain text may be a number, a flag or `none`; quoted text is only text.
    case scalar(String, isQuoted: Bool)
    case list([String])
    case mapping
}

extension RecipeValue: CustomStringConvertible {
    /// The value as YAML that reads back to the same value.
    public var description: String {
        switch self {
        case .none: "none"
        case .text(let text): Self.quoteIfNeeded(text)
        case .word(let word): word == "none" ? word : Self.quoteIfNeeded(word)
        case .integer(let integer): String(integer)
        case .number(let number): Self.describe(number)
        case .flag(let flag): String(flag)
        case .texts(let texts): "[" + texts.map(Self.quoteIfNeeded).joined(separator: ", ") + "]"
        case .integers(let integers): "[" + integers.map(String.init).joined(separator: ", ") + "]"
        }
    }

    private static func describe(_ number: Double) -> String {
        // Not abs of the integer: the minimum has no absolute value.
        if number.magnitude < 1_000_000, let integer = Int(exactly: number) { return String(integer) }
        return String(number)
    }

    /// Plain if YAML reads the text back unchanged, otherwise in double quotes with YAML's escapes.
    private static func quoteIfNeeded(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { RecipeRule.isWordByte($0) || "._-/:".utf8.contains($0) }
        let isWord = !text.isEmpty && !["none", "null"].contains(text) && text.first != "-" && text.first != ":"
        if isPlain && isWord && text.last != ":" { return text }
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": quoted += "\\" + String(scalar)
            case "\n": quoted += "\\n"
            case "\t": quoted += "\\t"
            case _ where scalar.isMark || [0xA0, 0xFEFF].contains(scalar.value):
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
