package import Collectives
import Foundation

/// The offset of a rank's wall clock from rank 0's.
package struct ClockFacts: Codable, Sendable, Equatable {
    /// Seconds ahead of rank 0; the middle of the possible range.
    package var ahead = 0.0
    /// Uncertainty in seconds.
    package var uncertainty = 0.0

    package init() {}

    /// Compares clocks around a barrier, several times, and keeps the narrowest bounds. Collective.
    ///
    /// Rank 0 reads its clock after the barrier, hence after this rank entered it, and before this rank receives the
    /// reading: the offset is known to within the round trip. Throws `CollectivesError`.
    ///
    /// - Parameter clock: Returns the wall clock in seconds.
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
    /// Checks that the clocks of the nodes agree, so that logs can be compared.
    static let clocks = Check("clocks") { ranks in
        let nodes = Node.all(of: ranks)
        guard nodes.count > 1 else { return [] }
        // The most precise rank of a node represents it.
        let clocks = nodes.map { node in
            (node, node.ranks.map(\.clock).min { $0.uncertainty < $1.uncertainty } ?? ClockFacts())
        }
        let wrong = clocks.filter { abs($0.1.ahead) - $0.1.uncertainty > 1 }
        guard wrong.isEmpty else {
            return wrong.map { node, clock in
                .warning(
                    "the clock of \(node.host) is \(seconds(abs(clock.ahead))) "
                        + "\(clock.ahead > 0 ? "ahead of" : "behind") that of \(nodes[0].host)",
                    remedy: "synchronise the clocks of all nodes with chrony or systemd-timesyncd")
            }
        }
        let most = clocks.map { abs($0.1.ahead) + $0.1.uncertainty }.max() ?? 0
        return [.ok("differ by less than \(seconds(max(most, 0.001)))")]
    }

    private static func seconds(_ value: Double) -> String {
        value < 1 ? "\(Int((value * 1000).rounded(.up))) ms" : String(format: "%.1f s", value)
    }
}
