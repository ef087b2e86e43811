/// Where a recipe value came from.
public enum RecipeSource: Equatable, Sendable, CustomStringConvertible {
    /// Nothing set it.
    case defaults
    /// A line of a recipe file.
    case file(String, line: Int)
    /// The environment variable `KEDGE_SET`.
    case environment
    /// A `--set` on the command line.
    case setting

    /// The source as it is printed beside a value.
    public var description: String {
        switch self {
        case .defaults: "default"
        case .file(let name, let line): "\(name):\(line)"
        case .environment: "KEDGE_SET"
        case .setting: "--set"
        }
    }
}

/// A checked recipe together with the source of each of its values.
public struct ResolvedRecipe: Sendable {
    /// The recipe, without faults.
    public let recipe: Recipe
    /// Source per dotted key; holds every key of ``RecipeReference``.
    public let sources: [String: RecipeSource]

    /// Resolves a recipe: defaults, then a file, then `KEDGE_SET`, then `--set`; later wins.
    ///
    /// - Parameters:
    ///   - path: The recipe file, or nil for none.
    ///   - environment: The process environment; only `KEDGE_SET`, written `key=value;key=value`, is read.
    ///   - settings: The `key=value` texts of `--set`, in their order.
    /// - Throws: ``RecipeError`` with all faults of all sources at once.
    public init(
        path: String? = nil, environment: [String: String] = [:], settings: [String] = []
    ) throws(RecipeError) {
        var document: RecipeDocument?
        if let path { document = try RecipeDocument(contentsOf: path) }
        try self.init(document: document, environment: environment, settings: settings)
    }

    /// Resolves recipe text in place of a file.
    ///
    /// - Throws: ``RecipeError`` with all faults of all sources at once.
    public init(
        yaml: String, name: String = "recipe", environment: [String: String] = [:], settings: [String] = []
    ) throws(RecipeError) {
        try self.init(
            document: try RecipeDocument(yaml: yaml, name: name), environment: environment, settings: settings)
    }

    private init(
        document: RecipeDocument?, environment: [String: String], settings: [String]
    ) throws(RecipeError) {
        var assembly = RecipeAssembly()
        if let document { assembly.apply(document) }
        let texts = (environment["KEDGE_SET"] ?? "").split(separator: ";").map(String.init)
        for text in texts where text.contains(where: { !$0.isWhitespace }) { assembly.apply(text, from: .environment) }
        for text in settings { assembly.apply(text, from: .setting) }
        let faults = assembly.faults + assembly.boundFaults()
        guard faults.isEmpty else { throw RecipeError(faults) }
        recipe = assembly.recipe
        sources = assembly.sources
    }

    /// The whole recipe as YAML that resolves to itself, with the source of each value that is not a default.
    public var resolvedYAML: String {
        var text = "# Resolved recipe; digest \(recipe.digest).\n"
        for section in RecipeReference.sections {
            if !section.name.isEmpty { text += "\(section.name):\n" }
            let indent = section.name.isEmpty ? "" : "    "
            for field in RecipeReference.fields where field.section == section.name {
                let source = sources[field.key] ?? .defaults
                let note = source == .defaults ? "" : "  # " + source.description.filter { !$0.isNewline }
                text += "\(indent)\(field.name): \(field.value(recipe))\(note)\n"
            }
        }
        return text
    }

    /// Every key with its value as YAML text, in the order of the reference.
    public var entries: [(key: String, value: String)] {
        RecipeReference.fields.map { ($0.key, $0.value(recipe).description) }
    }
}

/// A recipe while its sources are laid over one another.
private struct RecipeAssembly {
    var recipe = Recipe()
    var sources = Dictionary(uniqueKeysWithValues: RecipeReference.fields.map { ($0.key, RecipeSource.defaults) })
    var faults: [RecipeFault] = []

    /// The most faults of a file that are told. Looking for the nearest known key takes time, and a file of the largest size
    /// has room for a hundred thousand unknown ones.
    static let maximumFaults = 100

    mutating func apply(_ document: RecipeDocument) {
        faults += document.faults.prefix(Self.maximumFaults)
        for line in document.lines {
            guard faults.count < Self.maximumFaults else {
                faults.append(RecipeFault(rule: "has more faults; mend these first", place: document.name))
                break
            }
            set(line.key, line.entry, from: .file(document.name, line: line.line))
        }
    }

    /// Applies one `key=value`.
    mutating func apply(_ text: String, from source: RecipeSource) {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(Self.trim)
        guard parts.count == 2, !parts[0].isEmpty else {
            faults.append(RecipeFault(value: text, rule: "write key=value", place: source.description))
            return
        }
        set(parts[0], Self.entry(parts[1], for: RecipeReference.field(parts[0])?.rule), from: source)
    }

    private mutating func set(_ key: String, _ entry: RecipeEntry, from source: RecipeSource) {
        let place = source.description
        guard let field = RecipeReference.field(key) else {
            let nearest = RecipeReference.nearestKey(to: key)
            faults.append(RecipeFault(key: key, rule: "unknown key; the nearest known key is \(nearest)", place: place))
            return
        }
        guard let value = field.rule.read(entry) else {
            faults.append(
                RecipeFault(
                    key: key, value: Self.describe(entry), rule: "must be \(field.rule.description)", place: place))
            return
        }
        field.write(&recipe, value)
        sources[key] = source
    }

    /// The faults of ``Recipe/validate()`` with the places their values came from.
    ///
    /// A key whose text was already refused still holds its default; one line about it is enough.
    func boundFaults() -> [RecipeFault] {
        recipe.validate().filter { fault in !faults.contains { $0.key == fault.key } }.map { fault in
            let source = sources[fault.key] ?? .defaults
            return RecipeFault(key: fault.key, value: fault.value, rule: fault.rule, place: source.description)
        }
    }

    private static func describe(_ entry: RecipeEntry) -> String {
        switch entry {
        case .scalar(let text, let isQuoted): isQuoted || text.isEmpty ? "\"\(text)\"" : text
        case .list(let texts): "[" + texts.joined(separator: ", ") + "]"
        case .mapping: "a mapping"
        }
    }

    /// The entry a setting's text stands for: lists may be written `a,b` or `[a, b]`.
    private static func entry(_ text: String, for rule: RecipeRule?) -> RecipeEntry {
        switch rule {
        case .choices, .integers:
            var inner = text[...]
            if inner.hasPrefix("["), inner.hasSuffix("]") { inner = inner.dropFirst().dropLast() }
            return .list(inner.isEmpty ? [] : inner.split(separator: ",", omittingEmptySubsequences: false).map(trim))
        default:
            return .scalar(text, isQuoted: false)
        }
    }

    private static func trim(_ text: Substring) -> String {
        var text = text
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
