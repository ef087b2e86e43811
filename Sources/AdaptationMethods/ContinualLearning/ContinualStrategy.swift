public import Recipes
public import Routing

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
    /// Whether the parameters of each stage join a pool, from which a router chooses for each image.
    public let keepsPool: Bool
    /// What it does, in one sentence.
    public let meaning: String

    /// The strategies Kedge provides: one line each.
    public static let known = [
        ContinualStrategy(
            name: "none", stageStart: .everything, servesEarlierDomains: true, replaysMemory: false, keepsPool: false,
            meaning: "one run whose optimiser and schedule continue from domain to domain"),
        ContinualStrategy(
            name: "naive", stageStart: .parameters, servesEarlierDomains: true, replaysMemory: false, keepsPool: false,
            meaning: "each domain continues from the last, with a new optimiser, and nothing protects the earlier ones"),
        ContinualStrategy(
            name: "replay", stageStart: .parameters, servesEarlierDomains: true, replaysMemory: true, keepsPool: false,
            meaning: "as naive, and memory images of earlier domains are trained on with a stage's own (ER)"),
        ContinualStrategy(
            name: "separate", stageStart: .nothing, servesEarlierDomains: false, replaysMemory: false, keepsPool: false,
            meaning: "each domain begins anew and is scored with its own adapter alone"),
        ContinualStrategy(
            name: "moda", stageStart: .nothing, servesEarlierDomains: true, replaysMemory: false, keepsPool: true,
            meaning: "each domain begins anew, and a router chooses among the adapters of all for each image"),
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
    public var query = RouterQueryChoice.auto
    public var rejectBeyond: Double = RejectionRule.standardDeviations
    public var pool = ""

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
        .parsed(
            "query", \.query, rule: .choice(RouterQueryChoice.allCases.map(\.rawValue)),
            "What a router of moda reads of an image: auto: tokens for a plain ViT, else statistics of early and last features"
        ),
        .number(
            "rejectBeyond", \.rejectBeyond, 0...100,
            "Deviations beyond the memory images at which an image goes to the model without an adapter; 0: never"),
        .text(
            "pool", \.pool, effect: .experiment,
            "Folder of a finished pool to which a run with moda adds its domains; the folder stays as it is; empty: none"
        ),
    ]

    public var faults: [SettingFault] {
        guard !pool.isEmpty, !strategy.keepsPool else { return [] }
        return [SettingFault(key: "strategy", rule: "must be moda with continual.pool, to which it adds its domains")]
    }
}

/// The query of a router, or that of the model's kind of encoder.
public enum RouterQueryChoice: Equatable, Sendable, CaseIterable, RawRepresentable {
    /// That of the model's kind of encoder.
    case auto
    /// A given one.
    case query(RouterQuery)

    /// `auto` and every query.
    public static var allCases: [RouterQueryChoice] { [.auto] + RouterQuery.allCases.map { .query($0) } }

    /// Reads `auto` or the name of a query; nil for other text.
    public init?(rawValue text: String) {
        guard text != "auto" else {
            self = .auto
            return
        }
        guard let query = RouterQuery(rawValue: text) else { return nil }
        self = .query(query)
    }

    /// The text of the recipe.
    public var rawValue: String { query?.rawValue ?? "auto" }

    /// The query; nil for that of the model.
    public var query: RouterQuery? {
        guard case .query(let query) = self else { return nil }
        return query
    }
}
