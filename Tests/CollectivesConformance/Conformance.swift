public import Collectives

/// One requirement every communicator must meet; all ranks run it.
public struct ConformanceCase: Sendable, CustomStringConvertible {
    /// What the case shows.
    public let name: String
    /// Runs the case on one rank; throws only if an operation fails that must not.
    public let run: @Sendable (any Communicator, Check) throws -> Void

    init(_ name: String, _ run: @escaping @Sendable (any Communicator, Check) throws -> Void) {
        self.name = name
        self.run = run
    }

    /// The name.
    public var description: String { name }
}

/// The list of requirements, the same for one process, threads and MPI.
public enum Conformance {
    /// All cases, in the order in which they run.
    public static let cases: [ConformanceCase] = operations + disagreements + sampleOrder + nodeMemory

    static let operations: [ConformanceCase] = [
        ConformanceCase("ranks and hosts are numbered") { communicator, check in
            check.expect((0..<communicator.worldSize).contains(communicator.rank), "rank outside the world")
            check.expect((0..<communicator.ranksOnNode).contains(communicator.nodeRank), "node rank outside the node")
            check.equal(communicator.hostNames.count, communicator.worldSize, "host names")
            check.expect(!communicator.hostName.isEmpty, "empty host name")
            let ranks = try communicator.allGather(bytes: [UInt8(communicator.rank)])
            check.equal(ranks, (0..<communicator.worldSize).map { [UInt8($0)] }, "ranks in order")
        },
        ConformanceCase("nobody leaves a barrier before everybody entered") { communicator, check in
            for _ in 0..<20 { try communicator.barrier() }
        },
        ConformanceCase("broadcast from every root, sizes known to the root alone") { communicator, check in
            for root in 0..<communicator.worldSize {
                for size in [0, 1, 17, 100_000] {
                    let message = bytes(size, salt: root)
                    let mine = communicator.rank == root ? message : bytes(3, salt: 99)
                    let received = try communicator.broadcast(bytes: mine, from: root)
                    check.expect(received == message, "\(size) bytes from rank \(root) arrived changed")
                }
            }
        },
        ConformanceCase("a buffer is broadcast in place") { communicator, check in
            let root = communicator.worldSize - 1
            var buffer = bytes(70_001, salt: communicator.rank)
            try buffer.withUnsafeMutableBytes { try communicator.broadcast(buffer: $0, from: root) }
            check.expect(buffer == bytes(70_001, salt: root), "the buffer differs from the root's")
        },
        ConformanceCase("all-gather of byte arrays of different lengths") { communicator, check in
            let sizes = (0..<communicator.worldSize).map { ($0 * 37 + 1) % 5 * 1000 }  // some are empty
            let all = try communicator.allGather(bytes: bytes(sizes[communicator.rank], salt: communicator.rank))
            check.expect(all == sizes.enumerated().map { bytes($1, salt: $0) }, "gathered bytes differ")
            let nothing = try communicator.allGather(bytes: [])
            check.equal(nothing, [[UInt8]](repeating: [], count: communicator.worldSize), "empty gather")
        },
        ConformanceCase("all-gather of floats of different lengths") { communicator, check in
            let all = try communicator.allGather(floats: floats(communicator.rank * 3, salt: communicator.rank))
            check.expect(all == (0..<communicator.worldSize).map { floats($0 * 3, salt: $0) }, "gathered floats differ")
        },
        ConformanceCase("all-to-all with different counts, also none") { communicator, check in
            func message(_ source: Int, _ destination: Int) -> [Float] {
                floats((source * 5 + destination * 3) % 7, salt: source * 100 + destination)
            }
            let world = 0..<communicator.worldSize
            let sent = world.map { message(communicator.rank, $0) }
            let expected = world.map { message($0, communicator.rank) }
            var received: [Float] = []
            var announced: [Int] = []
            try Array(sent.joined()).withUnsafeBufferPointer { flat in
                try communicator.allToAll(
                    floats: flat, counts: sent.map(\.count), announcing: 100 + communicator.rank, into: &received
                ) { announcements in
                    announced = announcements
                    return expected.map(\.count)
                }
            }
            check.equal(announced, world.map { 100 + $0 }, "announcements")
            check.expect(received == Array(expected.joined()), "exchanged floats differ")
        },
        ConformanceCase("sums of doubles are added in rank order") { communicator, check in
            // 1 + 1e-16 + ... depends on the order, so another order would show.
            func values(_ rank: Int) -> [Double] { [rank == 0 ? 1 : 1.0e-16, Double(rank), -0.1 * Double(rank)] }
            let total = try communicator.reduceSum(values(communicator.rank))
            var expected = values(0)
            for rank in 1..<max(1, communicator.worldSize) {
                for index in expected.indices { expected[index] += values(rank)[index] }
            }
            check.equal(total.map(\.bitPattern), expected.map(\.bitPattern), "sum")
        },
        ConformanceCase("minimum and maximum") { communicator, check in
            let last = communicator.worldSize - 1
            let values = [communicator.rank, -communicator.rank, 7]
            check.equal(try communicator.allMinimum(values), [0, -last, 7], "minimum")
            check.equal(try communicator.allMaximum(values), [last, 0, 7], "maximum")
        },
    ]

    /// A reproducible byte array.
    static func bytes(_ count: Int, salt: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ ($0 >> 8) &+ salt &* 17 &+ 5) }
    }

    /// Reproducible floats in about -1 ... 1 with full mantissas and different exponents.
    static func floats(_ count: Int, salt: Int) -> [Float] {
        var state = UInt64(truncatingIfNeeded: salt) &* 0x9e37_79b9_7f4a_7c15 &+ 1
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let unit = Float(Int32(truncatingIfNeeded: state >> 32)) * 0x1p-31
            return unit * Float(sign: .plus, exponent: -Int(state >> 29 & 7), significand: 1)
        }
    }
}
