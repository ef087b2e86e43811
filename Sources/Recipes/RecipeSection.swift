/// What a recipe key decides, which says who has to care when it differs.
public enum RecipeEffect: Sendable, Equatable {
    /// The learnt numbers: part of a recipe's digest, and not to be changed between a checkpoint and the run that resumes it.
    case result
    /// Which images, how many steps, what is measured: runs that differ here are different experiments.
    case experiment
    /// How fast and how safely a run gets there: two runs that differ here alone are the same experiment.
    case machine
}

/// One row of a section's table, without the section's Swift type.
public struct RecipeRow: Sendable {
    /// The last part of the key, for example `globalBatch`.
    public let name: String
    /// Type and allowed values.
    public let rule: RecipeRule
    /// What the field means, in one line without a full stop.
    public let doc: String
    /// What the field decides.
    public let effect: RecipeEffect

    /// Creates a row.
    public init(name: String, rule: RecipeRule, doc: String, effect: RecipeEffect) {
        (self.name, self.rule, self.doc, self.effect) = (name, rule, doc, effect)
    }
}

/// A setting that breaks a rule which concerns more than its own value.
public struct SettingFault: Sendable, Equatable {
    /// The setting, as recipes name it below its section.
    public let key: String
    /// The rule it breaks and what to do.
    public let rule: String

    /// Describes a fault.
    public init(key: String, rule: String) { (self.key, self.rule) = (key, rule) }
}

/// What resolving and printing see of a section: rows, and a value in each.
public protocol RecipeRows: Sendable {
    /// The rows, in the order of the reference; they may depend on what was chosen (as the method's do).
    var rows: [RecipeRow] { get }
    /// Where the rows depend on a choice: the name of the row that makes it.
    var selector: String? { get }
    /// The value of a row.
    func value(row: Int) -> RecipeValue
    /// Sets a row to a value that its rule has read.
    mutating func set(row: Int, to value: RecipeValue)
    /// Rules between the settings of this section that are broken.
    var faults: [SettingFault] { get }
}

/// A settings type whose fields are recipe keys: its table, which stands beside it in the same file, is the one place where
/// a key's name, rule, meaning and effect are stated; its default is the property's initial value.
///
/// Adding a key is adding a property and its row.
public protocol RecipeSection: RecipeRows, Equatable {
    /// The table.
    static var fields: [RecipeField<Self>] { get }
    /// All defaults.
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
    /// None.
    public static let fields: [RecipeField<NoSettings>] = []
    /// Nothing to set.
    public init() {}
}
