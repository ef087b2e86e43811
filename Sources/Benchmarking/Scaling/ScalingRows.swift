/// What was measured of one case over all its runs.
public struct ScalingPoint: Codable, Sendable, Equatable {
    /// The case.
    public var work: ScalingPlan.Case
    /// Hosts the ranks ran on.
    public var nodes: Int
    /// Median seconds of a step.
    public var secondsPerStep: Double
    /// Slowest less fastest run (each the median of its steps) over `secondsPerStep`; 0 for one run.
    public var spread: Double
    /// Median share of a step spent exchanging, 0 to 1.
    public var communication: Double
    /// Median share of a step spent waiting for slower ranks, 0 to 1; nil if the log does not tell.
    public var peerWait: Double?
    /// Largest resident set of a rank, bytes; pages that ranks share count in each.
    public var peakBytesPerRank: Int
    /// Largest sum of proportional set sizes of the ranks of one node of this machine, bytes; nil where none was seen.
    public var bytesPerNode: Int?
    /// The most that sharing cores leaves of full speed: cores / (ranks x threads) of the fullest machine, at most 1.
    public var coreBound: Double

    /// Images per second.
    public var imagesPerSecond: Double { Double(work.globalBatch) / secondsPerStep }

    /// Puts together what the runs of a case say, steps of warm-up left out.
    ///
    /// - Parameters:
    ///   - logs: One or more logs of equal length.
    ///   - bytesPerNode: What was seen during each run.
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

/// A measured point beside the smallest number of ranks of its mode.
public struct ScalingRow: Codable, Sendable, Equatable {
    /// Weak or strong.
    public var mode: ScalingPlan.Mode
    /// What was measured.
    public var point: ScalingPoint
    /// Images per second over those of the smallest number of ranks.
    public var rateRatio: Double
    /// Rate ratio over rank ratio: weak rate(N) / (N rate(1)), strong t(1) / (N t(N)).
    public var efficiency: Double
    /// The most that efficiency can be here: by shared cores, and by images that cannot be cut among ranks.
    public var bound: Double
    /// Efficiency over its bound.
    public var efficiencyOfBound: Double { efficiency / bound }

    private enum CodingKeys: String, CodingKey { case mode, point, rateRatio, efficiency, bound }

    /// The rows of one mode, ascending in ranks; `points` may hold those of both.
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

    /// Images of a step over those it would have if every rank had as many as the busiest.
    private static func evenness(_ work: ScalingPlan.Case) -> Double {
        Double(work.globalBatch) / Double(work.ranks * work.imagesOfBusiestRank)
    }
}
