/// How a run over several domains goes through them.
public enum DomainOrder: String, CaseIterable, Sendable {
    /// One stage over the images of all domains.
    case joint
    /// One stage per domain, in the order of the recipe: the plain form of continual learning.
    case sequential
}

/// A part of a run: the domains it trains on, and what is evaluated when it ends.
public struct Stage: Sendable, Equatable {
    /// The name, for logs, scores and checkpoints.
    public let name: String
    /// The domains whose images it trains on, in the order of the recipe.
    public let domains: [String]
    /// The domains that are evaluated at its end.
    public let evaluated: [String]

    /// Describes a stage.
    public init(_ name: String, domains: [String], evaluated: [String]) {
        (self.name, self.domains, self.evaluated) = (name, domains, evaluated)
    }

    /// The stages of a method that treats all domains alike: one over all of them, or one after another, with all domains
    /// evaluated after each.
    public static func plain(over domains: [String], order: DomainOrder) -> [Stage] {
        switch order {
        case .joint: [Stage("adapt", domains: domains, evaluated: domains)]
        case .sequential: domains.map { Stage($0, domains: [$0], evaluated: domains) }
        }
    }
}
