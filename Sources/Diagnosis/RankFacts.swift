/// One rank's facts about itself, its node and its recipe; sent to rank 0 as JSON.
///
/// The defaults of each part stand for a rank that could determine nothing; each part has its own file that measures
/// and checks it.
public struct RankFacts: Codable, Sendable, Equatable {
    package var rank: Int
    package var host: String
    package var launch = LaunchFacts()
    /// SHA-256 of the running program; empty if it cannot be read.
    package var program = ""
    package var recipe = RecipeFacts()
    package var weights = WeightFacts()
    package var labels = LabelFacts()
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
