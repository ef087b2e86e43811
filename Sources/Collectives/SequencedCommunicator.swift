/// The base class of all communicators: it numbers the operations, compares the headers of all ranks and agrees on
/// sizes; the transport below only transfers bytes.
public class SequencedCommunicator: Communicator {
    let transport: any Transport
    private var sequence = 0
    /// The largest chunk of a buffer broadcast; far below MPI's 32-bit limit.
    private static let broadcastChunk = 1 << 28

    public private(set) var hostNames: [String]
    /// The first rank of every rank's node.
    private(set) var firstRanks: [Int]
    public var phase = "" { didSet { activity.enter(phase: phase) } }
    public let activity = ActivityRecord()
    public private(set) var bytesSent = 0

    public var rank: Int { transport.rank }
    public var worldSize: Int { transport.worldSize }
    public var nodeRank: Int { transport.nodeRank }
    public var ranksOnNode: Int { transport.ranksOnNode }

    /// Creates a communicator over a transport; with `sharesHostNames` the ranks exchange their host names.
    package init(transport: any Transport, hostName: String, sharesHostNames: Bool) throws {
        self.transport = RecordedTransport(transport, in: activity)
        hostNames = [String](repeating: hostName, count: transport.worldSize)
        firstRanks = [Int](repeating: 0, count: transport.worldSize)
        guard sharesHostNames else { return }
        hostNames = try allGather(bytes: Array(hostName.utf8)).map { String(decoding: $0, as: UTF8.self) }
        let firsts = try allGather(bytes: Array(String(transport.firstRankOfNode).utf8))
        firstRanks = firsts.map { Int(String(decoding: $0, as: UTF8.self)) ?? 0 }
    }

    public func barrier() throws { _ = try agree(on: .barrier, count: 0) }

    public func broadcast(bytes: [UInt8], from root: Int) throws -> [UInt8] {
        let headers = try agree(on: .broadcast, root: root, count: rank == root ? bytes.count : 0)
        var result = rank == root ? bytes : [UInt8](repeating: 0, count: Int(headers[root].count))
        try result.withUnsafeMutableBytes { buffer in
            try inChunks(buffer) { try transport.broadcast($0, from: root) }
        }
        return result
    }

    public func broadcast(buffer: UnsafeMutableRawBufferPointer, from root: Int) throws {
        try requireEqualCounts(agree(on: .broadcastBuffer, root: root, count: buffer.count), operation: "broadcast")
        try inChunks(buffer) { try transport.broadcast($0, from: root) }
    }

    public func allGather(bytes: [UInt8]) throws -> [[UInt8]] {
        let counts = try agree(on: .allGather, count: bytes.count).map { Int($0.count) }
        var all = [UInt8](repeating: 0, count: counts.reduce(0, +))
        bytesSent += bytes.count * (worldSize - 1)
        try bytes.withUnsafeBytes { mine in
            try all.withUnsafeMutableBytes { try transport.allGather(mine, into: $0, counts: counts) }
        }
        var start = 0
        return counts.map { count in
            defer { start += count }
            return Array(all[start..<start + count])
        }
    }

    public func allGather(
        floats: UnsafeBufferPointer<Float>, counts: [Int], into all: UnsafeMutableBufferPointer<Float>
    ) throws {
        precondition(counts.count == worldSize, "allGather needs one count per rank")
        precondition(counts[rank] == floats.count && counts.reduce(0, +) == all.count, "allGather's buffers do not fit")
        let headers = try agree(on: .allGatherFloats, count: floats.count)
        if let other = headers.indices.first(where: { Int(headers[$0].count) != counts[$0] }) {
            throw error(
                .countMismatch, "allGather",
                "rank \(other) contributes \(headers[other].count) floats, this rank expects \(counts[other])",
                "check that all ranks run the same configuration and the same build")
        }
        bytesSent += floats.count * MemoryLayout<Float>.stride * (worldSize - 1)
        try transport.allGather(
            UnsafeRawBufferPointer(floats), into: UnsafeMutableRawBufferPointer(all),
            counts: counts.map { $0 * MemoryLayout<Float>.stride })
    }

    public func allToAll(
        floats: UnsafeBufferPointer<Float>, counts: [Int], announcing announcement: Int, into received: inout [Float],
        receiveCounts: (_ announcements: [Int]) -> [Int]
    ) throws {
        precondition(counts.count == worldSize && counts.reduce(0, +) == floats.count, "allToAll's buffers do not fit")
        let headers = try agree(on: .allToAll, count: announcement)
        let incoming = receiveCounts(headers.map { Int($0.count) })
        let total = incoming.reduce(0, +)
        if received.count < total { received = [Float](repeating: 0, count: total) }
        try received.withUnsafeMutableBufferPointer {
            try move(
                floats: floats, counts: counts, into: UnsafeMutableBufferPointer(rebasing: $0[..<total]),
                receiveCounts: incoming)
        }
    }

    public func reduceSum(_ values: [Double]) throws -> [Double] {
        try reduce(values, .reduceSum, 0) { $0 + $1 }
    }

    public func allMinimum(_ values: [Int]) throws -> [Int] { try reduce(values, .allMinimum, Int.max, min) }

    public func allMaximum(_ values: [Int]) throws -> [Int] { try reduce(values, .allMaximum, Int.min, max) }

    public func abort(code: Int32) { transport.abort(code: code) }
}

extension SequencedCommunicator {
    /// Creates an error of this rank.
    func error(
        _ kind: CollectivesError.Kind, _ operation: String, _ reason: String, _ remedy: String
    ) -> CollectivesError {
        CollectivesError(
            kind, operation: operation, rank: rank, host: hostNames[rank], reason: reason, remedy: remedy)
    }

    /// Exchanges headers and checks that all ranks are in the same operation.
    func agree(
        on operation: CollectiveOperation, root: Int = -1, count: Int
    ) throws -> [CollectiveHeader] {
        precondition(root < worldSize, "rank \(root) does not exist among \(worldSize) ranks")
        let headers = try transport.exchange(header: nextHeader(operation, root: root, count: count))
        bytesSent += CollectiveHeader.byteCount * (worldSize - 1)
        guard let other = headers.firstIndex(where: { !$0.agrees(with: headers[0]) }) else { return headers }
        throw error(
            .operationMismatch, "\(operation)",
            "rank 0 (\(hostNames[0])) is in \(headers[0].summary), rank \(other) (\(hostNames[other])) in "
                + headers[other].summary,
            "the ranks took different paths: check that all run the same build, configuration and data")
    }

    private func nextHeader(_ operation: CollectiveOperation, root: Int, count: Int) -> CollectiveHeader {
        sequence += 1
        return CollectiveHeader(sequence: sequence, operation: operation, root: root, count: count, phase: phase)
    }

    func requireEqualCounts(_ headers: [CollectiveHeader], operation: String) throws {
        guard let other = headers.firstIndex(where: { $0.count != headers[0].count }) else { return }
        throw error(
            .countMismatch, operation,
            "rank 0 brings \(headers[0].count) elements, rank \(other) (\(hostNames[other])) \(headers[other].count)",
            "check that all ranks run the same configuration and the same build")
    }

    /// Transfers a large buffer in chunks.
    func inChunks(
        _ buffer: UnsafeMutableRawBufferPointer, _ move: (UnsafeMutableRawBufferPointer) throws -> Void
    ) throws {
        for start in stride(from: 0, to: buffer.count, by: Self.broadcastChunk) {
            let end = min(start + Self.broadcastChunk, buffer.count)
            try move(UnsafeMutableRawBufferPointer(rebasing: buffer[start..<end]))
        }
    }

    private func move(
        floats: UnsafeBufferPointer<Float>, counts: [Int], into received: UnsafeMutableBufferPointer<Float>,
        receiveCounts: [Int]
    ) throws {
        let size = MemoryLayout<Float>.stride
        bytesSent += (floats.count - counts[rank]) * size
        try transport.allToAll(
            UnsafeRawBufferPointer(floats), counts: counts.map { $0 * size },
            into: UnsafeMutableRawBufferPointer(received), receiveCounts: receiveCounts.map { $0 * size })
    }

    /// Gathers all ranks' values and combines them in rank order.
    private func reduce<Value: BitwiseCopyable>(
        _ values: [Value], _ operation: CollectiveOperation, _ initial: Value, _ combine: (Value, Value) -> Value
    ) throws -> [Value] {
        try requireEqualCounts(agree(on: operation, count: values.count), operation: "\(operation)")
        var all = [Value](repeating: initial, count: values.count * worldSize)
        let counts = [Int](repeating: values.count * MemoryLayout<Value>.stride, count: worldSize)
        try values.withUnsafeBytes { mine in
            try all.withUnsafeMutableBytes { try transport.allGather(mine, into: $0, counts: counts) }
        }
        return values.indices.map { index in
            var total = all[index]
            for other in 1..<max(worldSize, 1) { total = combine(total, all[other * values.count + index]) }
            return total
        }
    }
}
