public import Recipes
public import Routing

/// Continual adaptation: what a run over domains in stages keeps of the earlier ones.
public struct ContinualSettings: RecipeSection {
    public var strategy = ContinualStrategy.none
    public var memory = 10
    public var query = RouterQueryChoice.auto
    public var trainTokens = false
    public var rejectBeyond: Double = RejectionRule.standardDeviations
    public var distillationWeight = 3.0
    public var elasticWeight = 10.0
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
        .flag(
            "trainTokens", \.trainTokens,
            "Train the tokens of a router with query=tokens through the frozen encoder at the end of each stage, as the paper "
                + "of MoDA reads; its released code leaves them as drawn"),
        .number(
            "rejectBeyond", \.rejectBeyond, 0...100,
            "Deviations beyond the memory images at which an image goes to the model without an adapter; 0: never"),
        .number(
            "distillationWeight", \.distillationWeight, 0...1000,
            "Weight of the losses against the masks of the stage before, with strategy=lwf"),
        .number(
            "elasticWeight", \.elasticWeight, 0...1_000_000,
            "Weight of the squared distance from the parameters of the stage before, with strategy=ewc"),
        .text(
            "pool", \.pool, effect: .experiment,
            "Folder of a finished pool to which a run with moda adds its domains; the folder stays as it is; empty: none"
        ),
    ]

    public var faults: [SettingFault] {
        var faults: [SettingFault] = []
        if !pool.isEmpty, !strategy.keepsPool {
            faults.append(
                SettingFault(key: "strategy", rule: "must be moda with continual.pool, to which it adds its domains"))
        }
        if trainTokens, query.query != .tokens || !strategy.keepsPool || !pool.isEmpty {
            faults.append(
                SettingFault(
                    key: "trainTokens",
                    rule: "needs strategy=moda, query=tokens and no continual.pool: pools do not contain images"))
        }
        return faults
    }

    /// What holds a stage near the one before, with its weight; nil if nothing does.
    public var protection: (kind: StageProtection, weight: Double)? {
        switch strategy.protection {
        case .none: nil
        case .distillation: (.distillation, distillationWeight)
        case .elasticWeights: (.elasticWeights, elasticWeight)
        }
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
