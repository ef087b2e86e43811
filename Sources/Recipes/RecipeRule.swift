/// The type and the valid values of a recipe field.
public enum RecipeRule: Sendable {
    /// Any text; rules between fields refuse empty text where a value is required.
    case text
    /// Text, or `none`.
    case optionalText
    /// Text that is valid as the name of a folder.
    case name
    /// One of the given words.
    case choice([String])
    /// Some of the given words, each at most once.
    case choices([String])
    /// A whole number.
    case integer(ClosedRange<Int>)
    /// A whole number, or `none`.
    case optionalInteger(ClosedRange<Int>)
    /// Whole numbers, ascending.
    case integers(ClosedRange<Int>)
    /// A number from `lower` to `upper`; `isOpen` excludes both bounds.
    case number(from: Double, to: Double, isOpen: Bool)
    /// `true` or `false`.
    case flag
    /// Text with its own grammar: a description, and a predicate for valid text.
    case parsed(String, @Sendable (String) -> Bool)

    /// The rule in words, as printed in messages and the reference.
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
        case .parsed(let description, _): description
        }
    }

    private static func describe(_ range: ClosedRange<Int>) -> String {
        range.upperBound == .max ? "from \(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
    }

    /// The value of an entry under this rule, or nil if it is of another type.
    ///
    /// Bounds are not checked here: ``accepts(_:)`` does so for values from any source.
    func read(_ entry: RecipeEntry) -> RecipeValue? {
        switch (self, entry) {
        case (.text, .scalar(let text, let isQuoted)), (.name, .scalar(let text, let isQuoted)):
            return isQuoted || !Self.isNone(text) ? .text(text) : nil
        case (.parsed(_, let follows), .scalar(let text, _)):
            let word = Self.isNone(text) ? "none" : text
            return follows(word) ? .word(word) : nil
        case (.optionalText, .scalar(let text, let isQuoted)):
            return Self.isNone(text) && !isQuoted ? RecipeValue.none : .text(text)
        case (.choice(let words), .scalar(let text, _)): return words.contains(text) ? .word(text) : nil
        case (.choices(let words), .list(let list)):
            return list.allSatisfy(words.contains) ? .texts(list) : nil
        case (.choices(let words), .scalar(let text, _)): return words.contains(text) ? .texts([text]) : nil
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

    /// True if a value of the right type is within the rule's bounds.
    func accepts(_ value: RecipeValue) -> Bool {
        switch (self, value) {
        case (.text, .text), (.optionalText, .text), (.flag, .flag): true
        case (.optionalText, .none), (.optionalInteger, .none): true
        case (.name, .text(let text)): Self.isName(text)
        case (.choice(let words), .word(let text)): words.contains(text)
        case (.choices(let words), .texts(let texts)):
            Set(texts).count == texts.count && texts.allSatisfy(words.contains)
        case (.integer(let range), .integer(let integer)), (.optionalInteger(let range), .integer(let integer)):
            range.contains(integer)
        case (.integers(let range), .integers(let integers)):
            integers.allSatisfy(range.contains) && zip(integers, integers.dropFirst()).allSatisfy { $0 < $1 }
        case (.number(let lower, let upper, let isOpen), .number(let number)):
            number.isFinite && (isOpen ? lower < number && number < upper : lower <= number && number <= upper)
        case (.parsed(_, let follows), .word(let text)): follows(text)
        default: false
        }
    }

    private static func isNone(_ text: String) -> Bool { ["none", "null", "~", ""].contains(text) }

    /// True if text satisfies ``name``.
    public static func isName(_ text: String) -> Bool {
        guard let first = text.utf8.first, first != UInt8(ascii: "."), first != UInt8(ascii: "-") else { return false }
        return text.utf8.count <= 128 && text.utf8.allSatisfy { isWordByte($0) || "._-".utf8.contains($0) }
    }

    /// True if a byte is an ASCII letter or digit.
    static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: false
        }
    }
}
