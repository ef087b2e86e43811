/// A value of a recipe, without its field's Swift type.
public enum RecipeValue: Equatable, Sendable {
    case none
    case text(String)
    case integer(Int)
    case number(Double)
    case flag(Bool)
    case texts([String])
    case integers([Int])
}

/// What a recipe file or a `key=value` setting holds for one key, before the key's rule has read it.
enum RecipeEntry: Equatable, Sendable {
    /// Plain text may be a number, a flag or `none`; quoted text is only text.
    case scalar(String, isQuoted: Bool)
    case list([String])
    case mapping
}

/// The type and the allowed values of one recipe field.
public enum RecipeRule: Equatable, Sendable {
    /// Any text; empty text is refused by the rules between fields where a value is needed.
    case text
    /// Text, or `none`.
    case optionalText
    /// Text that can name a folder.
    case name
    /// One of these words.
    case choice([String])
    /// At least one of these words, each once.
    case choices([String])
    /// A whole number.
    case integer(ClosedRange<Int>)
    /// A whole number, or `none`.
    case optionalInteger(ClosedRange<Int>)
    /// Whole numbers, ascending.
    case integers(ClosedRange<Int>)
    /// A number from `lower` to `upper`; `isOpen` leaves both bounds out.
    case number(from: Double, to: Double, isOpen: Bool)
    /// `true` or `false`.
    case flag
    /// `auto`, `k:1`, or `none`.
    case split

    /// The rule in words, as messages and the reference print it.
    public var description: String {
        switch self {
        case .text: "text"
        case .optionalText: "text or none"
        case .name: "letters, digits and . _ - only, not starting with a dot or dash"
        case .choice(let words): words.joined(separator: " | ")
        case .choices(let words): "list of " + words.joined(separator: " | ")
        case .integer(let range): "whole number " + Self.describe(range)
        case .optionalInteger(let range): "whole number " + Self.describe(range) + ", or none"
        case .integers(let range): "ascending list of whole numbers " + Self.describe(range)
        case .number(let lower, let upper, false): "number \(RecipeValue.number(lower)) to \(RecipeValue.number(upper))"
        case .number(let lower, let upper, true):
            "number above \(RecipeValue.number(lower))"
                + (upper.isFinite ? " and below \(RecipeValue.number(upper))" : "")
        case .flag: "true | false"
        case .split: "auto, k:1 with k from 1 to 1000, or none"
        }
    }

    private static func describe(_ range: ClosedRange<Int>) -> String {
        range.upperBound == .max ? "from \(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
    }

    /// The value that an entry means under this rule, or nil when it is of another type.
    ///
    /// Bounds are not looked at here: ``accepts(_:)`` does that for values from every source alike.
    func read(_ entry: RecipeEntry) -> RecipeValue? {
        switch (self, entry) {
        case (.text, .scalar(let text, let isQuoted)), (.name, .scalar(let text, let isQuoted)):
            return isQuoted || !Self.isNone(text) ? .text(text) : nil
        case (.split, .scalar(let text, _)): return Self.isNone(text) ? RecipeValue.none : .text(text)
        case (.optionalText, .scalar(let text, let isQuoted)):
            return Self.isNone(text) && !isQuoted ? RecipeValue.none : .text(text)
        case (.choice(let words), .scalar(let text, _)): return words.contains(text) ? .text(text) : nil
        case (.choices(let words), .list(let list)):
            return list.allSatisfy(words.contains) ? .texts(list) : nil
        case (.integer, .scalar(let text, false)): return Int(text).map(RecipeValue.integer)
        case (.optionalInteger, .scalar(let text, false)):
            return Self.isNone(text) ? RecipeValue.none : Int(text).map(RecipeValue.integer)
        case (.integers, .list(let list)):
            let integers = list.compactMap { Int($0) }
            return integers.count == list.count ? .integers(integers) : nil
        case (.number, .scalar(let text, false)): return Double(text).map(RecipeValue.number)
        case (.flag, .scalar(let text, false)): return Bool(text).map(RecipeValue.flag)
        default: return nil
        }
    }

    /// Whether a value of the right type is within the rule's bounds.
    func accepts(_ value: RecipeValue) -> Bool {
        switch (self, value) {
        case (.text, .text), (.optionalText, .text), (.flag, .flag): true
        case (.optionalText, .none), (.optionalInteger, .none), (.split, .none): true
        case (.name, .text(let text)): Self.isFolderName(text)
        case (.choice(let words), .text(let text)): words.contains(text)
        case (.choices(let words), .texts(let texts)):
            Set(texts).count == texts.count && texts.allSatisfy(words.contains)
        case (.integer(let range), .integer(let integer)), (.optionalInteger(let range), .integer(let integer)):
            range.contains(integer)
        case (.integers(let range), .integers(let integers)):
            integers.allSatisfy(range.contains) && zip(integers, integers.dropFirst()).allSatisfy { $0 < $1 }
        case (.number(let lower, let upper, let isOpen), .number(let number)):
            number.isFinite && (isOpen ? lower < number && number < upper : lower <= number && number <= upper)
        case (.split, .text(let text)): text == Self.publishedSplit || Self.trainingShare(ofSplit: text) != nil
        default: false
        }
    }

    /// The split that the data set knows.
    static let publishedSplit = "auto"

    /// k of `k:1`, or nil for every other text.
    static func trainingShare(ofSplit text: String) -> Int? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[1] == "1", let share = Int(parts[0]), (1...1000).contains(share) else {
            return nil
        }
        return share
    }

    private static func isNone(_ text: String) -> Bool { ["none", "null", "~", ""].contains(text) }

    private static func isFolderName(_ text: String) -> Bool {
        guard let first = text.utf8.first, first != UInt8(ascii: "."), first != UInt8(ascii: "-") else { return false }
        return text.utf8.count <= 128 && text.utf8.allSatisfy { isWordByte($0) || "._-".utf8.contains($0) }
    }

    /// Whether a byte is an ASCII letter or digit.
    fileprivate static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: false
        }
    }
}

extension RecipeValue: CustomStringConvertible {
    /// The value as YAML that reads back to the same value.
    public var description: String {
        switch self {
        case .none: "none"
        case .text(let text): Self.quoteIfNeeded(text)
        case .integer(let integer): String(integer)
        case .number(let number): Self.describe(number)
        case .flag(let flag): String(flag)
        case .texts(let texts): "[" + texts.map(Self.quoteIfNeeded).joined(separator: ", ") + "]"
        case .integers(let integers): "[" + integers.map(String.init).joined(separator: ", ") + "]"
        }
    }

    private static func describe(_ number: Double) -> String {
        // Not abs of the integer: the least one has none.
        if number.magnitude < 1_000_000, let integer = Int(exactly: number) { return String(integer) }
        return String(number)
    }

    /// Plain when YAML reads the text back unchanged, otherwise in double quotes with YAML's escapes.
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
            case _
            where scalar.value < 0x20 || (0x7F...0xA0).contains(scalar.value)
                || [0x2028, 0x2029, 0xFEFF].contains(scalar.value):
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
