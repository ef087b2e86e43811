/// The measurement of one case over all its runs.
public struct ScalingPoint: Codable, Sendable, Equatable {
    /// The case.
    public var work: ScalingPlan.Case
    /// Number of hosts.
    public var nodes: Int
    /// Median seconds of a step.
    public var secondsPerStep: Double
    /// Slowest minus fastest run (each the median of its steps) over `secondsPerStep`; 0 for one run.
    public var spread: Double
    /// Median share of a step spent communicating, 0 to 1.
    public var communication: Double
    /// Median share of a step spent waiting for slower ranks, 0 to 1; nil if the log lacks it.
    public var peerWait: Double?
    /// Largest resident set of a rank in bytes, counting shared pages in every rank.
    public var peakBytesPerRank: Int
    /// Largest sum of proportional set sizes of one node's ranks on this machine, in bytes; nil if none was observed.
    public var bytesPerNode: Int?
    /// Maximum speed relative to separate cores: cores / (ranks x threads) of the fullest machine, at most 1.
    public var coreBound: Double

    /// Images per second.
    public var imagesPerSecond: Double { Double(work.globalBatch) / secondsPerStep }

    /// Combines the logs of a case, excluding warm-up steps.
    ///
    /// - Parameters:
    ///   - logs: One or more logs of equal length.
    ///   - bytesPerNode: The observation of each run.
    init(_ work: ScalingPlan.Case, logs: [AdaptationLog], warmUp: Int, bytesPerNode: [Int?], coreBound: Double) {
        let runs = logs.map { $0.steps.dropFirst(warmUp) }
        let steps = runs.flatMap { $0 }
        let medians = runs.map { median($0.map(\.seconds)) }
        self.work = work
        nodes = logs.map(\.hosts).max() ?? 1
        secondsPerStep = median(steps.map(\.seconds))
        spread = ((medians.max() ?? 0) - (medians.min() ?? 0)) / secondsPerStep
        communication = median(steps.map(\.communication))
        let waits = steps.compactMap(\.peerWait)
        peerWait = waits.isEmpty ? nil : median(waits)
        peakBytesPerRank = logs.flatMap(\.steps).map(\.peakBytes).max() ?? 0
        self.bytesPerNode = bytesPerNode.compactMap(\.self).max()
        self.coreBound = coreBound
    }

    /// Creates a point from its numbers, without a spread.
    public init(
        work: ScalingPlan.Case, nodes: Int, secondsPerStep: Double, communication: Double, peerWait: Double?,
        peakBytesPerRank: Int, bytesPerNode: Int?, coreBound: Double
    ) {
        (self.work, self.nodes, self.secondsPerStep, spread) = (work, nodes, secondsPerStep, 0)
        (self.communication, self.peerWait, self.coreBound) = (communication, peerWait, coreBound)
        (self.peakBytesPerRank, self.bytesPerNode) = (peakBytesPerRank, bytesPerNode)
    }
}

/// A measured point relative to the smallest rank count of its mode.
public struct ScalingRow: Codable, Sendable, Equatable {
    /// Weak or strong.
    public var mode: ScalingPlan.Mode
    /// The measurement.
    public var point: ScalingPoint
    /// Images per second relative to the smallest rank count.
    public var rateRatio: Double
    /// Rate ratio over rank ratio: weak rate(N) / (N rate(1)), strong t(1) / (N t(N)).
    public var efficiency: Double
    /// Maximum efficiency here: limited by shared cores, and by images that cannot be split among ranks.
    public var bound: Double
    /// Efficiency over its bound.
    public var efficiencyOfBound: Double { efficiency / bound }

    private enum CodingKeys: String, CodingKey { case mode, point, rateRatio, efficiency, bound }

    /// The rows of one mode, ascending in ranks; `points` may contain those of both.
    public static func rows(_ mode: ScalingPlan.Mode, plan: ScalingPlan, points: [ScalingPoint]) -> [ScalingRow] {
        let own = plan.ranks.compactMap { count in
            plan.case(ranks: count, mode).flatMap { work in points.first { $0.work == work } }
        }
        guard let first = own.first else { return [] }
        return own.map { point in
            let ratio = point.imagesPerSecond / first.imagesPerSecond
            return ScalingRow(
                mode: mode, point: point, rateRatio: ratio,
                efficiency: ratio * Double(first.work.ranks) / Double(point.work.ranks),
                bound: point.coreBound * evenness(point.work) / (first.coreBound * evenness(first.work)))
        }
    }

    /// Images of a step over the images if every rank had as many as the busiest.
    private static func evenness(_ work: ScalingPlan.Case) -> Double {
        Double(work.globalBatch) / Double(work.ranks * work.imagesOfBusiestRank)
    }
}
