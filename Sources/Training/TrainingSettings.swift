public import AdaptationMethods
public import Recipes

/// The loop over steps.
public struct TrainingSettings: RecipeSection {
    public var globalBatch = 4
    public var domains = DomainOrder.joint
    public var epochs = 1
    public var steps = 0
    public var seed = 1337
    public var logEvery = 1
    public var evaluateEvery = 0
    public var nonFinite = NonFiniteRule.stop
    public var maximumSkips = 10

    /// One pass over the images.
    public init() {}

    /// What a run does about a loss or gradient that is not finite.
    public enum NonFiniteRule: String, CaseIterable, Sendable {
        case stop, skip
    }

    public static let fields: [RecipeField<TrainingSettings>] = [
        .integer(
            "globalBatch", \.globalBatch, 1...65_536,
            "Images per step over all ranks; the result does not depend on how many ranks share them"),
        .choice(
            "domains", \.domains, "Domains of several sources: all in one stage, or one stage per domain in their order"
        ),
        .integer("epochs", \.epochs, 1...1_000_000, effect: .experiment, "Passes over the images of each stage"),
        .integer(
            "steps", \.steps, 0...1_000_000_000, effect: .experiment,
            "Steps of each stage; 0 is as many as the epochs take"),
        .integer("seed", \.seed, 0...Int.max, "Seed of everything random in the run"),
        .integer("logEvery", \.logEvery, 1...1_000_000, effect: .machine, "Steps per log line"),
        .integer(
            "evaluateEvery", \.evaluateEvery, 0...1_000_000_000, effect: .machine,
            "Steps between evaluations; 0 evaluates only at the end of each stage"),
        .choice(
            "nonFinite", \.nonFinite, effect: .experiment, "What to do with a loss or gradient that is not finite"),
        .integer(
            "maximumSkips", \.maximumSkips, 0...1_000_000, effect: .experiment,
            "Steps that may be skipped in a row before the run stops"),
    ]

    /// The seed as generators take it.
    public var generatorSeed: UInt64 { UInt64(bitPattern: Int64(seed)) }
}
