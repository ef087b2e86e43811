/// The sections of a recipe and how to access each in the recipe's type.
public struct RecipeSchema<Root: Sendable>: Sendable {
    /// One section, or a group of sections named by the user.
    public struct Part: Sendable {
        /// The dotted path of the section; for named sections, the path of the group.
        let path: String
        /// The section's purpose, in one sentence.
        let doc: String
        /// The names of the named sections, in order of addition; nil for an ordinary section.
        let names: (@Sendable (Root) -> [String])?
        /// Adds a named section.
        let add: @Sendable (inout Root, String) -> Void
        /// Reads the section, by name if it has one.
        let read: @Sendable (Root, String) -> any RecipeRows
        /// Writes the section.
        let write: @Sendable (inout Root, String, any RecipeRows) -> Void

        /// An ordinary section at a property of the recipe.
        public static func section<Section: RecipeRows>(
            _ path: String, _ property: any WritableKeyPath<Root, Section> & Sendable, _ doc: String
        ) -> Part {
            Part(path: path, doc: doc, names: nil, add: { _, _ in }) { root, _ in
                root[keyPath: property]
            } write: { root, _, section in
                if let section = section as? Section { root[keyPath: property] = section }
            }
        }

        /// Sections `PATH.NAME` named by the user; a new one starts as a copy of `template`.
        public static func named<Section: RecipeRows>(
            _ path: String, _ property: any WritableKeyPath<Root, [NamedSection<Section>]> & Sendable,
            template: any KeyPath<Root, Section> & Sendable, _ doc: String
        ) -> Part {
            Part(path: path, doc: doc) { root in
                root[keyPath: property].map(\.name)
            } add: { root, name in
                root[keyPath: property].append(NamedSection(name, root[keyPath: template]))
            } read: { root, name in
                root[keyPath: property].first { $0.name == name }?.settings ?? root[keyPath: template]
            } write: { root, name, section in
                guard let section = section as? Section else { return }
                for index in root[keyPath: property].indices where root[keyPath: property][index].name == name {
                    root[keyPath: property][index].settings = section
                }
            }
        }
    }

    /// The sections, in the order of the reference.
    let parts: [Part]
    /// Keys of earlier versions and their current names.
    public let moved: [(old: String, new: String)]

    /// Creates a schema.
    ///
    /// - Parameter moved: Keys of earlier versions; a recipe that uses one is refused with the new name.
    public init(_ parts: [Part], moved: [(old: String, new: String)] = []) {
        (self.parts, self.moved) = (parts, moved)
    }
}

/// A section named by the user.
public struct NamedSection<Section: Sendable>: Sendable {
    /// The name.
    public var name: String
    /// The settings of the section.
    public var settings: Section

    /// Creates a named section.
    public init(_ name: String, _ settings: Section) { (self.name, self.settings) = (name, settings) }
}

extension NamedSection: Equatable where Section: Equatable {}

/// The type that holds all sections of a recipe.
public protocol RecipeRoot: Sendable, Equatable {
    /// The sections.
    static var schema: RecipeSchema<Self> { get }
    /// Violated rules between sections, by full key.
    var faults: [SettingFault] { get }
}

/// A key of a recipe with its row.
public struct RecipeKey: Sendable {
    /// The dotted path, for example `training.globalBatch`.
    public let key: String
    /// The dotted path of its section.
    public let section: String
    /// Its row in the section's table.
    public let row: RecipeRow
}

extension RecipeSchema: RecipeSections {
    /// A section within a recipe.
    struct Instance {
        let part: Part
        /// The name of a named section; empty for an ordinary one.
        let name: String

        var path: String { name.isEmpty ? part.path : "\(part.path).\(name)" }
    }

    /// All sections of a recipe, in order.
    func instances(of root: Root) -> [Instance] {
        parts.flatMap { part in
            part.names.map { names in names(root).map { Instance(part: part, name: $0) } }
                ?? [Instance(part: part, name: "")]
        }
    }

    func isSection(_ path: String) -> Bool {
        isNamed(path) || parts.contains { path == $0.path || $0.path.hasPrefix(path + ".") }
    }

    func isNamed(_ path: String) -> Bool {
        parts.contains { part in
            guard part.names != nil, path.hasPrefix(part.path + ".") else { return false }
            return !path.dropFirst(part.path.count + 1).contains(".")
        }
    }

    /// Every key of a recipe with its row and value, section by section.
    package func entries(of root: Root) -> [(key: RecipeKey, value: RecipeValue)] {
        instances(of: root).flatMap { instance in
            let section = instance.part.read(root, instance.name)
            return section.rows.enumerated().map { index, row in
                (
                    RecipeKey(key: "\(instance.path).\(row.name)", section: instance.path, row: row),
                    section.value(row: index)
                )
            }
        }
    }
}

extension RecipeRoot {
    /// Every key with its row and value, in the order of the reference; the set of keys depends on the choices made.
    public var entries: [(key: RecipeKey, value: RecipeValue)] { Self.schema.entries(of: self) }

    /// The value of a key; nil if this recipe has no such key.
    public func value(of key: String) -> RecipeValue? { entries.first { $0.key.key == key }?.value }

    /// The keys that affect the result, in order.
    public var resultEntries: [(key: String, value: RecipeValue)] {
        entries.filter { $0.key.row.effect == .result }.map { ($0.key.key, $0.value) }
    }

    /// All faults: values out of bounds, then violated rules within sections, then between them.
    ///
    /// Needs no file, data or network, so it runs before anything starts.
    public func validate() -> [RecipeFault] {
        let values = entries
        let outOfBounds = values.compactMap { entry -> RecipeFault? in
            guard !entry.key.row.rule.accepts(entry.value) else { return nil }
            return RecipeFault(
                key: entry.key.key, value: entry.value.description, rule: "must be \(entry.key.row.rule.description)")
        }
        let between = Self.schema.instances(of: self).flatMap { instance in
            instance.part.read(self, instance.name).faults.map {
                SettingFault(key: "\(instance.path).\($0.key)", rule: $0.rule)
            }
        }
        let named = Set(outOfBounds.map(\.key))
        return outOfBounds
            + (between + faults).filter { !named.contains($0.key) }.map { fault in
                let value = values.first { $0.key.key == fault.key }?.value.description ?? ""
                return RecipeFault(key: fault.key, value: value, rule: fault.rule)
            }
    }
}
