import Foundation
import Kernels
package import Machine
import Telemetry

/// The cores a rank may use and the threads it will start.
package struct CoreFacts: Codable, Sendable, Equatable {
    /// The cores the scheduler allows.
    package var bound = CoreAffinity(cores: [])
    /// The cores available without binding.
    package var unbound = CoreAffinity(cores: [])
    /// The control group's quota of processor time; nil if there is none.
    package var quota: ProcessorQuota?
    /// Compute threads.
    package var threads = 1
    /// Why the system refuses the threads of a run; nil if it grants them.
    package var shortage: Shortage?
    /// True if the recipe sets that number.
    package var isAsked = false
    /// True if waiting ranks yield (`OMPI_MCA_mpi_yield_when_idle`).
    package var yields = false

    /// Threads that are refused.
    package struct Shortage: Codable, Sendable, Equatable {
        package var problem: String
        package var remedy: String

        package init(problem: String, remedy: String) { (self.problem, self.remedy) = (problem, remedy) }
    }

    package init() {}
}

extension Check {
    /// Reports how the ranks are distributed over the nodes.
    static let nodes = Check("nodes") { ranks in
        let nodes = Node.all(of: ranks)
        guard nodes.count > 1 else { return [.ok("\(counted(ranks.count, "rank")) on \(nodes[0].host)")] }
        let counts = nodes.map(\.ranks.count)
        if counts.allSatisfy({ $0 == counts[0] }) {
            let places = nodes.map { "\($0.host) (\(spans($0.ranks.map(\.rank))))" }
            return [.ok("\(counted(counts[0], "rank")) on each of \(nodes.count) nodes: \(list(places))")]
        }
        let fair = (ranks.count + nodes.count - 1) / nodes.count
        return [
            .warning(
                "uneven: \(list(nodes.map { "\(counted($0.ranks.count, "rank")) on \($0.host)" })); "
                    + "every step waits for the fullest node",
                remedy: "mpirun --map-by ppr:\(fair):node, with slots=\(fair) for every host of the hostfile")
        ]
    }

    /// Checks that every rank has cores for its threads.
    static let cores = Check("cores") { ranks in
        let complaints = Node.all(of: ranks).flatMap { node in
            let crowded = node.ranks.filter { $0.cores.threads > $0.cores.bound.count }
            let others = Placement.overlapping(node.ranks.filter { rank in !crowded.contains(rank) })
            let found =
                crowded.map { Placement.moreThreadsThanCores($0, on: node) } + others.compactMap(Placement.sharing)
            return (found.isEmpty ? Placement.idleCores(node).map { [$0] } ?? [] : found)
                + Placement.beyondQuota(node)
        }
        guard complaints.isEmpty else { return Complaint.findings(complaints) }
        return [.ok(Placement.summary(ranks))]
    }
}

extension Check {
    /// Checks that every rank can start the threads of a run.
    static let threads = Check("threads") { ranks in
        let complaints = ranks.compactMap { rank in
            rank.cores.shortage.map {
                Complaint(ranks: [rank], state: .fault(.resources), text: $0.problem, remedy: $0.remedy)
            }
        }
        return complaints.isEmpty ? [.ok("the system grants those of a run")] : Complaint.findings(complaints)
    }
}

/// Complaints about threads and cores.
private enum Placement {
    /// Complains about ranks with more threads than the processor time of their control group.
    static func beyondQuota(_ node: Node) -> [Complaint] {
        var groups: [(quota: ProcessorQuota, ranks: [RankFacts])] = []
        for rank in node.ranks {
            guard let quota = rank.cores.quota else { continue }
            if let index = groups.firstIndex(where: { $0.quota == quota }) {
                groups[index].ranks.append(rank)
            } else {
                groups.append((quota, [rank]))
            }
        }
        return groups.compactMap { quota, ranks in
            let threads = ranks.reduce(0) { $0 + $1.cores.threads }
            guard Double(threads) > quota.cores else { return nil }
            let cores = String(format: "%g", (quota.cores * 100).rounded() / 100)
            return Complaint(
                ranks: ranks,
                text:
                    "\(counted(threads, "thread")) on processor time of \(cores) cores, the control group's quota: they "
                    + "are stopped for a part of the time",
                remedy: "raise the quota (docker run --cpus, resources.limits.cpu in Kubernetes, CPUQuota in systemd)"
                    + (threads > max(quota.threads, ranks.count)
                        ? ", or set execution.threads=\(max(1, quota.threads / ranks.count))" : ""))
        }
    }

    static func moreThreadsThanCores(_ rank: RankFacts, on node: Node) -> Complaint {
        let (threads, bound) = (rank.cores.threads, rank.cores.bound)
        let isHeldBack = rank.cores.unbound.count >= threads
        return Complaint(
            ranks: [rank],
            text: "\(counted(threads, "thread")) on \(counted(bound.count, "core"))"
                + (isHeldBack ? ", bound to it by the launcher though the node has \(rank.cores.unbound.count)" : ""),
            remedy: isHeldBack
                ? binding(threads: threads, on: node)
                : "set execution.threads=\(max(1, bound.count)), or 0 for the rank's share")
    }

    /// Complains about ranks on the same cores with more threads in total than cores.
    static func sharing(_ ranks: [RankFacts]) -> Complaint? {
        let cores = Set(ranks.flatMap(\.cores.bound.cores))
        let threads = ranks.reduce(0) { $0 + $1.cores.threads }
        guard ranks.count > 1, threads > cores.count else { return nil }
        let text = "\(counted(threads, "thread")) share cores \(spans(cores.sorted()))"
        let given = ranks[0].cores.unbound
        if given.count >= threads {
            return Complaint(
                ranks: ranks, text: text + " though the node has \(given.count)",
                remedy: binding(threads: ranks[0].cores.threads, on: Node(host: ranks[0].host, ranks: ranks)))
        }
        if ranks.count > cores.count {
            return Complaint(
                ranks: ranks, text: text,
                remedy: "start \(cores.count) or fewer ranks on the node"
                    + (ranks.allSatisfy(\.cores.yields) ? "" : ", or mpirun -x OMPI_MCA_mpi_yield_when_idle=1"))
        }
        return Complaint(
            ranks: ranks, text: text,
            remedy: "set execution.threads=\(max(1, cores.count / ranks.count)), or 0 for each rank's share")
    }

    /// Complains about a launched node whose ranks are bound to half of its cores or fewer, as Open MPI does with one
    /// or two ranks.
    static func idleCores(_ node: Node) -> Complaint? {
        let used = Set(node.ranks.flatMap(\.cores.bound.cores)).count
        let given = node.ranks[0].cores.unbound.count
        guard node.ranks[0].launch.isLaunched, used * 2 <= given, node.ranks.allSatisfy({ !$0.cores.isAsked }) else {
            return nil
        }
        return Complaint(
            ranks: node.ranks, text: "bound to \(counted(used, "core")) of the \(given) the node has",
            remedy: binding(threads: given / node.ranks.count, on: node))
    }

    private static func binding(threads: Int, on node: Node) -> String {
        "mpirun --bind-to none, or --map-by ppr:\(node.ranks.count):node:PE=\(max(1, threads)) --bind-to core"
    }

    /// Groups of ranks with overlapping cores, in the order of their first ranks.
    static func overlapping(_ ranks: [RankFacts]) -> [[RankFacts]] {
        var groups: [(cores: Set<Int>, ranks: [RankFacts])] = []
        for rank in ranks {
            var merged = (cores: Set(rank.cores.bound.cores), ranks: [rank])
            for group in groups.reversed() where !group.cores.isDisjoint(with: merged.cores) {
                merged = (merged.cores.union(group.cores), group.ranks + merged.ranks)
            }
            groups = groups.filter { $0.cores.isDisjoint(with: merged.cores) } + [merged]
        }
        return groups.map { $0.ranks.sorted { $0.rank < $1.rank } }
    }

    static func summary(_ ranks: [RankFacts]) -> String {
        let threads = ranks.map(\.cores.threads)
        let (least, most) = (threads.min() ?? 1, threads.max() ?? 1)
        let each = least == most ? counted(least, "thread") : "\(least) to \(most) threads"
        let cores = ranks.map(\.cores.bound.count)
        let own = Node.all(of: ranks).allSatisfy { overlapping($0.ranks).count == $0.ranks.count }
        let (fewest, largest) = (cores.min() ?? 1, cores.max() ?? 1)
        let place = fewest == largest ? counted(fewest, "core") : "\(fewest) to \(largest) cores"
        let sharing = ranks.count == 1 ? place : own ? "\(place) of its own" : "\(place) shared with other ranks"
        return (ranks.count == 1 ? "" : "each rank has ") + "\(each) on \(sharing)"
    }
}
