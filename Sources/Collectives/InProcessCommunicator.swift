import Foundation
import Synchronization

/// Ranks that are threads of one process, for tests: the semantics of MPI without `mpirun`.
public final class InProcessCommunicator: SequencedCommunicator {
    /// The stack of a rank's thread, in bytes.
    private static let stackSize = 16 << 20

    private init(rendezvous: Rendezvous, rank: Int, ranks: Int, ranksPerNode: Int) throws {
        try super.init(
            transport: InProcessTransport(
                rendezvous: rendezvous, rank: rank, worldSize: ranks, ranksPerNode: ranksPerNode),
            hostName: localHostName(), sharesHostNames: true)
    }

    /// Runs `body` once per rank, each on its own thread, and returns the results in rank order.
    ///
    /// If a rank throws, the other ranks' pending and later operations throw too, and the first error is thrown here
    /// when all threads have ended. The same holds when a rank returns while others still wait for it.
    ///
    /// - Parameter ranksPerNode: The number of consecutive ranks that simulate a node; by default all.
    @discardableResult
    public static func run<Result: Sendable>(
        ranks: Int, ranksPerNode: Int? = nil, _ body: @escaping @Sendable (InProcessCommunicator) throws -> Result
    ) throws -> [Result] {
        precondition(ranks > 0 && ranksPerNode ?? 1 > 0, "a group needs at least one rank")
        let rendezvous = Rendezvous(ranks: ranks)
        let results = Collected<Result>(count: ranks)
        let group = DispatchGroup()
        for rank in 0..<ranks {
            group.enter()
            let thread = Thread {
                do {
                    let communicator = try InProcessCommunicator(
                        rendezvous: rendezvous, rank: rank, ranks: ranks, ranksPerNode: ranksPerNode ?? ranks)
                    let result = try body(communicator)
                    results.values.withLock { $0[rank] = result }
                    rendezvous.leave(rank: rank, error: nil)
                } catch {
                    rendezvous.leave(rank: rank, error: error)
                }
                group.leave()
            }
            thread.name = "rank \(rank)"
            thread.stackSize = stackSize
            thread.start()
        }
        group.wait()
        if let error = rendezvous.error { throw error }
        return results.values.withLock { $0.compactMap { $0 } }
    }
}

/// The ranks' results, filled by their threads.
private final class Collected<Value: Sendable>: Sendable {
    let values: Mutex<[Value?]>
    init(count: Int) { values = Mutex([Value?](repeating: nil, count: count)) }
}

/// Transfers bytes between threads: every operation is a rendezvous at which all post copies of what they send.
private final class InProcessTransport: Transport {
    let rank: Int
    let worldSize: Int
    let firstRankOfNode: Int
    let ranksOnNode: Int
    var nodeRank: Int { rank - firstRankOfNode }
    private let rendezvous: Rendezvous

    init(rendezvous: Rendezvous, rank: Int, worldSize: Int, ranksPerNode: Int) {
        self.rendezvous = rendezvous
        self.rank = rank
        self.worldSize = worldSize
        firstRankOfNode = rank / ranksPerNode * ranksPerNode
        ranksOnNode = min(ranksPerNode, worldSize - rank / ranksPerNode * ranksPerNode)
    }

    func exchange(header: CollectiveHeader) throws -> [CollectiveHeader] {
        try rendezvous.meet(Posting(header: header), rank: rank, operation: header.summary).compactMap(\.header)
    }

    func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int) throws {
        let mine = Posting(bytes: rank == root ? Array(buffer) : [])
        let all = try rendezvous.meet(mine, rank: rank, operation: "broadcast")
        if rank != root { buffer.copyBytes(from: all[root].bytes) }
    }

    func allGather(_ bytes: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer, counts: [Int]) throws {
        let postings = try rendezvous.meet(Posting(bytes: Array(bytes)), rank: rank, operation: "allGather")
        var start = 0
        for posting in postings {
            UnsafeMutableRawBufferPointer(rebasing: all[start...]).copyBytes(from: posting.bytes)
            start += posting.bytes.count
        }
    }

    func allToAll(
        _ bytes: UnsafeRawBufferPointer, counts: [Int], into received: UnsafeMutableRawBufferPointer,
        receiveCounts: [Int]
    ) throws {
        let mine = Posting(bytes: Array(bytes), counts: counts)
        var start = 0
        for posting in try rendezvous.meet(mine, rank: rank, operation: "allToAll") {
            let offset = posting.counts[..<rank].reduce(0, +)
            let part = posting.bytes[offset..<offset + posting.counts[rank]]
            UnsafeMutableRawBufferPointer(rebasing: received[start...]).copyBytes(from: part)
            start += part.count
        }
    }

    func abort(code: Int32) { rendezvous.leave(rank: rank, error: InProcessAbort(rank: rank, code: code)) }
}

/// The error with which a group of threads ends after `abort(code:)`.
public struct InProcessAbort: Error, CustomStringConvertible, Sendable, Equatable {
    /// The rank that aborted.
    public let rank: Int
    /// The requested exit code.
    public let code: Int32

    package init(rank: Int, code: Int32) {
        self.rank = rank
        self.code = code
    }

    /// One line.
    public var description: String { "rank \(rank) aborted the run with code \(code); see its earlier message" }
}
