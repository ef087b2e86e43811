public import Adapters
public import SegmentAnything

/// A way to adapt a model to unlabelled or weakly labelled images: losses and gradients of one image at a time.
///
/// A method owns its settings and says what trains and what it needs of an example. It never sees ranks, optimisers or
/// files: its result depends on the example, the parameters and its settings alone.
public protocol AdaptationMethod: Sendable {
    /// Names of the loss parts, in the order of `StepLosses.parts`.
    var lossNames: [String] { get }
    /// Which adapters and parameters train.
    var trainables: TrainablePlan { get }
    /// What it needs of an example beside the weak view and the prompts.
    var needs: ExampleNeeds { get }
    /// Settings that mean nothing together; empty for those that are in order.
    var settingFaults: [SettingFault] { get }

    /// The stages of a run of so many steps, in order; a method that only evaluates the model has none.
    func stages(totalSteps: Int) -> [Stage]

    /// Refuses settings that do not fit a model. Throws `AdaptationMethodError` of kind `settings`.
    func check(for model: ModelDescription) throws(AdaptationMethodError)

    /// The losses of one image; their gradient is added to the context's.
    ///
    /// Throws `SegmentAnythingError` for prompts the model cannot take and `AdaptationMethodError`.
    func step(_ example: AdaptationExample, in context: inout StepContext) throws -> StepLosses
}

extension AdaptationMethod {
    public var trainables: TrainablePlan { .lowRankPairs }
    public var needs: ExampleNeeds { ExampleNeeds() }
    public var settingFaults: [SettingFault] { [] }
    public func stages(totalSteps: Int) -> [Stage] { [Stage("adapt", steps: totalSteps)] }
    public func check(for model: ModelDescription) throws(AdaptationMethodError) {}

    /// Whether a run of it has steps.
    public var trains: Bool { !stages(totalSteps: 1).isEmpty }
}

/// What a method needs of an example beside the weak view and the prompts.
public struct ExampleNeeds: Sendable, Equatable {
    /// The frozen model's features of the weak view, which a node may keep from epoch to epoch.
    public var anchor = false
    /// True masks of the prompted objects.
    public var masks = false

    /// Nothing, unless said otherwise.
    public init(anchor: Bool = false, masks: Bool = false) { (self.anchor, self.masks) = (anchor, masks) }
}

/// A part of a run with its own steps.
public struct Stage: Sendable, Equatable {
    /// The name, for logs.
    public let name: String
    /// Its steps.
    public let steps: Int

    /// Names a stage.
    public init(_ name: String, steps: Int) { (self.name, self.steps) = (name, steps) }
}

/// A setting of a method that cannot be used together with the others.
public struct SettingFault: Sendable, Equatable {
    /// The setting, as recipes name it below `method`.
    public let key: String
    /// The rule it breaks.
    public let rule: String

    /// Describes a fault.
    public init(key: String, rule: String) { (self.key, self.rule) = (key, rule) }
}
