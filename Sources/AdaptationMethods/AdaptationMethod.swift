public import Adapters
public import SegmentAnything

/// A way to adapt a model to unlabelled or weakly labelled images: losses and gradients of one image at a time.
///
/// A method owns its settings and declares what it trains and what it needs of an example. It never sees ranks,
/// optimisers or files: its result depends on the example, the parameters and its settings alone.
public protocol AdaptationMethod: Sendable {
    /// Names of the loss parts, in the order of `StepLosses.parts`.
    var lossNames: [String] { get }
    /// The adapters and parameters that train.
    var trainables: TrainablePlan { get }
    /// The parts of an example it needs beside the weak view and the prompts.
    var needs: ExampleNeeds { get }
    /// Settings that are inconsistent; empty if they are valid.
    var settingFaults: [SettingFault] { get }

    /// The stages of a run of `totalSteps` steps, in order; none for a method that only evaluates the model.
    func stages(totalSteps: Int) -> [Stage]

    /// Rejects settings that do not fit a model. Throws `AdaptationMethodError` of kind `settings`.
    func check(for model: ModelDescription) throws(AdaptationMethodError)

    /// Computes the losses of one image and adds their gradient to the context's.
    ///
    /// Throws `SegmentAnythingError` for prompts the model cannot process, and `AdaptationMethodError`.
    func step(_ example: AdaptationExample, in context: inout StepContext) throws -> StepLosses
}

extension AdaptationMethod {
    public var trainables: TrainablePlan { .lowRankPairs }
    public var needs: ExampleNeeds { ExampleNeeds() }
    public var settingFaults: [SettingFault] { [] }
    public func stages(totalSteps: Int) -> [Stage] { [Stage("adapt", steps: totalSteps)] }
    public func check(for model: ModelDescription) throws(AdaptationMethodError) {}

    /// Whether a run of the method has steps.
    public var trains: Bool { !stages(totalSteps: 1).isEmpty }
}

/// The parts of an example a method needs beside the weak view and the prompts.
public struct ExampleNeeds: Sendable, Equatable {
    /// The frozen model's features of the weak view, which a node may cache from epoch to epoch.
    public var anchor = false
    /// True masks of the prompted objects.
    public var masks = false

    /// Creates needs; by default none.
    public init(anchor: Bool = false, masks: Bool = false) { (self.anchor, self.masks) = (anchor, masks) }
}

/// A part of a run with its own steps.
public struct Stage: Sendable, Equatable {
    /// The name, for logs.
    public let name: String
    /// Its number of steps.
    public let steps: Int

    /// Creates a stage.
    public init(_ name: String, steps: Int) { (self.name, self.steps) = (name, steps) }
}

/// A setting of a method that is inconsistent with the others.
public struct SettingFault: Sendable, Equatable {
    /// The setting's key below `method` in recipes.
    public let key: String
    /// The rule it breaks.
    public let rule: String

    /// Creates a fault.
    public init(key: String, rule: String) { (self.key, self.rule) = (key, rule) }
}
