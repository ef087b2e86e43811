/// The origin of a recipe value.
public enum RecipeSource: Equatable, Sendable, CustomStringConvertible {
    /// The default.
    case defaults
    /// A line of a recipe file.
    case file(String, line: Int)
    /// The environment variable `KEDGE_SET`.
    case environment
    /// A `--set` on the command line.
    case setting

    /// The origin as printed next to a value.
    public var description: String {
        switch self {
        case .defaults: "default"
        case .file(let name, let line): "\(name):\(line)"
        case .environment: "KEDGE_SET"
        case .setting: "--set"
        }
    }
}

/// A validated recipe with the source of each of its values.
public struct Resolved<Root: RecipeRoot>: Sendable {
    /// The recipe, without faults.
    public let recipe: Root
    /// Source of each dotted key; contains every key of the recipe.
    public let sources: [String: RecipeSource]

    /// Resolves a recipe: defaults, then a file, then `KEDGE_SET`, then `--set`; later sources override earlier ones.
    ///
    /// - Parameters:
    ///   - defaults: The recipe of all defaults.
    ///   - path: The recipe file, or nil for none.
    ///   - environment: The process environment; only `KEDGE_SET`, written `key=value;key=value`, is read.
    ///   - settings: The `key=value` texts of `--set`, in order.
    /// - Throws: ``RecipeError`` that lists all faults of all sources.
    public init(
        _ defaults: Root, path: String? = nil, environment: [String: String] = [:], settings: [String] = []
    ) throws(RecipeError) {
        var document: RecipeDocument?
        if let path { document = try RecipeDocument(contentsOf: path, sections: Root.schema) }
        try self.init(defaults, document: document, environment: environment, settings: settings)
    }

    /// Resolves recipe text instead of a file.
    ///
    /// - Throws: ``RecipeError`` that lists all faults of all sources.
    public init(
        _ defaults: Root, yaml: String, name: String = "recipe", environment: [String: String] = [:],
        settings: [String] = []
    ) throws(RecipeError) {
        try self.init(
            defaults, document: try RecipeDocument(yaml: yaml, name: name, sections: Root.schema),
            environment: environment, settings: settings)
    }

    /// A recipe that a program made from a resolved one; keys that both have keep their source.
    ///
    /// - Throws: ``RecipeError`` that lists all faults.
    public init(_ recipe: Root, madeFrom other: Resolved<Root>) throws(RecipeError) {
        var sources: [String: RecipeSource] = [:]
        for entry in recipe.entries { sources[entry.key.key] = other.sources[entry.key.key] ?? .defaults }
        let faults = recipe.validate().map { fault in
            RecipeFault(
                key: fault.key, value: fault.value, rule: fault.rule,
                place: (sources[fault.key] ?? .defaults).description)
        }
        guard faults.isEmpty else { throw RecipeError(faults) }
        (self.recipe, self.sources) = (recipe, sources)
    }

    private init(
        _ defaults: Root, document: RecipeDocument?, environment: [String: String], settings: [String]
    ) throws(RecipeError) {
        var assembly = RecipeAssembly(defaults)
        if let document { assembly.add(document) }
        let texts = (environment["KEDGE_SET"] ?? "").split(separator: ";").map(String.init)
        for text in texts where text.contains(where: { !$0.isWhitespace }) { assembly.add(text, from: .environment) }
        for text in settings { assembly.add(text, from: .setting) }
        assembly.resolve()
        guard assembly.faults.isEmpty else { throw RecipeError(assembly.faults) }
        (recipe, sources) = (assembly.root, assembly.sources)
    }
}

/// A recipe while its sources are applied.
private struct RecipeAssembly<Root: RecipeRoot> {
    /// One `key: value` of a source.
    private struct Assignment {
        let key: String
        let entry: Entry
        let source: RecipeSource
    }

    /// A source's value for a key: an entry of a file, or the text of a setting, whose form depends on the key's rule.
    private enum Entry {
        case file(RecipeEntry)
        case text(String)
        /// The text of a setting that is not of the form `key=value`.
        case malformed(String)
    }

    var root: Root
    var sources: [String: RecipeSource] = [:]
    var faults: [RecipeFault] = []
    private let schema = Root.schema
    private var assignments: [Assignment] = []

    /// Maximum number of a file's faults to report. Finding the nearest known key takes time, and a file of the maximum
    /// size can hold a hundred thousand unknown keys.
    static var maximumFaults: Int { 100 }

    init(_ defaults: Root) { root = defaults }

    mutating func add(_ document: RecipeDocument) {
        faults += document.faults.prefix(Self.maximumFaults)
        assignments += document.lines.map {
            Assignment(key: $0.key, entry: .file($0.entry), source: .file(document.name, line: $0.line))
        }
    }

    /// Adds one `key=value`.
    mutating func add(_ text: String, from source: RecipeSource) {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(Self.trim)
        guard parts.count == 2, !parts[0].isEmpty else {
            assignments.append(Assignment(key: "", entry: .malformed(text), source: source))
            return
        }
        assignments.append(Assignment(key: parts[0], entry: .text(parts[1]), source: source))
    }

    /// Applies all assignments: choices first, because they determine the available keys, then ordinary sections, then
    /// named ones, which start as copies of these.
    mutating func resolve() {
        let ranks = assignments.map { rank(of: $0.key) }
        var found: [(place: Int, fault: RecipeFault)] = []
        for rank in Rank.allCases {
            for (place, assignment) in assignments.enumerated() where ranks[place] == rank {
                if case .file = assignment.source, found.count >= Self.maximumFaults { continue }
                if let fault = apply(assignment) { found.append((place, fault)) }
            }
        }
        found.sort { $0.place < $1.place }
        faults += found.map(\.fault)
        if found.count >= Self.maximumFaults, let name = fileName {
            faults.append(RecipeFault(rule: "has more faults; fix these first", place: name))
        }
        for entry in root.entries where sources[entry.key.key] == nil { sources[entry.key.key] = .defaults }
        faults += boundFaults()
    }

    private var fileName: String? {
        for assignment in assignments { if case .file(let name, _) = assignment.source { return name } }
        return nil
    }

    private enum Rank: CaseIterable { case choice, ordinary, named }

    private func rank(of key: String) -> Rank {
        for part in schema.parts {
            if part.names != nil {
                if key.hasPrefix(part.path + ".") { return .named }
            } else if let selector = part.read(root, "").selector, key == "\(part.path).\(selector)" {
                return .choice
            }
        }
        return .ordinary
    }

    /// The section of a key and the name of its row; a named section is added on first mention.
    private mutating func section(of key: String) -> (instance: RecipeSchema<Root>.Instance, row: String)? {
        guard let dot = key.lastIndex(of: ".") else { return nil }
        let (path, row) = (String(key[..<dot]), String(key[key.index(after: dot)...]))
        for part in schema.parts {
            guard let names = part.names else {
                if part.path == path { return (RecipeSchema<Root>.Instance(part: part, name: ""), row) }
                continue
            }
            guard path.hasPrefix(part.path + ".") else { continue }
            let name = String(path.dropFirst(part.path.count + 1))
            guard RecipeRule.name.accepts(.text(name)), !name.contains(".") else { return nil }
            guard part.read(root, name).rows.contains(where: { $0.name == row }) else { return nil }
            if !names(root).contains(name) { part.add(&root, name) }
            return (RecipeSchema<Root>.Instance(part: part, name: name), row)
        }
        return nil
    }

    private mutating func apply(_ assignment: Assignment) -> RecipeFault? {
        let (key, place) = (assignment.key, assignment.source.description)
        if case .malformed(let text) = assignment.entry {
            return RecipeFault(value: text, rule: "write key=value", place: place)
        }
        guard let (instance, name) = section(of: key) else { return unknown(key, place) }
        var section = instance.part.read(root, instance.name)
        guard let index = section.rows.firstIndex(where: { $0.name == name }) else { return unknown(key, place) }
        let rule = section.rows[index].rule
        let entry: RecipeEntry =
            switch assignment.entry {
            case .file(let entry): entry
            case .text(let text), .malformed(let text): Self.entry(text, for: rule)
            }
        guard let value = rule.read(entry) else {
            return RecipeFault(
                key: key, value: Self.describe(entry), rule: "must be \(rule.description)", place: place)
        }
        section.set(row: index, to: value)
        instance.part.write(&root, instance.name, section)
        sources[key] = assignment.source
        return nil
    }

    private func unknown(_ key: String, _ place: String) -> RecipeFault {
        if let new = schema.moved.first(where: { $0.old == key })?.new {
            return RecipeFault(key: key, rule: "was renamed to \(new)", place: place)
        }
        for part in schema.parts where key.hasPrefix(part.path + ".") {
            guard let variants = part.read(root, "") as? any RecipeVariants else { continue }
            let name = String(key.dropFirst(part.path.count + 1))
            let owners = variants.variants.filter { $0.rows.contains { $0.name == name } }.map(\.name)
            if !owners.isEmpty {
                return RecipeFault(
                    key: key,
                    rule: "is a setting of \(owners.joined(separator: ", ")), not of \(variants.chosen); remove it",
                    place: place)
            }
        }
        return RecipeFault(
            key: key, rule: "unknown key; the nearest known key is \(root.nearestKey(to: key))", place: place)
    }

    /// The violations of the recipe's own rules, with the places of their values.
    ///
    /// A key whose text was already refused still has its default; one message about it is enough.
    private func boundFaults() -> [RecipeFault] {
        root.validate().filter { fault in !faults.contains { $0.key == fault.key } }.map { fault in
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

    /// The entry of a setting's text: lists may be written `a,b` or `[a, b]`.
    private static func entry(_ text: String, for rule: RecipeRule) -> RecipeEntry {
        switch rule {
        case .choices, .integers:
            var inner = text[...]
            if inner.hasPrefix("["), inner.hasSuffix("]") { inner = inner.dropFirst().dropLast() }
            return .list(inner.isEmpty ? [] : inner.split(separator: ",", omittingEmptySubsequences: false).map(trim))
        case .text:
            // KEY= empties a text, as KEY: "" does in a file.
            return .scalar(text, isQuoted: text.isEmpty)
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
