public import AdaptationMethods
public import Recipes

/// The training loop.
public struct TrainingSettings: RecipeSection {
    public var globalBatch = 4
    public var domains = DomainOrder.joint
    public var order = ""
    public var epochs = 1
    public var steps = 0
    public var seed = 1337
    public var startFrom = ""
    public var logEvery = 1
    public var evaluateEvery = 0
    public var nonFinite = NonFiniteRule.stop
    public var maximumSkips = 10

    /// One pass over the images.
    public init() {}

    /// How a run treats a loss or gradient that is not finite.
    public enum NonFiniteRule: String, CaseIterable, Sendable {
        case stop, skip
    }

    public static let fields: [RecipeField<TrainingSettings>] = [
        .integer(
            "globalBatch", \.globalBatch, 1...65_536,
            "Images per step over all ranks; the result is independent of the number of ranks"),
        .choice(
            "domains", \.domains, "Domains of several sources: all in one stage, or one stage per domain in their order"
        ),
        .text(
            "order", \.order,
            "Names of all domains in the order of their stages, separated by commas; empty: the order of their sources"),
        .integer("epochs", \.epochs, 1...1_000_000, effect: .experiment, "Passes over the images of each stage"),
        .integer(
            "steps", \.steps, 0...1_000_000_000, effect: .experiment,
            "Steps of each stage; 0 uses the number of epochs"),
        .integer("seed", \.seed, 0...Int.max, "Seed of all randomness in the run"),
        .text(
            "startFrom", \.startFrom, effect: .machine,
            "File of the values that training begins with: an adapter of the same method, or HQ-SAM's weights for hq-sam; "
                + "empty begins anew"),
        .integer("logEvery", \.logEvery, 1...1_000_000, effect: .machine, "Steps per log line"),
        .integer(
            "evaluateEvery", \.evaluateEvery, 0...1_000_000_000, effect: .machine,
            "Steps between evaluations; 0 evaluates only at the end of each stage"),
        .choice(
            "nonFinite", \.nonFinite, effect: .experiment, "How to treat a loss or gradient that is not finite"),
        .integer(
            "maximumSkips", \.maximumSkips, 0...1_000_000, effect: .experiment,
            "Consecutive steps that may be skipped before the run stops"),
    ]

    /// The names in `order`.
    public var orderedDomains: [String] {
        order.split(separator: ",", omittingEmptySubsequences: false).map { name in
            String(name.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
        }
    }

    /// The seed in the form of the generators.
    public var generatorSeed: UInt64 { UInt64(bitPattern: Int64(seed)) }
}
