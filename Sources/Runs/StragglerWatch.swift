import Foundation
import Kernels
package import Machine

/// The work of one rank in an interval of steps.
package struct RankPace: Equatable, Sendable {
    /// Seconds spent computing.
    package var compute: Double
    /// Seconds spent waiting for samples.
    package var wait: Double
    /// Samples computed.
    package var samples: Int
    /// Instances in them.
    package var instances: Int
    /// Samples whose anchor embedding was stored.
    package var anchorsReused: Int
    /// Compute threads of the rank.
    package var threads: Int

    /// Creates a rank's record.
    package init(compute: Double, wait: Double, samples: Int, instances: Int, anchorsReused: Int, threads: Int) {
        (self.compute, self.wait, self.samples, self.instances) = (compute, wait, samples, instances)
        (self.anchorsReused, self.threads) = (anchorsReused, threads)
    }

    /// Seconds per sample, including waiting; nil without samples. Independent of the size of a rank's share.
    var secondsPerSample: Double? { samples > 0 ? (compute + wait) / Double(samples) : nil }
    /// Instances per sample.
    var instancesPerSample: Double { samples > 0 ? Double(instances) / Double(samples) : 0 }
    /// The share of samples whose anchor embedding was stored.
    var anchorShare: Double { samples > 0 ? Double(anchorsReused) / Double(samples) : 0 }
}

/// The location of a rank.
package struct RankPlace: Codable, Equatable, Sendable {
    /// Its host.
    package var host: String
    /// The cores it may use.
    package var affinity: CoreAffinity

    /// Creates a location.
    package init(host: String, affinity: CoreAffinity) { (self.host, self.affinity) = (host, affinity) }
}

/// Detects a rank that slows the others down; uses no clock, log or MPI.
package struct StragglerWatch: Sendable {
    /// Ratio of the largest to the median time per sample at which a rank counts as slow.
    package static let slowRatio = 1.5
    /// Consecutive intervals before a warning.
    package static let patience = 3
    /// Seconds by which a rank must be late in an interval; less is noise.
    package static let noise = 0.1

    /// The result of one interval.
    package struct Verdict: Equatable, Sendable {
        /// Largest over median time per sample; nil if fewer than two ranks had samples.
        package var ratio: Double?
        /// A warning, given once until the rank recovers.
        package var warning: String?

        /// Creates a verdict.
        package init(ratio: Double? = nil, warning: String? = nil) { (self.ratio, self.warning) = (ratio, warning) }
    }

    private let places: [RankPlace]
    private let nodeOfRank: [Int]
    private var slow: (rank: Int, intervals: Int)?

    /// Watches ranks at these locations.
    package init(places: [RankPlace], nodeOfRank: [Int]) { (self.places, self.nodeOfRank) = (places, nodeOfRank) }

    /// Evaluates an interval; `paces` is in rank order.
    package mutating func observe(_ paces: [RankPace]) -> Verdict {
        let times = paces.enumerated().compactMap { rank, pace in pace.secondsPerSample.map { (rank: rank, time: $0) } }
        guard times.count > 1, let worst = times.max(by: { ($0.time, $1.rank) < ($1.time, $0.rank) }) else {
            return Verdict()
        }
        let median = Self.median(times.map(\.time))
        guard median > 0 else { return Verdict() }
        let ratio = worst.time / median
        let delay = (worst.time - median) * Double(paces[worst.rank].samples)
        guard ratio > Self.slowRatio, delay >= Self.noise else {
            slow = nil
            return Verdict(ratio: ratio)
        }
        let intervals = (slow?.rank == worst.rank ? slow?.intervals ?? 0 : 0) + 1
        slow = (worst.rank, intervals)
        guard intervals == Self.patience else { return Verdict(ratio: ratio) }
        return Verdict(ratio: ratio, warning: warning(worst.rank, ratio, paces))
    }

    /// The median, the lower of two middle values, so that one of two ranks can be slow.
    private static func median(_ values: [Double]) -> Double { values.sorted()[(values.count - 1) / 2] }

    private func warning(_ rank: Int, _ ratio: Double, _ paces: [RankPace]) -> String {
        let causes = causes(rank, paces)
        return "rank \(rank) on \(places[rank].host) takes \(Self.figure(ratio, 1)) times as long per image as the "
            + "median rank, in \(Self.patience) intervals: "
            + (causes.isEmpty ? "throttled or shared with other programs" : causes.joined(separator: "; "))
    }

    /// Likely causes according to the numbers.
    private func causes(_ rank: Int, _ paces: [RankPace]) -> [String] {
        let (pace, working) = (paces[rank], paces.filter { $0.samples > 0 })
        func median(_ value: (RankPace) -> Double) -> Double { Self.median(working.map(value)) }
        var causes: [String] = []
        let instances = median(\.instancesPerSample)
        if pace.instancesPerSample > 1.25 * instances {
            causes.append(
                "\(Self.figure(pace.instancesPerSample, 1)) instances per image, the median is "
                    + Self.figure(instances, 1))
        }
        let share = pace.wait / (pace.compute + pace.wait)
        if share > 0.2, share > 2 * median({ $0.wait / max($0.compute + $0.wait, .leastNormalMagnitude) }) {
            causes.append("it waits for data \(Self.figure(100 * share, 0)) % of its time")
        }
        let anchors = median(\.anchorShare)
        if pace.anchorShare < anchors - 0.25 {
            causes.append(
                "\(Self.figure(100 * pace.anchorShare, 0)) % of its anchor embeddings were stored, the median is "
                    + "\(Self.figure(100 * anchors, 0)) %")
        }
        let threads = Int(median { Double($0.threads) })
        if pace.threads < threads { causes.append("it has \(pace.threads) threads, the median is \(threads)") }
        if let others = sharing(rank, paces) { causes.append("its cores are shared with rank \(others)") }
        return causes
    }

    /// The ranks that share this rank's cores, if those are too few for all.
    private func sharing(_ rank: Int, _ paces: [RankPace]) -> String? {
        let own = Set(places[rank].affinity.cores)
        let others = places.indices.filter { other in
            other != rank && nodeOfRank[other] == nodeOfRank[rank]
                && !own.isDisjoint(with: places[other].affinity.cores)
        }
        let cores = others.reduce(own) { $0.union(places[$1].affinity.cores) }
        let threads = ([rank] + others).reduce(0) { $0 + paces[$1].threads }
        guard !others.isEmpty, threads > cores.count else { return nil }
        return others.map(String.init).joined(separator: ", ")
    }

    private static func figure(_ number: Double, _ decimals: Int) -> String {
        String(format: "%.\(decimals)f", number)
    }
}
