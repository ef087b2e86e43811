package import Collectives
import Foundation

/// By how much a rank's wall clock is ahead of rank 0's.
package struct ClockFacts: Codable, Sendable, Equatable {
    /// Seconds; the middle of what is possible.
    package var ahead = 0.0
    /// Seconds by which the true value may differ.
    package var uncertainty = 0.0

    package init() {}

    /// Compares clocks around a barrier, several times, and keeps the narrowest bounds. Collective.
    ///
    /// Rank 0 reads its clock after the barrier, so after this rank entered it, and before this rank has the reading:
    /// the difference is known as well as the round trip is short. Throws `CollectivesError`.
    ///
    /// - Parameter clock: Seconds of the wall clock.
    package static func measure(
        _ communicator: any Communicator, rounds: Int = 5,
        clock: () -> Double = { Date().timeIntervalSince1970 }
    ) throws -> ClockFacts {
        var best: ClockFacts?
        for _ in 0..<rounds {
            let before = clock()
            try communicator.barrier()
            let mine = clock().bitPattern
            let reading = try communicator.broadcast(bytes: withUnsafeBytes(of: mine) { Array($0) }, from: 0)
            let after = clock()
            let reference = Double(bitPattern: reading.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
            var facts = ClockFacts()
            facts.ahead = (before + after) / 2 - reference
            facts.uncertainty = (after - before) / 2
            if best.map({ facts.uncertainty < $0.uncertainty }) ?? true { best = facts }
        }
        return communicator.isRoot ? ClockFacts() : best ?? ClockFacts()
    }
}

extension Check {
    /// Do the clocks of the nodes agree, so that logs can be laid side by side?
    static let clocks = Check("clocks") { ranks in
        let nodes = Node.all(of: ranks)
        guard nodes.count > 1 else { return [] }
        // The rank of a node that measured it best speaks for it.
        let clocks = nodes.map { node in
            (node, node.ranks.map(\.clock).min { $0.uncertainty < $1.uncertainty } ?? ClockFacts())
        }
        let wrong = clocks.filter { abs($0.1.ahead) - $0.1.uncertainty > 1 }
        guard wrong.isEmpty else {
            return wrong.map { node, clock in
                .warning(
                    "the clock of \(node.host) is \(seconds(abs(clock.ahead))) "
                        + "\(clock.ahead > 0 ? "ahead of" : "behind") that of \(nodes[0].host)",
                    remedy: "let chrony or systemd-timesyncd set the clocks of all nodes")
            }
        }
        let most = clocks.map { abs($0.1.ahead) + $0.1.uncertainty }.max() ?? 0
        return [.ok("differ by less than \(seconds(max(most, 0.001)))")]
    }

    private static func seconds(_ value: Double) -> String {
        value < 1 ? "\(Int((value * 1000).rounded(.up))) ms" : String(format: "%.1f s", value)
    }
}
