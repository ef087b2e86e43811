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
        try requireEqualCounts(agree(on: .nodeMemory, count: byteCount), operation: "makeNodeMemory")
        let isShared = transport.sharesMemory && kind == .window
        // Alone on its node a rank needs no shared memory, and no room in /dev/shm.
        let decides = isShared && ranksOnNode > 1 && nodeRank == 0
        let mine = decides ? NodeMemoryDecision.make(byteCount: byteCount, temporaryFolder: temporaryFolder) : nil
        defer { if let descriptor = mine?.descriptor { close(descriptor) } }
        let lines = try allGather(bytes: Array((mine?.decision.line ?? "").utf8)).map {
            String(decoding: $0, as: UTF8.self)
        }
        let decisions = lines.map { $0.isEmpty ? nil : NodeMemoryDecision(line: $0) }
        if let rank = decisions.firstIndex(where: { if case .fault = $0 { true } else { false } }),
            case .fault(let reason) = decisions[rank]
        {
            throw nodeMemoryError(reason, rank: rank)
        }
        var fault: NodeMemoryFault?
        var memory: NodeSharedMemory?
        do {
            memory = try attach(decisions[firstRanks[rank]], byteCount: byteCount, isShared: isShared)
        } catch let found as NodeMemoryFault {
            fault = found
        }
        // Everybody waits here, so a file can be closed; a rank without memory tells all others.
        let faults = try allGather(bytes: Array((fault?.reason ?? "").utf8))
        if let rank = faults.firstIndex(where: { !$0.isEmpty }) {
            throw nodeMemoryError(String(decoding: faults[rank], as: UTF8.self), rank: rank)
        }
        guard let memory else { throw nodeMemoryError("no memory was made", rank: rank) }
        return memory
    }

    public func publish(_ memory: NodeSharedMemory, kind: NodeSharedMemory.Kind) throws {
        try requireEqualCounts(agree(on: .publish, count: memory.byteCount), operation: "publish")
        let buffer = UnsafeMutableRawBufferPointer(start: memory.start, count: memory.byteCount)
        if transport.sharesMemory && kind == .window {
            if nodeRank == 0 { try inChunks(buffer) { try transport.broadcastToFirstRanks($0) } }
            try transport.synchroniseWindow()
            _ = try agree(on: .barrier, count: 0)
            try transport.synchroniseWindow()
        } else {
            try inChunks(buffer) { try transport.broadcast($0, from: 0) }
        }
        memory.seal()
    }

    private func attach(
        _ decision: NodeMemoryDecision?, byteCount: Int, isShared: Bool
    ) throws -> NodeSharedMemory {
        switch decision {
        case .window where isShared:
            return NodeSharedMemory(window: try transport.makeWindow(byteCount: byteCount), byteCount: byteCount)
        case .file(let path, let folder) where isShared:
            let descriptor = open(path, O_RDWR | O_CLOEXEC)
            guard descriptor >= 0 else {
                throw NodeMemoryFault("\(path) cannot be opened: \(String(cString: strerror(errno)))")
            }
            defer { close(descriptor) }
            return try NodeSharedMemory(file: descriptor, in: folder, byteCount: byteCount)
        default:
            return try NodeSharedMemory(ownBytes: byteCount)
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
