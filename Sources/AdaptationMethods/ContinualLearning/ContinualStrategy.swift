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
    /// What holds a later stage near the parameters it began with.
    public let protection: StageProtection
    /// What it does, in one sentence.
    public let meaning: String

    /// The strategies Kedge provides: one line each.
    public static let known = [
        ContinualStrategy(
            "none", .everything,
            "one run whose optimiser and schedule continue from domain to domain"),
        ContinualStrategy(
            "naive", .parameters,
            "each domain continues from the last, with a new optimiser, and nothing protects the earlier ones"),
        ContinualStrategy(
            "replay", .parameters, replaysMemory: true,
            "as naive, and memory images of earlier domains are trained on with a stage's own (ER)"),
        ContinualStrategy(
            "lwf", .parameters, protection: .distillation,
            "as naive, and masks are kept near those of the stage before (learning without forgetting)"),
        ContinualStrategy(
            "ewc", .parameters, protection: .elasticWeights,
            "as naive, and parameters that mattered to the stage before are held (elastic weight consolidation)"),
        ContinualStrategy(
            "separate", .nothing, servesEarlierDomains: false,
            "each domain begins anew and is scored with its own adapter alone"),
        ContinualStrategy(
            "moda", .nothing, keepsPool: true,
            "each domain begins anew, and a router chooses among the adapters of all for each image"),
    ]

    /// Vectors of the parameters' length that a run keeps beside the present ones: initial values, what holds a stage, and
    /// the adapters of a pool.
    ///
    /// - Parameter domains: Domains of the run and of a pool that it continues.
    public func keptVectors(domains: Int) -> Int {
        (stageStart == .nothing ? 1 : 0) + (protection == .none ? 0 : protection == .distillation ? 1 : 2)
            + (keepsPool ? domains : 0)
    }

    private init(
        _ name: String, _ stageStart: StageStart, servesEarlierDomains: Bool = true, replaysMemory: Bool = false,
        keepsPool: Bool = false, protection: StageProtection = .none, _ meaning: String
    ) {
        (self.name, self.stageStart, self.servesEarlierDomains) = (name, stageStart, servesEarlierDomains)
        (self.replaysMemory, self.keepsPool, self.protection) = (replaysMemory, keepsPool, protection)
        self.meaning = meaning
    }

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
