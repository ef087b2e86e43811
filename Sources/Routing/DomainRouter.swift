import Foundation
public import Kernels
public import Layers
public import SegmentAnything

/// Where a router sends an image.
public struct RoutingDecision: Sendable, Equatable {
    /// The chosen domain, by its position in the training sequence; nil for the model without an adapter.
    public let domain: Int?
    /// The domain of the highest score, whether or not the image was rejected.
    public let best: Int
    /// The domain of the second highest score; nil for a router of a single domain.
    public let runnerUp: Int?
    /// The probability of each domain by the head's softmax. // [T]
    public let scores: [Double]
    /// How far the query is from what the router knows; the rule of rejection compares it with its threshold. Nil
    /// without a rule.
    public let strangeness: Double?

    /// The probability of the domain of the highest score.
    public var score: Double { scores[best] }
}

/// A trained router: it sends an image to the adapter of the domain it recognises, or to the model without an adapter.
///
///   z = standardised f or f,   domain = argmax (W z + b), the smaller of equal ones,   nil if the rule rejects z
///
/// Mixture of Domain Adapters (Yang et al. 2024, arXiv 2412.06418): a hard choice of one adapter.
public struct DomainRouter: Sendable {
    /// The vector it reads.
    public let query: RouterQuery
    /// The tokens that give the query `tokens`; nil for any other.
    public let tokens: RouterTokens?
    /// The scale of the queries; nil for queries as they are.
    public let standardisation: FeatureStandardisation?
    /// The classifier.
    public let head: RouterHead
    /// When an image goes to the model without an adapter; nil for never.
    public let rejection: RejectionRule?
    /// The names of the domains, in the training sequence.
    public let domains: [String]

    /// Joins the parts of a router.
    ///
    /// - Parameters:
    ///   - tokens: For the query `tokens` alone.
    ///   - domains: One name for each row of the head.
    public init(
        _ query: RouterQuery, tokens: RouterTokens?, standardisation: FeatureStandardisation?, head: RouterHead,
        rejection: RejectionRule?, domains: [String]
    ) {
        precondition(domains.count == head.domains, "\(domains.count) names for \(head.domains) domains")
        precondition((query == .tokens) == (tokens != nil), "tokens belong to the query \(RouterQuery.tokens.rawValue)")
        (self.query, self.tokens, self.standardisation) = (query, tokens, standardisation)
        (self.head, self.rejection, self.domains) = (head, rejection, domains)
    }

    /// Trains a router of a known query on the queries of memory images: scale, head and rule of rejection.
    ///
    /// Equal queries give equal bits on every rank.
    ///
    /// - Parameters:
    ///   - memory: The query of each memory image, and the position of its domain in the training sequence.
    ///   - domains: Names of the domains so far.
    ///   - training: The settings of the head, as from `RouterTraining.standard(for:seed:)`.
    ///   - deviations: How many deviations beyond the memory images an image is rejected, as in `RejectionRule`; nil for
    ///     no rule.
    ///
    /// Throws `RoutingError` of kind `memory` and `notFinite`.
    public init(
        _ query: RouterQuery, tokens: RouterTokens? = nil, trainedOn memory: RouterMemory, domains: [String],
        _ training: RouterTraining, rejectingBeyond deviations: Double?
    ) throws(RoutingError) {
        try RouterTraining.check(memory.features)
        let scale = query == .tokens ? nil : FeatureStandardisation(over: memory.features)
        let scaled = scale.map { memory.features.map($0.callAsFunction) } ?? memory.features
        let (head, _) = try training.trainHead(scaled, labels: memory.labels, domains: domains.count)
        self.init(
            query, tokens: tokens, standardisation: scale, head: head,
            rejection: try Self.rejection(beyond: deviations, of: memory, domains.count), domains: domains)
    }

    /// Joins tokens and a head that were trained together, and calibrates the rule of rejection.
    ///
    /// - Parameters:
    ///   - memory: The queries of the memory images under these tokens.
    ///   - deviations: As above.
    ///
    /// Throws `RoutingError` of kind `memory` and `notFinite`.
    public init(
        _ tokens: RouterTokens, _ head: RouterHead, calibratedOn memory: RouterMemory, domains: [String],
        rejectingBeyond deviations: Double?
    ) throws(RoutingError) {
        try RouterTraining.check(memory.features)
        self.init(
            .tokens, tokens: tokens, standardisation: nil, head: head,
            rejection: try Self.rejection(beyond: deviations, of: memory, domains.count), domains: domains)
    }

    private static func rejection(
        beyond deviations: Double?, of memory: RouterMemory, _ domains: Int
    ) throws(RoutingError) -> RejectionRule? {
        guard let deviations else { return nil }
        return try RejectionRule(calibratedOn: memory, domains: domains, deviations: deviations)
    }

    /// The number D of a query's values.
    public var width: Int { head.width }

    /// What the segmentation's pass of the base encoder must also give, beside what it gives anyway.
    public func request(
        beside other: EncoderRequest = EncoderRequest(), in configuration: SegmentAnythingConfiguration
    ) -> EncoderRequest {
        PooledFeatureQuery(query, in: configuration)?.request(beside: other) ?? other
    }

    /// The query of an image.
    ///
    /// - Parameters:
    ///   - stem: The image's stem, for a query in a pass of its own.
    ///   - features: The base encoder's features with what `request` asked for, for any other query.
    ///
    /// Throws `SegmentAnythingError` of kind `unsupported` for an encoder that cannot process additional tokens. // [D]
    public func feature(
        of stem: EncoderStem, _ features: @autoclosure () -> ImageFeatures, in model: SegmentAnythingModel,
        _ workspace: Workspace
    ) throws(SegmentAnythingError) -> [Float] {
        if let tokens { return try tokens.feature(of: stem, in: model.encoder, workspace) }
        guard let pooled = PooledFeatureQuery(query, in: model.configuration) else {
            preconditionFailure("a query \(query.rawValue) without tokens")
        }
        return pooled.feature(of: features())
    }

    /// Where an image goes, given its query. // [D]
    public func route(_ feature: [Float]) -> RoutingDecision {
        let logits = head.logits(standardisation?(feature) ?? feature)
        let best = RouterHead.best(logits)
        let others = logits.indices.filter { $0 != best }
        let strangeness = rejection.map { $0.strangeness(of: feature) }
        let isRejected = rejection.map { rule in strangeness.map(rule.rejects) ?? false } ?? false
        return RoutingDecision(
            domain: isRejected ? nil : best, best: best,
            runnerUp: others.min { logits[$0] != logits[$1] ? logits[$0] > logits[$1] : $0 < $1 },
            scores: RouterHead.softmax(logits), strangeness: strangeness)
    }

    /// A decision in words, as in `steel, score 0.9871; tiles 0.0102; distance 310.2 of at most 820.1`.
    public func line(of decision: RoutingDecision) -> String {
        func scored(_ domain: Int, _ word: String) -> String {
            domains[domain] + word + String(format: " %.4f", decision.scores[domain])
        }
        var parts = [scored(decision.best, decision.domain == nil ? "" : ", score")]
        if decision.domain == nil { parts.insert("no adapter (plain SAM)", at: 0) }
        if let runnerUp = decision.runnerUp { parts.append(scored(runnerUp, "")) }
        if let strangeness = decision.strangeness, let rejection {
            parts.append(String(format: "distance %.1f of at most %.1f", strangeness, Double(rejection.threshold)))
        }
        return parts.joined(separator: "; ")
    }
}

/// The memory images of all domains so far as a router sees them.
public struct RouterMemory: Sendable, Equatable {
    /// The query of each image. // n x [D]
    public let features: [[Float]]
    /// The position of each image's domain in the training sequence.
    public let labels: [Int]

    /// Joins queries and labels. // n x [D], [n]
    public init(features: [[Float]], labels: [Int]) {
        precondition(features.count == labels.count, "\(features.count) queries with \(labels.count) labels")
        (self.features, self.labels) = (features, labels)
    }
}
