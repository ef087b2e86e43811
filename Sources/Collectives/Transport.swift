/// What a communicator needs from the layer that moves bytes between ranks; sizes are agreed before these are called.
package protocol Transport: AnyObject {
    var rank: Int { get }
    var worldSize: Int { get }
    var nodeRank: Int { get }
    var ranksOnNode: Int { get }

    /// Every rank's header, in rank order.
    func exchange(header: CollectiveHeader) throws -> [CollectiveHeader]
    /// Copies the root's buffer to all ranks.
    func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int) throws
    /// Puts the ranks' bytes together in rank order, `counts[r]` bytes from rank `r`.
    func allGather(_ bytes: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer, counts: [Int]) throws
    /// One integer to each rank, one from each rank.
    func allToAll(counts: [Int]) throws -> [Int]
    /// Consecutive parts of `bytes`, `counts[d]` bytes to rank `d`; `receiveCounts[s]` bytes from rank `s`.
    func allToAll(
        _ bytes: UnsafeRawBufferPointer, counts: [Int], into received: UnsafeMutableRawBufferPointer,
        receiveCounts: [Int]) throws
    /// Stops all ranks.
    func abort(code: Int32)
}
