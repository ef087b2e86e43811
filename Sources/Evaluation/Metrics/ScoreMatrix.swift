// Scores of a run over N domains one after another, with a[t][i] the score on domain i after stage t:
//   Last = mean over i of a[N-1][i]
//   Avg  = mean over t of (mean over i <= t of a[t][i])
//   FF   = mean over i < N-1 of (a[i][i] - a[N-1][i]), or with max over t in i ... N-2 of a[t][i] instead of a[i][i]
// A stage may add several domains, as joint training does with all of them: "i <= t" then reads "learned by stage t", and
// a[i][i] is the score after the stage that added i. Domains that are only evaluated are kept apart (Natural).

/// The scores of a continual run by stage and domain, and what they are summarised to.
///
/// Without stages it is the table before the first one. A summary that needs a missing score is nil, never a mean of the rest.
public struct ScoreMatrix: Sendable, Equatable {
    /// The domains in the order of training.
    public let domains: [String]
    /// The number of domains learned by the end of each stage, ascending; the last is the number of domains.
    public let learned: [Int]
    /// The scores, nil where there is none yet or the domain is still to come. // [stages][domains]
    public private(set) var rows: [[Double?]] = []
    /// The scores on images of no trained domain, by stage; nil where they were not measured.
    public private(set) var natural: [Double?] = []

    /// Creates a table without rows.
    ///
    /// - Parameter learned: By default one domain a stage.
    public init(domains: [String], learned: [Int]? = nil) {
        self.domains = domains
        self.learned = learned ?? Array(1..<domains.count + 1)
        precondition(Self.problem(domains: domains, learned: self.learned) == nil, "stages that do not fit the domains")
    }

    private static func problem(domains: [String], learned: [Int]) -> String? {
        if domains.isEmpty { return "no domain" }
        if Set(domains).count != domains.count { return "two domains of one name" }
        let ascends = zip([0] + learned, learned).allSatisfy { $0 < $1 }
        return ascends && learned.last == domains.count ? nil : "learned does not ascend to the number of domains"
    }

    /// The number of stages that have scores.
    public var stages: Int { rows.count }

    /// Whether every stage has scores.
    public var isComplete: Bool { rows.count == learned.count }

    /// Adds the scores after the next stage; those of domains that are still to come, and numbers that are not finite, are
    /// dropped.
    ///
    /// - Parameters:
    ///   - scores: One for each domain that has been learned, in order; more are allowed.
    ///   - natural: The score on images of no trained domain.
    public mutating func append(_ scores: [Double?], natural: Double? = nil) {
        precondition(!isComplete, "more rows than stages")
        let known = learned[rows.count]
        precondition(scores.count >= known, "\(scores.count) scores after a stage with \(known) domains")
        rows.append(domains.indices.map { $0 < known ? Self.finite(scores[$0]) : nil })
        self.natural.append(Self.finite(natural))
    }

    private static func finite(_ score: Double?) -> Double? { score.flatMap { $0.isFinite ? $0 : nil } }

    /// The score on a domain after a stage; nil if there is none.
    public subscript(stage: Int, domain: Int) -> Double? { stage < rows.count ? rows[stage][domain] : nil }

    /// The stage that adds a domain.
    public func stage(adding domain: Int) -> Int { learned.firstIndex { $0 > domain } ?? learned.count - 1 }

    // MARK: Summaries

    /// The mean over the domains learned so far, after the last stage that has scores.
    public var last: Double? { rows.indices.last.flatMap(mean(ofStage:)) }

    /// The mean over the domains learned by a stage, after that stage.
    public func mean(ofStage stage: Int) -> Double? {
        Self.mean((0..<learned[stage]).map { self[stage, $0] })
    }

    /// The mean over stages of the mean over the domains learned by then.
    public var average: Double? { Self.mean(rows.indices.map(mean(ofStage:))) }

    /// How much each domain of an earlier stage has lost since the stage that added it; nil if there is none.
    public var forgettingFromDiagonal: Double? {
        forgetting { domain, _ in self[stage(adding: domain), domain] }
    }

    /// How much each domain of an earlier stage has lost against its best score before the last stage; nil if there is none.
    public var forgettingFromMaximum: Double? {
        forgetting { domain, final in
            let scores = (stage(adding: domain)..<final).map { self[$0, domain] }
            return scores.contains(nil) ? nil : scores.compactMap { $0 }.max()
        }
    }

    /// The score on images of no trained domain after the last stage that has scores.
    public var lastNatural: Double? { natural.last ?? nil }

    private func forgetting(from reference: (_ domain: Int, _ final: Int) -> Double?) -> Double? {
        guard let final = rows.indices.last, final > 0 else { return nil }
        return Self.mean(
            (0..<learned[final - 1]).map { domain in
                guard let before = reference(domain, final), let after = self[final, domain] else { return nil }
                return before - after
            })
    }

    /// The mean of scores; nil without any, or if one is missing.
    private static func mean(_ scores: [Double?]) -> Double? {
        let present = scores.compactMap { $0 }
        guard !present.isEmpty, present.count == scores.count else { return nil }
        return present.reduce(0, +) / Double(present.count)
    }
}

extension ScoreMatrix: Codable {
    private enum Key: String, CodingKey {
        case domains, learned, rows, natural
        case last, average, forgettingFromDiagonal, forgettingFromMaximum, lastNatural
    }

    /// Reads what `encode(to:)` writes. The summaries are computed, not read.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        let domains = try container.decode([String].self, forKey: .domains)
        let learned = try container.decode([Int].self, forKey: .learned)
        let rows = try container.decode([[Double?]].self, forKey: .rows)
        let natural = try container.decode([Double?].self, forKey: .natural)
        var problem = Self.problem(domains: domains, learned: learned)
        if rows.count > learned.count || natural.count != rows.count { problem = problem ?? "rows that fit no stage" }
        if !rows.allSatisfy({ $0.count == domains.count }) { problem = problem ?? "rows that do not fit the domains" }
        if let problem {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: problem))
        }
        self.init(domains: domains, learned: learned)
        for (row, score) in zip(rows, natural) { append(row, natural: score) }
    }

    /// Writes the table, and the summaries for readers that only want these.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(domains, forKey: .domains)
        try container.encode(learned, forKey: .learned)
        try container.encode(rows, forKey: .rows)
        try container.encode(natural, forKey: .natural)
        try container.encode(last, forKey: .last)
        try container.encode(average, forKey: .average)
        try container.encode(forgettingFromDiagonal, forKey: .forgettingFromDiagonal)
        try container.encode(forgettingFromMaximum, forKey: .forgettingFromMaximum)
        try container.encode(lastNatural, forKey: .lastNatural)
    }
}
