/// A rule of JSON that a text can break.
public enum JSONRule: Sendable {
    /// The text is not JSON, or exceeds a limit of the reader.
    case syntax
    /// The text ends inside a value.
    case truncated
    /// A string is not UTF-8, or an escape in it is half a character.
    case text
    /// A key occurs twice in one object.
    case duplicateKey
}

/// A fault of a JSON text: the rule it breaks, where, and what was found.
public struct JSONFault: Error, Equatable, Sendable {
    /// The rule that is broken.
    public let rule: JSONRule
    /// The offset in bytes from the start of the file.
    public let offset: Int
    /// What was found.
    public let found: String

    /// Creates a fault.
    public init(_ rule: JSONRule, offset: Int, _ found: String) {
        (self.rule, self.offset, self.found) = (rule, offset, found)
    }
}

/// The type of a JSON value, as its first byte shows it.
public enum JSONKind: Sendable {
    /// A value in braces.
    case object
    /// A value in brackets.
    case array
    /// A text in quotation marks.
    case string
    /// A number, also NaN and the infinities.
    case number
    /// True, false or null.
    case literal
}
