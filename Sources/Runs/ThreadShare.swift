public import Collectives
import Foundation
import Kernels
package import Machine

/// Divides the cores of the nodes among the ranks.
///
/// Ranks of a node that are bound to their own cores have different affinities; ranks with the same affinity share its
/// cores. Likewise, ranks of a node whose control group has the same quota of processor time share that.
public struct ThreadShare: Sendable {
    /// The processors of a rank.
    package struct Processors: Codable, Sendable, Equatable {
        /// The cores it may use.
        package var affinity: CoreAffinity
        /// The quota of its control group, if there is one.
        package var quota: ProcessorQuota?

        package init(_ affinity: CoreAffinity, quota: ProcessorQuota? = nil) {
            (self.affinity, self.quota) = (affinity, quota)
        }
    }

    /// The processors of every rank, in rank order.
    let processors: [Processors]
    /// The host of every rank.
    let hosts: [String]

    package init(_ processors: [Processors], hosts: [String]) { (self.processors, self.hosts) = (processors, hosts) }

    /// Gathers the processors of all ranks. Collective. Throws `CollectivesError`.
    public init(_ communicator: any Communicator) throws {
        let mine = Processors(.current(), quota: .now())
        processors = try communicator.allGather(bytes: Array(try JSONEncoder().encode(mine))).map {
            try JSONDecoder().decode(Processors.self, from: Data($0))
        }
        hosts = communicator.hostNames
    }

    /// The threads of a rank: the requested number, or for 0 its share of the cores and of the quota.
    public func threads(rank: Int, asked: Int) -> Int {
        if asked > 0 { return asked }
        let own = processors[rank]
        let cores = own.affinity.count / sharing(rank) { $0.affinity == own.affinity }
        let granted = own.quota.map { $0.threads / sharing(rank) { $0.quota == own.quota } } ?? .max
        return max(1, min(cores, granted))
    }

    /// The number of ranks on a rank's node, itself included, that fulfil a condition.
    private func sharing(_ rank: Int, _ condition: (Processors) -> Bool) -> Int {
        max(1, processors.indices.count { hosts[$0] == hosts[rank] && condition(processors[$0]) })
    }

    /// The threads of the calling rank. Collective for any requested number. Throws `CollectivesError`.
    public static func threads(asked: Int, communicator: any Communicator) throws -> Int {
        try ThreadShare(communicator).threads(rank: communicator.rank, asked: asked)
    }
}
