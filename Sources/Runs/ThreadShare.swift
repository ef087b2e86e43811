public import Collectives
import Kernels
package import Machine

/// Divides the cores of the nodes among the ranks.
///
/// Ranks of a node that are bound to their own cores have different affinities; ranks with the same affinity share its
/// cores.
public struct ThreadShare: Sendable {
    /// The cores of every rank, in rank order.
    let affinities: [CoreAffinity]
    /// The host of every rank.
    let hosts: [String]

    package init(affinities: [CoreAffinity], hosts: [String]) { (self.affinities, self.hosts) = (affinities, hosts) }

    /// Gathers the affinities of all ranks. Collective. Throws `CollectivesError`.
    public init(_ communicator: any Communicator) throws {
        let mine = CoreAffinity.current().cores.map(String.init).joined(separator: " ")
        affinities = try communicator.allGather(bytes: Array(mine.utf8)).map { bytes in
            CoreAffinity(cores: String(decoding: bytes, as: UTF8.self).split(separator: " ").compactMap { Int($0) })
        }
        hosts = communicator.hostNames
    }

    /// The threads of a rank: the requested number, or for 0 its share of the cores it may use.
    public func threads(rank: Int, asked: Int) -> Int {
        if asked > 0 { return asked }
        let sharing = affinities.indices.count { hosts[$0] == hosts[rank] && affinities[$0] == affinities[rank] }
        return max(1, affinities[rank].count / max(1, sharing))
    }

    /// The threads of the calling rank. Collective for any requested number. Throws `CollectivesError`.
    public static func threads(asked: Int, communicator: any Communicator) throws -> Int {
        try ThreadShare(communicator).threads(rank: communicator.rank, asked: asked)
    }
}
