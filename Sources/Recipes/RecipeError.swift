/// One mistake in a recipe, in one line: where, which key and value, and the rule it breaks.
public struct RecipeFault: Equatable, Sendable, CustomStringConvertible {
    /// Dotted key, or nothing when the fault concerns the whole file.
    public let key: String
    /// Value as it was given, or nothing.
    public let value: String
    /// The rule that is broken and what to do.
    public let rule: String
    /// Where the value came from: a file and line, `KEDGE_SET`, `--set` or the defaults.
    public let place: String

    init(key: String = "", value: String = "", rule: String, place: String = "") {
        self.key = key
        self.value = value
        self.rule = rule
        self.place = place
    }

    /// The line that a user reads.
    public var description: String {
        let setting = [key, value].filter { !$0.isEmpty }.map(Self.oneLine).joined(separator: " = ")
        return [place, setting, rule].filter { !$0.isEmpty }.joined(separator: ": ")
    }

    private static func oneLine(_ text: String) -> String {
        let cut = text.count > 80 ? text.prefix(80) + "..." : text[...]
        return String(cut.map { $0.isNewline || $0.unicodeScalars.contains { $0.value < 0x20 } ? " " : $0 })
    }
}

/// All mistakes found in a recipe at once.
public struct RecipeError: Error, Equatable, Sendable, CustomStringConvertible {
    /// At least one fault, in the order of the file and then of the settings.
    public let faults: [RecipeFault]
    /// True when the recipe file itself is missing or cannot be read, which is not a mistake in it.
    public let isFileMissing: Bool

    init(_ faults: [RecipeFault], isFileMissing: Bool = false) {
        self.faults = faults
        self.isFileMissing = isFileMissing
    }

    init(_ fault: RecipeFault, isFileMissing: Bool = false) { self.init([fault], isFileMissing: isFileMissing) }

    /// One line per fault.
    public var description: String {
        guard faults.count > 1 else { return "recipe: " + (faults.first?.description ?? "no fault stated") }
        return "recipe: \(faults.count) faults\n" + faults.map { "  " + $0.description }.joined(separator: "\n")
    }
}
