import Glibc

/// The communicator of a run without `mpirun`: one rank, no MPI.
public final class SingleProcessCommunicator: SequencedCommunicator {
    /// Creates the communicator of a lone process.
    public init() throws {
        try super.init(transport: SingleProcessTransport(), hostName: localHostName(), sharesHostNames: false)
    }
}

/// The name of this machine, without asking a name server.
package func localHostName() -> String {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Copies a rank's contribution to itself.
private final class SingleProcessTransport: Transport {
    let rank = 0
    let worldSize = 1
    let nodeRank = 0
    let ranksOnNode = 1
    let firstRankOfNode = 0

    func exchange(header: CollectiveHeader) -> [CollectiveHeader] { [header] }

    func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int) {}

    func allGather(_ bytes: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer, counts: [Int]) {
        all.copyMemory(from: bytes)
    }

    func allToAll(
        _ bytes: UnsafeRawBufferPointer, counts: [Int], into received: UnsafeMutableRawBufferPointer,
        receiveCounts: [Int]
    ) {
        received.copyMemory(from: bytes)
    }

    /// There is no other rank to stop.
    func abort(code: Int32) {}
}
