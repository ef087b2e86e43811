import Glibc

extension SequencedCommunicator {
    /// The number of every rank's node; nodes are numbered by their first ranks.
    public var nodeOfRank: [Int] {
        let firsts = Set(firstRanks).sorted()
        return firstRanks.map { first in firsts.firstIndex(of: first) ?? 0 }
    }

    public func makeNodeMemory(
        byteCount: Int, kind: NodeSharedMemory.Kind, temporaryFolder: String
    ) throws -> NodeSharedMemory {
        try agreeOnMemory(.nodeMemory, byteCount: byteCount, kind: kind)
        let isShared = transport.sharesMemory && kind == .window
        // A window whose pages cannot all be allocated is replaced by a file, on its node alone.
        var memory: NodeSharedMemory?
        for allowsWindow in [true, false] where try allMinimum([memory == nil ? 0 : 1])[0] == 0 {
            // A rank alone on its node needs no shared memory, and no space in /dev/shm.
            let decides = memory == nil && isShared && ranksOnNode > 1 && nodeRank == 0
            let mine =
                decides
                ? NodeMemoryDecision.make(
                    byteCount: byteCount, ranks: ranksOnNode, allowsWindow: allowsWindow,
                    temporaryFolder: temporaryFolder) : nil
            defer { if let descriptor = mine?.descriptor { close(descriptor) } }
            let decision = try decisionOfNode(mine?.decision)
            if memory == nil {
                memory = try attach(decision, byteCount: byteCount, isShared: isShared)
            }
            // Everybody waits here, so a file can be closed; ranks of a node fail together.
            let misses = try allGather(bytes: [memory == nil ? 1 : 0])
            if firstRanks.indices.contains(where: { firstRanks[$0] == firstRanks[rank] && misses[$0] == [1] }) {
                memory = nil
            }
        }
        let missing = try allGather(bytes: [memory == nil ? 1 : 0]).firstIndex(of: [1])
        guard missing == nil, let memory else {
            throw nodeMemoryError("its memory could not be mapped", rank: missing ?? rank)
        }
        return memory
    }

    public func publish(_ memory: NodeSharedMemory) throws {
        try agreeOnMemory(.publish, byteCount: memory.byteCount, kind: memory.kind)
        let buffer = UnsafeMutableRawBufferPointer(start: memory.start, count: memory.byteCount)
        if transport.sharesMemory && memory.kind == .window {
            if nodeRank == 0 { try inChunks(buffer) { try transport.broadcastToFirstRanks($0) } }
            try transport.synchroniseWindow()
            _ = try agree(on: .barrier, count: 0)
            try transport.synchroniseWindow()
        } else {
            try inChunks(buffer) { try transport.broadcast($0, from: 0) }
        }
        guard memory.seal() else { throw nodeMemoryError("it cannot be made read-only", rank: rank) }
    }

    /// Checks that all ranks want the same amount of the same kind; the kind is the count's last bit.
    private func agreeOnMemory(
        _ operation: CollectiveOperation, byteCount: Int, kind: NodeSharedMemory.Kind
    ) throws {
        let headers = try agree(on: operation, count: byteCount << 1 | (kind == .window ? 1 : 0))
        try requireEqualCounts(headers, operation: "\(operation)")
    }

    /// The decision of this node's first rank; throws on all ranks if any first rank found no space.
    private func decisionOfNode(_ mine: NodeMemoryDecision?) throws -> NodeMemoryDecision? {
        let lines = try allGather(bytes: Array((mine?.line ?? "").utf8)).map { String(decoding: $0, as: UTF8.self) }
        let decisions = lines.map { $0.isEmpty ? nil : NodeMemoryDecision(line: $0) }
        for (rank, decision) in decisions.enumerated() {
            if case .fault(let reason) = decision { throw nodeMemoryError(reason, rank: rank) }
        }
        return decisions[firstRanks[rank]]
    }

    /// This rank's view of its node's memory; nil if it cannot be mapped.
    private func attach(
        _ decision: NodeMemoryDecision?, byteCount: Int, isShared: Bool
    ) throws -> NodeSharedMemory? {
        let kind: NodeSharedMemory.Kind = isShared ? .window : .private
        switch decision {
        case .window where isShared:
            let start = try transport.makeWindow(byteCount: byteCount)
            let memory = NodeSharedMemory(window: start, byteCount: byteCount)
            // The library only sizes its file: pages that are unavailable when written end the process.
            return nodeRank == 0 && !memory.populate() ? nil : memory
        case .file(let place, let folder) where isShared:
            guard let descriptor = place.open() else { return nil }
            defer { close(descriptor) }
            return try? NodeSharedMemory(file: descriptor, in: folder, byteCount: byteCount)
        default:
            return try? NodeSharedMemory(ownBytes: byteCount, kind: kind)
        }
    }

    private func nodeMemoryError(_ reason: String, rank: Int) -> CollectivesError {
        error(
            .nodeMemory, "makeNodeMemory",
            "no room for one copy of the frozen weights on \(hostNames[rank]): \(reason)",
            "give the node a larger /dev/shm (docker --shm-size, a memory-backed emptyDir), point TMPDIR to a folder with "
                + "room, or ask for private base memory")
    }
}
