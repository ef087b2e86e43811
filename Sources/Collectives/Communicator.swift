/// The ranks of a run and the blocking operations they perform together.
///
/// Every operation is collective: all ranks call it, in the same order. Each one starts with an all-gather of a 64-byte
/// header per rank (sequence number, operation, root, count, phase), so ranks that meet in different operations all get
/// an error that names both sides instead of a hang or a wrong sum. The header also carries the sizes that
/// variable-length operations need. It costs one latency per operation: a few microseconds inside a node, which is
/// negligible beside a training step of seconds.
///
/// A communicator belongs to the thread that created it. All operations throw `CollectivesError`.
public protocol Communicator: AnyObject {
    /// This process's number, in `0 ..< worldSize`.
    var rank: Int { get }
    /// The number of ranks.
    var worldSize: Int { get }
    /// The host name of every rank, in rank order.
    var hostNames: [String] { get }
    /// This rank's number among the ranks that share its node's memory.
    var nodeRank: Int { get }
    /// The number of ranks that share this node's memory.
    var ranksOnNode: Int { get }
    /// The number of every rank's node, in rank order; nodes are numbered by their first ranks.
    var nodeOfRank: [Int] { get }
    /// The run's current phase, for example `step 12`; ranks that meet in different phases get an error.
    ///
    /// The first 40 bytes of its UTF-8 form are compared.
    var phase: String { get set }
    /// This rank's current activity, for a watchdog thread.
    var activity: ActivityRecord { get }

    /// Bytes this rank has sent to others, counted as if sent directly: its part to every other rank in a
    /// gather, each rank's part in an all-to-all, headers included; broadcasts and reductions are not counted.
    var bytesSent: Int { get }

    /// Returns when every rank has called it.
    func barrier() throws
    /// The root's bytes, on every rank; the other ranks' argument is ignored and they need not know the size.
    func broadcast(bytes: [UInt8], from root: Int) throws -> [UInt8]
    /// Fills `buffer` on every rank with the root's contents; the size must be the same everywhere and may exceed 2 GiB.
    func broadcast(buffer: UnsafeMutableRawBufferPointer, from root: Int) throws
    /// Every rank's bytes, in rank order; lengths may differ.
    func allGather(bytes: [UInt8]) throws -> [[UInt8]]
    /// Concatenates every rank's floats in rank order; rank `r` contributes `counts[r]` floats.
    func allGather(
        floats: UnsafeBufferPointer<Float>, counts: [Int], into all: UnsafeMutableBufferPointer<Float>) throws
    /// Sends consecutive parts of `floats`, `counts[d]` floats to rank `d`, and receives one part from every rank, in
    /// rank order, at the beginning of `received`, which grows as needed.
    ///
    /// - Parameters:
    ///   - announcement: A number sent in the operation's header, ahead of the data.
    ///   - receiveCounts: Computes the number of floats from each rank, given the announcements of all ranks.
    func allToAll(
        floats: UnsafeBufferPointer<Float>, counts: [Int], announcing announcement: Int, into received: inout [Float],
        receiveCounts: (_ announcements: [Int]) -> [Int]) throws
    /// The element-wise sum over ranks, added in rank order on every rank, so all ranks hold the same bits.
    ///
    /// The bits depend on the number of ranks; `SampleOrderedSum` computes sums that must not.
    func reduceSum(_ values: [Double]) throws -> [Double]
    /// The element-wise minimum over ranks.
    func allMinimum(_ values: [Int]) throws -> [Int]
    /// The element-wise maximum over ranks.
    func allMaximum(_ values: [Int]) throws -> [Int]
    /// Memory that rank 0 will write and every rank will read.
    ///
    /// - Parameters:
    ///   - kind: `window` for one copy on each node, `private` for one in each rank.
    ///   - temporaryFolder: The folder of a node's copy if /dev/shm has no space for it.
    ///
    /// Throws an error of kind `nodeMemory` on all ranks if a node has no space at all.
    func makeNodeMemory(
        byteCount: Int, kind: NodeSharedMemory.Kind, temporaryFolder: String
    ) throws -> NodeSharedMemory
    /// Copies what rank 0 wrote to all nodes and makes all copies read-only.
    func publish(_ memory: NodeSharedMemory) throws
    /// Stops all ranks after an error on this one: under MPI it ends every process with `code` and does not return.
    ///
    /// Other communicators make the other ranks' operations throw, and return; the caller must then exit. The
    /// caller prints the message before.
    func abort(code: Int32)
}

extension Communicator {
    /// The host name of this rank.
    public var hostName: String { hostNames[rank] }
    /// True on rank 0, which reads, decides and logs.
    public var isRoot: Bool { rank == 0 }

    /// Every rank's floats, in rank order; lengths may differ.
    public func allGather(floats: [Float]) throws -> [[Float]] {
        let bytes = floats.withUnsafeBytes { [UInt8]($0) }
        return try allGather(bytes: bytes).map { part in
            [Float](unsafeUninitializedCapacity: part.count / MemoryLayout<Float>.stride) { buffer, count in
                part.withUnsafeBytes { UnsafeMutableRawBufferPointer(buffer).copyMemory(from: $0) }
                count = part.count / MemoryLayout<Float>.stride
            }
        }
    }
}
