import COpenMPI
import Foundation

/// The ranks that `mpirun` started.
///
/// MPI is initialised at most once per process, at thread level `FUNNELED`: every call comes from the thread that
/// initialised it. Operations use a private duplicate of the world communicator whose error handler returns codes.
public final class MPICommunicator: SequencedCommunicator {
    private let mpi: MPITransport

    /// Initialises MPI and duplicates the world communicator.
    ///
    /// Throws `CollectivesError` if MPI was initialised before or does not offer the thread level.
    public static func initialise() throws -> MPICommunicator { try MPICommunicator(mpi: MPITransport.initialise()) }

    private init(mpi: MPITransport) throws {
        self.mpi = mpi
        try super.init(transport: mpi, hostName: localHostName(), sharesHostNames: true)
    }

    /// Frees the communicators and finalises MPI; collective, and the last thing a rank does with MPI.
    public func finalize() throws {
        try activity.transfer(.finalize) { try mpi.finalize() }
        activity.end()
    }

    /// The library's own description, for example `Open MPI v4.1.4, package: Debian OpenMPI`.
    public static var libraryVersion: String {
        var text = [CChar](repeating: 0, count: Int(MPI_MAX_LIBRARY_VERSION_STRING))
        var length: Int32 = 0
        guard MPI_Get_library_version(&text, &length) == kedge_mpi_success() else { return "unknown MPI library" }
        let bytes = text.prefix(Int(length)).prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Transfers bytes with MPI and converts its return codes to errors.
private final class MPITransport: Transport {
    let rank: Int
    let worldSize: Int
    let nodeRank: Int
    let ranksOnNode: Int
    let firstRankOfNode: Int
    var sharesMemory: Bool { true }
    private var world: MPI_Comm?
    /// The ranks that share this node's memory.
    private var node: MPI_Comm?
    /// The first ranks of all nodes, in rank order; nil on other ranks.
    private var firstRanks: MPI_Comm?
    private var windows: [MPI_Win?] = []
    /// Open MPI's files that have been unlinked.
    private var transportFiles: [String] = []
    private let thread = pthread_self()

    private init(world: MPI_Comm, rank: Int, worldSize: Int) throws {
        self.world = world
        self.rank = rank
        self.worldSize = worldSize
        let code = MPI_Comm_split_type(
            world, kedge_mpi_comm_type_shared(), Int32(rank), kedge_mpi_info_null(), &node)
        try Self.check(code, "MPI_Comm_split_type", rank: rank)
        (nodeRank, ranksOnNode) = try Self.place(in: node)
        var first = Int32(rank)
        try Self.check(MPI_Bcast(&first, 1, kedge_mpi_int32(), 0, node), "MPI_Bcast", rank: rank)
        firstRankOfNode = Int(first)
        let colour = nodeRank == 0 ? 0 : kedge_mpi_undefined()
        try Self.check(MPI_Comm_split(world, colour, Int32(rank), &firstRanks), "MPI_Comm_split", rank: rank)
        // The split has shown that all ranks have left MPI_Init.
        transportFiles = TransportFiles.unlinkMapped()
    }

    static func initialise() throws -> MPITransport {
        var done: Int32 = 0
        try check(MPI_Initialized(&done), "MPI_Initialized")
        guard done == 0 else {
            throw CollectivesError(
                .notInitialised, operation: "MPI_Init_thread", rank: 0, host: localHostName(),
                reason: "MPI was initialised before in this process", remedy: "make one MPICommunicator and pass it on")
        }
        var provided: Int32 = 0
        try check(MPI_Init_thread(nil, nil, kedge_mpi_thread_funneled(), &provided), "MPI_Init_thread")
        guard provided >= kedge_mpi_thread_funneled() else {
            throw CollectivesError(
                .notInitialised, operation: "MPI_Init_thread", rank: 0, host: localHostName(),
                reason: "this MPI library offers thread level \(provided), below MPI_THREAD_FUNNELED",
                remedy: "use an Open MPI built with thread support")
        }
        try check(MPI_Comm_set_errhandler(kedge_mpi_comm_world(), kedge_mpi_errors_return()), "MPI_Comm_set_errhandler")
        var copy: MPI_Comm?
        try check(MPI_Comm_dup(kedge_mpi_comm_world(), &copy), "MPI_Comm_dup")
        guard let copy else { throw failure("MPI_Comm_dup", "no communicator was returned", rank: 0) }
        try check(MPI_Comm_set_errhandler(copy, kedge_mpi_errors_return()), "MPI_Comm_set_errhandler")
        let (rank, size) = try place(in: copy)
        return try MPITransport(world: copy, rank: rank, worldSize: size)
    }

    /// The rank and size of a communicator.
    private static func place(in communicator: MPI_Comm?) throws -> (rank: Int, count: Int) {
        var rank: Int32 = 0
        var size: Int32 = 0
        try check(MPI_Comm_rank(communicator, &rank), "MPI_Comm_rank")
        try check(MPI_Comm_size(communicator, &size), "MPI_Comm_size")
        return (Int(rank), Int(size))
    }

    func finalize() throws {
        _ = try communicator("MPI_Finalize")
        for index in windows.indices { try check(MPI_Win_free(&windows[index]), "MPI_Win_free") }
        windows = []
        if nodeRank == 0 { try check(MPI_Comm_free(&firstRanks), "MPI_Comm_free") }
        try check(MPI_Comm_free(&node), "MPI_Comm_free")
        try check(MPI_Comm_free(&world), "MPI_Comm_free")
        world = nil
        TransportFiles.restore(transportFiles, rank: nodeRank)
        try check(MPI_Finalize(), "MPI_Finalize")
    }

    func exchange(header: CollectiveHeader) throws -> [CollectiveHeader] {
        let mine = header.encoded
        let size = Int32(CollectiveHeader.byteCount)
        var all = [UInt8](repeating: 0, count: CollectiveHeader.byteCount * worldSize)
        let code = try MPI_Allgather(
            mine, size, kedge_mpi_byte(), &all, size, kedge_mpi_byte(), communicator("MPI_Allgather"))
        try check(code, "MPI_Allgather")
        return all.withUnsafeBytes { raw in
            (0..<worldSize).map { rank in
                let start = rank * CollectiveHeader.byteCount
                return CollectiveHeader(
                    decoding: UnsafeRawBufferPointer(rebasing: raw[start..<start + CollectiveHeader.byteCount]))
            }
        }
    }

    func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int) throws {
        let count = try narrow(buffer.count, "MPI_Bcast")
        let code = try MPI_Bcast(buffer.baseAddress, count, kedge_mpi_byte(), Int32(root), communicator("MPI_Bcast"))
        try check(code, "MPI_Bcast")
    }

    func allGather(_ bytes: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer, counts: [Int]) throws {
        let layout = try layout(counts, "MPI_Allgatherv")
        let code = try MPI_Allgatherv(
            bytes.baseAddress, layout.counts[rank], kedge_mpi_byte(), all.baseAddress, layout.counts, layout.offsets,
            kedge_mpi_byte(), communicator("MPI_Allgatherv"))
        try check(code, "MPI_Allgatherv")
    }

    func allToAll(
        _ bytes: UnsafeRawBufferPointer, counts: [Int], into received: UnsafeMutableRawBufferPointer,
        receiveCounts: [Int]
    ) throws {
        let outgoing = try layout(counts, "MPI_Alltoallv")
        let incoming = try layout(receiveCounts, "MPI_Alltoallv")
        let code = try MPI_Alltoallv(
            bytes.baseAddress, outgoing.counts, outgoing.offsets, kedge_mpi_byte(), received.baseAddress,
            incoming.counts, incoming.offsets, kedge_mpi_byte(), communicator("MPI_Alltoallv"))
        try check(code, "MPI_Alltoallv")
    }

    // MARK: Memory of a node

    func makeWindow(byteCount: Int) throws -> UnsafeMutableRawPointer {
        _ = try communicator("MPI_Win_allocate_shared")
        var window: MPI_Win?
        var start: UnsafeMutableRawPointer?
        // One more page, because the library guarantees no page boundary. The first rank allocates all the memory.
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let size = MPI_Aint(nodeRank == 0 ? byteCount + page : 0)
        let code = withUnsafeMutablePointer(to: &start) {
            MPI_Win_allocate_shared(size, 1, kedge_mpi_info_null(), node, $0, &window)
        }
        try check(code, "MPI_Win_allocate_shared")
        windows.append(window)
        // Windows do not inherit the communicator's handler.
        try check(MPI_Win_set_errhandler(window, kedge_mpi_errors_return()), "MPI_Win_set_errhandler")
        var (extent, unit) = (MPI_Aint(0), Int32(0))
        let query = withUnsafeMutablePointer(to: &start) { MPI_Win_shared_query(window, 0, &extent, &unit, $0) }
        try check(query, "MPI_Win_shared_query")
        guard let start else { throw Self.failure("MPI_Win_shared_query", "no address was returned", rank: rank) }
        // All ranks map the window at a page boundary of the same file, so all skip the same number of bytes.
        return start + (page - Int(bitPattern: start) % page) % page
    }

    func synchroniseWindow() throws {
        _ = try communicator("MPI_Win_sync")
        for window in windows {
            try check(MPI_Win_lock_all(kedge_mpi_mode_nocheck(), window), "MPI_Win_lock_all")
            try check(MPI_Win_sync(window), "MPI_Win_sync")
            try check(MPI_Win_unlock_all(window), "MPI_Win_unlock_all")
        }
    }

    func broadcastToFirstRanks(_ buffer: UnsafeMutableRawBufferPointer) throws {
        let count = try narrow(buffer.count, "MPI_Bcast")
        _ = try communicator("MPI_Bcast")
        try check(MPI_Bcast(buffer.baseAddress, count, kedge_mpi_byte(), 0, firstRanks), "MPI_Bcast")
    }

    func abort(code: Int32) { _ = MPI_Abort(world ?? kedge_mpi_comm_world(), code) }

    // MARK: Codes, counts and the calling thread

    /// The communicator, if MPI is alive and this is the thread that initialised it.
    private func communicator(_ operation: String) throws -> MPI_Comm {
        precondition(pthread_equal(thread, pthread_self()) != 0, "\(operation) must be called by MPI's own thread")
        guard let world else {
            throw CollectivesError(
                .notInitialised, operation: operation, rank: rank, host: localHostName(),
                reason: "MPI has been finalised", remedy: "finalise MPI after the last collective operation")
        }
        return world
    }

    /// A byte count as MPI's 32-bit integer.
    private func narrow(_ count: Int, _ operation: String) throws -> Int32 {
        guard let narrow = Int32(exactly: count) else {
            throw CollectivesError(
                .messageTooLarge, operation: operation, rank: rank, host: localHostName(),
                reason: "\(count) bytes exceed the \(Int32.max) bytes one MPI call can describe",
                remedy: "use more ranks, a smaller global batch or fewer trained parameters")
        }
        return narrow
    }

    /// Byte counts and the offsets of consecutive parts; throws if their end exceeds 32 bits.
    private func layout(_ counts: [Int], _ operation: String) throws -> (counts: [Int32], offsets: [Int32]) {
        _ = try narrow(counts.reduce(0, +), operation)
        var offset = 0
        let offsets = counts.map { count in
            defer { offset += count }
            return Int32(offset)
        }
        return (counts.map(Int32.init), offsets)
    }

    private func check(_ code: Int32, _ operation: String) throws { try Self.check(code, operation, rank: rank) }

    private static func check(_ code: Int32, _ operation: String, rank: Int = 0) throws {
        guard code != kedge_mpi_success() else { return }
        throw failure(operation, String(cString: kedge_mpi_error_string(code)), rank: rank)
    }

    private static func failure(_ operation: String, _ reason: String, rank: Int) -> CollectivesError {
        CollectivesError(
            .mpiFailure, operation: operation, rank: rank, host: localHostName(), reason: reason,
            remedy: "look at the first message of the other ranks and at the network between the hosts")
    }
}
