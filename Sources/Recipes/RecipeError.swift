import PlainText

/// One fault in a recipe, in one line: place, key, value and the violated rule.
public struct RecipeFault: Equatable, Sendable, CustomStringConvertible {
    /// Dotted key; empty if the fault concerns the whole file.
    public let key: String
    /// The value as written; may be empty.
    public let value: String
    /// The violated rule and the remedy.
    public let rule: String
    /// The origin of the value: a file and line, `KEDGE_SET`, `--set` or the defaults.
    public let place: String

    init(key: String = "", value: String = "", rule: String, place: String = "") {
        self.key = key
        self.value = value
        self.rule = rule
        self.place = place
    }

    /// The fault in one line.
    public var description: String {
        let setting = [key, value].filter { !$0.isEmpty }.map(Self.oneLine).joined(separator: " = ")
        return [place, setting, rule].filter { !$0.isEmpty }.joined(separator: ": ")
    }

    private static func oneLine(_ text: String) -> String {
        let cut = text.count > 80 ? text.prefix(80) + "..." : text[...]
        return String(cut).onOneLine
    }
}

/// All faults found in a recipe.
public struct RecipeError: Error, Equatable, Sendable, CustomStringConvertible {
    /// At least one fault, ordered by file and then settings.
    public let faults: [RecipeFault]
    /// True if the recipe file is missing or unreadable, which is not a fault of its content.
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
