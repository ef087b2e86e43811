/// The layer that transfers bytes between ranks; sizes are agreed on before its functions are called.
package protocol Transport: AnyObject {
    var rank: Int { get }
    var worldSize: Int { get }
    var nodeRank: Int { get }
    var ranksOnNode: Int { get }
    /// The first of the ranks that share this node's memory.
    var firstRankOfNode: Int { get }
    /// True if ranks of one node can share memory; only then do the three functions at the end work.
    var sharesMemory: Bool { get }

    /// Every rank's header, in rank order.
    func exchange(header: CollectiveHeader) throws -> [CollectiveHeader]
    /// Copies the root's buffer to all ranks.
    func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int) throws
    /// Concatenates the ranks' bytes in rank order, `counts[r]` bytes from rank `r`.
    func allGather(_ bytes: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer, counts: [Int]) throws
    /// Consecutive parts of `bytes`, `counts[d]` bytes to rank `d`; `receiveCounts[s]` bytes from rank `s`.
    func allToAll(
        _ bytes: UnsafeRawBufferPointer, counts: [Int], into received: UnsafeMutableRawBufferPointer,
        receiveCounts: [Int]) throws
    /// Stops all ranks.
    func abort(code: Int32)

    /// Memory visible to all ranks of this node, valid until the end of the transport; called by all of them.
    func makeWindow(byteCount: Int) throws -> UnsafeMutableRawPointer
    /// Makes what ranks wrote into windows visible to the others of the node.
    func synchroniseWindow() throws
    /// Copies rank 0's buffer to the first rank of every other node; called by first ranks alone.
    func broadcastToFirstRanks(_ buffer: UnsafeMutableRawBufferPointer) throws
}

/// A transport between ranks that share no memory.
extension Transport {
    package var sharesMemory: Bool { false }

    package func makeWindow(byteCount: Int) throws -> UnsafeMutableRawPointer {
        preconditionFailure("this transport shares no memory")
    }

    package func synchroniseWindow() throws {}

    package func broadcastToFirstRanks(_ buffer: UnsafeMutableRawBufferPointer) throws {
        preconditionFailure("this transport shares no memory")
    }
}
