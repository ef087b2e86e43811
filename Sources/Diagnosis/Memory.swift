import Collectives
package import Machine
import Planning
import Runs
import Telemetry

/// Memory of a rank's node and the planned memory of its ranks.
package struct MemoryFacts: Codable, Sendable, Equatable {
    /// Available memory of the node; nil if the system does not report it.
    package var node: NodeMemory?
    /// The limit on what a process may map; nil if there is none.
    package var limit: ProcessLimit?
    /// The planned memory of a step; only on the first rank of a node, and only with a recipe.
    package var plan: Plan?
    /// Free bytes of `/dev/shm`; nil if there is none.
    package var sharedFree: Int?

    /// The planned memory of a step.
    package struct Plan: Codable, Sendable, Equatable {
        package var bytesPerRank: Int
        package var bytesPerNode: Int
        /// Bytes of one copy of the frozen weights.
        package var weightBytes: Int
        /// True if the ranks of a node share the copy.
        package var sharesWeights: Bool
        /// The remedy if it does not fit.
        package var remedy: String

        package init(
            bytesPerRank: Int, bytesPerNode: Int, weightBytes: Int, sharesWeights: Bool, remedy: String
        ) {
            (self.bytesPerRank, self.bytesPerNode) = (bytesPerRank, bytesPerNode)
            (self.weightBytes, self.sharesWeights, self.remedy) = (weightBytes, sharesWeights, remedy)
        }
    }

    package init() {}
}

extension Check {
    /// Checks that every node can hold its ranks.
    static let memory = Check("memory") { ranks in
        let planned = plannedNodes(ranks)
        let limited = planned.compactMap { overLimit($0.first, $0.plan) }
        guard limited.isEmpty else { return Complaint.findings(limited) }
        let tight = planned.filter { $0.plan.bytesPerNode > $0.first.memory.node?.available ?? .max }
        guard tight.isEmpty else {
            return tight.map { node, first, plan in
                let free = first.memory.node
                return .fault(
                    .resources,
                    "\(node.host): \(counted(node.ranks.count, "rank")) need\(node.ranks.count == 1 ? "s" : "") "
                        + "\(size(plan.bytesPerNode)), \(size(free?.available ?? 0)) are free according to \(free?.source ?? "")",
                    remedy: plan.remedy)
            }
        }
        let rooms = planned.compactMap { node, first, plan in
            first.memory.node.map { (node, plan, free: $0.available) }
        }
        guard let closest = rooms.min(by: { $0.free - $0.1.bytesPerNode < $1.free - $1.1.bytesPerNode }) else {
            return planned.first.map {
                [.ok("\(size($0.plan.bytesPerNode)) per node expected; free memory is unknown")]
            }
                ?? []
        }
        let place = rooms.count > 1 ? "tightest node \(closest.0.host): " : ""
        return [.ok("\(place)\(size(closest.1.bytesPerNode)) needed, \(size(closest.free)) free")]
    }

    /// The complaint about a limit on what a process may map, which is more than it uses.
    private static func overLimit(_ rank: RankFacts, _ plan: MemoryFacts.Plan) -> Complaint? {
        let needed =
            plan.bytesPerRank + rank.cores.threads * BLASEnvironment.bufferBytes + MemoryCheck.unplannedBytes
        guard let limit = rank.memory.limit, needed > limit.free else { return nil }
        return Complaint(
            ranks: [rank], state: .fault(.resources), text: "a rank needs \(size(needed)) more: \(limit)",
            remedy: limit.kind.remedy)
    }

    /// Checks that `/dev/shm` of every node can hold the shared copy of the frozen weights.
    static let sharedMemory = Check("shared memory") { ranks in
        let planned = plannedNodes(ranks)
        guard !planned.isEmpty else { return [] }
        // A rank that is alone on its node keeps the copy in its own memory.
        let sharing = planned.filter { $0.plan.sharesWeights && $0.node.ranks.count > 1 }
        guard let least = sharing.min(by: { $0.first.memory.sharedFree ?? 0 < $1.first.memory.sharedFree ?? 0 }) else {
            return [.ok("not needed: every rank keeps the frozen weights in its own memory")]
        }
        let complaints = sharing.compactMap { node, first, plan in shortOfRoom(node, first, plan) }
        guard complaints.isEmpty else { return Complaint.findings(complaints) }
        let place = sharing.count > 1 ? " or more on every node" : ""
        return [
            .ok(
                "/dev/shm has \(size(least.first.memory.sharedFree ?? 0)) free\(place) for one copy of the weights, "
                    + size(least.plan.weightBytes))
        ]
    }

    /// The complaint for a node without enough shared memory: it uses a file if there is space for one.
    private static func shortOfRoom(_ node: Node, _ first: RankFacts, _ plan: MemoryFacts.Plan) -> Complaint? {
        let needed = NodeMemoryDecision.windowBytes(plan.weightBytes, ranks: node.ranks.count)
        guard first.memory.sharedFree ?? 0 < needed else { return nil }
        let found =
            (first.memory.sharedFree.map { "/dev/shm has \(size($0)) free" } ?? "no /dev/shm")
            + " for one copy of the frozen weights, \(size(plan.weightBytes))"
        let container =
            "docker run --shm-size=\(advised(plan.weightBytes)), or in Kubernetes an emptyDir of medium Memory "
            + "at /dev/shm"
        let (folder, room) = (first.system.temporaryFolder, first.system.temporaryFree ?? 0)
        guard room >= plan.weightBytes else {
            return Complaint(
                ranks: node.ranks, state: .fault(.resources), text: found + "; \(folder) has no space for them either",
                remedy: container
                    + "; or set node.temporaryFolder to a folder with enough space, or use --base-memory private")
        }
        return Complaint(
            ranks: node.ranks, text: found + "; they will be stored in a file in \(folder)",
            remedy: container + "; or keep it so if that folder is on a local disk")
    }

    /// Nodes whose first rank could plan a step.
    private static func plannedNodes(
        _ ranks: [RankFacts]
    ) -> [(node: Node, first: RankFacts, plan: MemoryFacts.Plan)] {
        Node.all(of: ranks).compactMap { node in node.ranks[0].memory.plan.map { (node, node.ranks[0], $0) } }
    }

    /// The size of the weights plus MPI's own segments, in Docker's notation.
    private static func advised(_ weights: Int) -> String {
        "\(((weights * 5 / 4 + (128 << 20)) >> 20) / 64 * 64 + 64)m"
    }
}
