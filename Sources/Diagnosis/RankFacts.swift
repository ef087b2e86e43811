/// What one rank knows of itself, its node and its recipe; it travels to rank 0 as JSON.
///
/// Each part has the defaults of a rank that could find out nothing, and a file of its own that measures and judges it.
public struct RankFacts: Codable, Sendable, Equatable {
    package var rank: Int
    package var host: String
    package var launch = LaunchFacts()
    /// SHA-256 of the running program; empty when it cannot be read.
    package var program = ""
    package var recipe = RecipeFacts()
    package var weights = WeightFacts()
    package var cores = CoreFacts()
    package var kernels = KernelFacts()
    package var memory = MemoryFacts()
    package var network = NetworkFacts()
    package var clock = ClockFacts()
    package var system = SystemFacts()

    package init(rank: Int, host: String) { (self.rank, self.host) = (rank, host) }
}

/// The ranks of one node.
struct Node {
    let host: String
    let ranks: [RankFacts]

    /// The nodes of some ranks, in the order of their first ranks.
    static func all(of ranks: [RankFacts]) -> [Node] {
        var hosts: [String] = []
        for rank in ranks where !hosts.contains(rank.host) { hosts.append(rank.host) }
        return hosts.map { host in Node(host: host, ranks: ranks.filter { $0.host == host }) }
    }
}
