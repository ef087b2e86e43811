public import Recipes

/// What a stage of a run begins with.
public enum StageStart: String, Sendable {
    /// The parameters, the optimiser and the schedule of the stage before.
    case everything
    /// The parameters of the stage before, a new optimiser and schedule.
    case parameters
    /// Nothing: the initial parameters, a new optimiser and schedule.
    case nothing
}

/// A way to go through domains one after another: what a stage inherits from those before it.
public struct ContinualStrategy: Sendable, Equatable {
    /// The name, as in `continual.strategy`.
    public let name: String
    /// What a stage begins with.
    public let stageStart: StageStart
    /// Whether a stage's parameters are of use for earlier domains, which are then scored with them.
    public let servesEarlierDomains: Bool
    /// Whether memory images of earlier domains are trained on with those of a stage's own.
    public let replaysMemory: Bool
    /// What it does, in one sentence.
    public let meaning: String

    /// The strategies Kedge provides: one line each.
    public static let known = [
        ContinualStrategy(
            name: "none", stageStart: .everything, servesEarlierDomains: true, replaysMemory: false,
            meaning: "one run whose optimiser and schedule continue from domain to domain"),
        ContinualStrategy(
            name: "naive", stageStart: .parameters, servesEarlierDomains: true, replaysMemory: false,
            meaning: "each domain continues from the last, with a new optimiser, and nothing protects the earlier ones"),
        ContinualStrategy(
            name: "replay", stageStart: .parameters, servesEarlierDomains: true, replaysMemory: true,
            meaning: "as naive, and memory images of earlier domains are trained on with a stage's own (ER)"),
        ContinualStrategy(
            name: "separate", stageStart: .nothing, servesEarlierDomains: false, replaysMemory: false,
            meaning: "each domain begins anew and is scored with its own adapter alone"),
    ]

    /// One run without a strategy.
    public static let none = known[0]
}

extension ContinualStrategy: RawRepresentable {
    /// The strategy of a name; nil for an unknown one.
    public init?(rawValue name: String) {
        guard let strategy = Self.known.first(where: { $0.name == name }) else { return nil }
        self = strategy
    }

    /// The name.
    public var rawValue: String { name }
}

/// Continual adaptation: what a run over domains in stages keeps of the earlier ones.
public struct ContinualSettings: RecipeSection {
    public var strategy = ContinualStrategy.none
    public var memory = 10

    /// One run without a strategy.
    public init() {}

    public static let fields: [RecipeField<ContinualSettings>] = [
        .parsed(
            "strategy", \.strategy, rule: .choice(ContinualStrategy.known.map(\.name)),
            "How a stage treats earlier ones: "
                + ContinualStrategy.known.map { "\($0.name): \($0.meaning)" }.joined(separator: "; ")),
        .integer(
            "memory", \.memory, 1...1_000_000,
            "Training images of each domain that later stages may use: the data set's own list, else a seeded choice"),
    ]
}
