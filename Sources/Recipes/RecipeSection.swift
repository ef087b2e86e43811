/// What a recipe key affects, which determines where a difference matters.
public enum RecipeEffect: Sendable, Equatable {
    /// The trained parameters: part of a recipe's digest, and fixed between a checkpoint and the run that resumes it.
    case result
    /// Images, steps and measurements: runs that differ here are different experiments.
    case experiment
    /// Speed and safety of a run: runs that differ only here are the same experiment.
    case machine
}

/// One row of a section's table, without the section's Swift type.
public struct RecipeRow: Sendable {
    /// The last part of the key, for example `globalBatch`.
    public let name: String
    /// Type and allowed values.
    public let rule: RecipeRule
    /// The field's meaning, in one line without a full stop.
    public let doc: String
    /// What the field affects.
    public let effect: RecipeEffect

    /// Creates a row.
    public init(name: String, rule: RecipeRule, doc: String, effect: RecipeEffect) {
        (self.name, self.rule, self.doc, self.effect) = (name, rule, doc, effect)
    }
}

/// A setting that violates a rule beyond its own value.
public struct SettingFault: Sendable, Equatable {
    /// The setting, as named in recipes below its section.
    public let key: String
    /// The violated rule and the remedy.
    public let rule: String

    /// Creates a fault.
    public init(key: String, rule: String) { (self.key, self.rule) = (key, rule) }
}

/// A section as seen by resolving and printing: rows, and a value in each.
public protocol RecipeRows: Sendable {
    /// The rows, in the order of the reference; they may depend on a choice (such as the method).
    var rows: [RecipeRow] { get }
    /// The name of the row whose choice determines the others; nil without one.
    var selector: String? { get }
    /// The value of a row.
    func value(row: Int) -> RecipeValue
    /// Sets a row to a value parsed by its rule.
    mutating func set(row: Int, to value: RecipeValue)
    /// Violated rules between the settings of this section.
    var faults: [SettingFault] { get }
}

/// A settings type whose fields are recipe keys: its table, in the same file, is the single place for a key's name,
/// rule, meaning and effect; its default is the property's initial value.
///
/// To add a key, add a property and its row.
public protocol RecipeSection: RecipeRows, Equatable {
    /// The table.
    static var fields: [RecipeField<Self>] { get }
    /// Creates the defaults.
    init()
}

extension RecipeRows {
    public var selector: String? { nil }
    public var faults: [SettingFault] { [] }
}

extension RecipeSection {
    public var rows: [RecipeRow] { Self.fields.map(\.row) }
    public func value(row: Int) -> RecipeValue { Self.fields[row].value(self) }
    public mutating func set(row: Int, to value: RecipeValue) { Self.fields[row].write(&self, value) }
}

/// The settings of something that has none.
public struct NoSettings: RecipeSection {
    /// The empty table.
    public static let fields: [RecipeField<NoSettings>] = []
    /// Creates the empty settings.
    public init() {}
}
