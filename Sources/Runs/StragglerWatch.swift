package import Machine
import Foundation
import Kernels

/// What one rank did in an interval of steps.
package struct RankPace: Equatable, Sendable {
    /// Seconds it computed.
    package var compute: Double
    /// Seconds it waited for samples.
    package var wait: Double
    /// Samples it computed.
    package var samples: Int
    /// Instances in them.
    package var instances: Int
    /// Samples whose anchor embedding was at hand.
    package var anchorsReused: Int
    /// Compute threads it has.
    package var threads: Int

    /// Counts what a rank did.
    package init(compute: Double, wait: Double, samples: Int, instances: Int, anchorsReused: Int, threads: Int) {
        (self.compute, self.wait, self.samples, self.instances) = (compute, wait, samples, instances)
        (self.anchorsReused, self.threads) = (anchorsReused, threads)
    }

    /// Seconds for a sample, waiting for it included; nil without any. Shares that differ in size do not show in it.
    var secondsPerSample: Double? { samples > 0 ? (compute + wait) / Double(samples) : nil }
    /// Instances in a sample.
    var instancesPerSample: Double { samples > 0 ? Double(instances) / Double(samples) : 0 }
    /// The share of the samples whose anchor embedding was at hand.
    var anchorShare: Double { samples > 0 ? Double(anchorsReused) / Double(samples) : 0 }
}

/// Where a rank runs.
package struct RankPlace: Codable, Equatable, Sendable {
    /// Its host.
    package var host: String
    /// The cores it may use.
    package var affinity: CoreAffinity

    /// Names a place.
    package init(host: String, affinity: CoreAffinity) { (self.host, self.affinity) = (host, affinity) }
}

/// Looks for a rank that holds the others up; no clock, no log, no MPI.
package struct StragglerWatch: Sendable {
    /// Largest over median time per sample from which on a rank counts as slow.
    package static let slowRatio = 1.5
    /// Intervals in a row after which it is told.
    package static let patience = 3
    /// Seconds by which a rank must be late in an interval; less is noise.
    package static let noise = 0.1

    /// What an interval showed.
    package struct Verdict: Equatable, Sendable {
        /// Largest over median time per sample; nil when fewer than two ranks had one.
        package var ratio: Double?
        /// A warning, once until the rank has recovered.
        package var warning: String?

        /// Puts a verdict together.
        package init(ratio: Double? = nil, warning: String? = nil) { (self.ratio, self.warning) = (ratio, warning) }
    }

    private let places: [RankPlace]
    private let nodeOfRank: [Int]
    private var slow: (rank: Int, intervals: Int)?

    /// Watches ranks at these places.
    package init(places: [RankPlace], nodeOfRank: [Int]) { (self.places, self.nodeOfRank) = (places, nodeOfRank) }

    /// Looks at an interval; `paces` are in the order of ranks.
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

    /// The middle one, the lower of two, so that of two ranks one can be slow.
    private static func median(_ values: [Double]) -> Double { values.sorted()[(values.count - 1) / 2] }

    private func warning(_ rank: Int, _ ratio: Double, _ paces: [RankPace]) -> String {
        let causes = causes(rank, paces)
        return "rank \(rank) on \(places[rank].host) takes \(Self.figure(ratio, 1)) times as long for an image as the "
            + "median rank, in \(Self.patience) intervals: "
            + (causes.isEmpty ? "throttled or shared with other programs" : causes.joined(separator: "; "))
    }

    /// What the numbers at hand say about it.
    private func causes(_ rank: Int, _ paces: [RankPace]) -> [String] {
        let (pace, working) = (paces[rank], paces.filter { $0.samples > 0 })
        func median(_ value: (RankPace) -> Double) -> Double { Self.median(working.map(value)) }
        var causes: [String] = []
        let instances = median(\.instancesPerSample)
        if pace.instancesPerSample > 1.25 * instances {
            causes.append(
                "\(Self.figure(pace.instancesPerSample, 1)) instances in an image, the median is "
                    + Self.figure(instances, 1))
        }
        let share = pace.wait / (pace.compute + pace.wait)
        if share > 0.2, share > 2 * median({ $0.wait / max($0.compute + $0.wait, .leastNormalMagnitude) }) {
            causes.append("it waits for data \(Self.figure(100 * share, 0)) % of its time")
        }
        let anchors = median(\.anchorShare)
        if pace.anchorShare < anchors - 0.25 {
            causes.append(
                "\(Self.figure(100 * pace.anchorShare, 0)) % of its anchor embeddings were at hand, the median is "
                    + "\(Self.figure(100 * anchors, 0)) %")
        }
        let threads = Int(median { Double($0.threads) })
        if pace.threads < threads { causes.append("it has \(pace.threads) threads, the median is \(threads)") }
        if let others = sharing(rank, paces) { causes.append("its cores are shared with rank \(others)") }
        return causes
    }

    /// The ranks that run on this rank's cores, if those are too few for all.
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
