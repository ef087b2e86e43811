/// A transport that records its transfers in an `ActivityRecord`.
final class RecordedTransport: Transport {
    private let transport: any Transport
    private let record: ActivityRecord

    init(_ transport: any Transport, in record: ActivityRecord) { (self.transport, self.record) = (transport, record) }

    var rank: Int { transport.rank }
    var worldSize: Int { transport.worldSize }
    var nodeRank: Int { transport.nodeRank }
    var ranksOnNode: Int { transport.ranksOnNode }
    var firstRankOfNode: Int { transport.firstRankOfNode }
    var sharesMemory: Bool { transport.sharesMemory }

    func exchange(header: CollectiveHeader) throws -> [CollectiveHeader] {
        try record.transfer(CollectiveOperation(rawValue: header.operation), sequence: Int(header.sequence)) {
            try transport.exchange(header: header)
        }
    }

    func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int) throws {
        try record.transfer { try transport.broadcast(buffer, from: root) }
    }

    func allGather(_ bytes: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer, counts: [Int]) throws {
        try record.transfer { try transport.allGather(bytes, into: all, counts: counts) }
    }

    func allToAll(
        _ bytes: UnsafeRawBufferPointer, counts: [Int], into received: UnsafeMutableRawBufferPointer,
        receiveCounts: [Int]
    ) throws {
        try record.transfer {
            try transport.allToAll(bytes, counts: counts, into: received, receiveCounts: receiveCounts)
        }
    }

    func abort(code: Int32) { transport.abort(code: code) }

    func makeWindow(byteCount: Int) throws -> UnsafeMutableRawPointer {
        try record.transfer { try transport.makeWindow(byteCount: byteCount) }
    }

    func synchroniseWindow() throws { try record.transfer { try transport.synchroniseWindow() } }

    func broadcastToFirstRanks(_ buffer: UnsafeMutableRawBufferPointer) throws {
        try record.transfer { try transport.broadcastToFirstRanks(buffer) }
    }
}
