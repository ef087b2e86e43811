import Diagnosis
import Kernels
import Machine
import Planning
import Telemetry

/// Ranks that find everything as it should be; tests spoil what they ask about.
enum FakeCluster {
    /// One rank for each host, in rank order, with four cores for each rank of a node.
    static func ranks(_ hosts: [String], _ change: (inout RankFacts) -> Void = { _ in }) -> [RankFacts] {
        hosts.enumerated().map { number, host in
            var facts = RankFacts(rank: number, host: host)
            let earlier = hosts[..<number].count { $0 == host }
            let node = (hosts.firstIndex(of: host) ?? 0) + 1
            facts.launch.launcher = hosts.count > 1 ? "openMPI" : "none"
            facts.launch.worldSize = hosts.count
            facts.launch.library = "Open MPI v4.1.4, package: Debian OpenMPI"
            facts.program = "aaaaaaaaaaaaaaaa"
            (facts.recipe.isGiven, facts.recipe.digest, facts.recipe.folders) = (true, "bbbbbbbbbbbbbbbb", ["cells"])
            facts.cores.bound = CoreAffinity(cores: Array(4 * earlier..<4 * earlier + 4))
            facts.cores.unbound = CoreAffinity(cores: Array(0..<4 * hosts.count { $0 == host }))
            facts.cores.threads = 4
            (facts.kernels.core, facts.kernels.version) = ("Haswell", "OpenBLAS 0.3.21")
            facts.kernels.threading = "pthreads"
            facts.memory.node = NodeMemory(available: 8 << 30, source: "the system")
            facts.memory.sharedFree = 1 << 30
            if earlier == 0 {
                facts.memory.plan = .init(
                    bytesPerRank: 1 << 30, bytesPerNode: 2 << 30, weightBytes: 358 << 20, sharesWeights: true,
                    remedy: "start fewer ranks")
            }
            facts.network.interfaces = [
                .init("lo", "127.0.0.1", "127.0.0.0/8"), .init("eth0", "10.0.0.\(node)", "10.0.0.0/24"),
                .init("eth0", "fe80::\(node)", "fe80::/64"),
            ]
            (facts.system.openFiles, facts.system.hugePages) = (1024, "madvise")
            (facts.system.temporaryFolder, facts.system.temporaryFree) = ("/tmp", 1 << 30)
            if number == 0 {
                (facts.weights.path, facts.weights.digest) = ("weights/mobile_sam.pt", "cccccccccccccccc")
                facts.system.runFolder = .init(
                    path: "runs/first", existing: ".", isWritable: true, holdsRun: false, free: 1 << 34)
            }
            change(&facts)
            return facts
        }
    }

    /// Two ranks on each of two nodes.
    static func two(_ change: (inout RankFacts) -> Void = { _ in }) -> [RankFacts] {
        ranks(["node0", "node0", "node1", "node1"], change)
    }
}

/// What a check of some name says about some ranks.
func findings(_ check: String, _ ranks: [RankFacts]) -> [Finding] {
    Report(ranks).entries.filter { $0.check == check }.map(\.finding)
}

extension [Finding] {
    /// The one finding, in a line: state, text, remedy.
    var line: String {
        guard count == 1, let finding = first else { return "\(count) findings" }
        return [finding.state.name, finding.found, finding.remedy].joined(separator: " | ")
    }
}
