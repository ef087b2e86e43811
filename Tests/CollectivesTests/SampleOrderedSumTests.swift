import Collectives
import CollectivesConformance
import Testing

/// Sums of whole blocks before sending, compared with the tree over all samples in one process.
@Suite struct SampleOrderedSumTests {
    private static let parameters = 11

    /// The positions each rank holds of a batch, in the order in which it computes.
    private struct Deal {
        var batchSize: Int
        var held: [[Int]]
        /// Positions of weight 0.
        var empty: Set<Int>

        /// Every position to any rank, or to none; ranks in any order.
        init(any globalBatch: Int, ranks: Int, _ random: inout SplitMix64) {
            batchSize = Int.random(in: max(1, globalBatch / 2)...globalBatch, using: &random)
            held = [[Int]](repeating: [], count: ranks)
            for position in 0..<batchSize where Int.random(in: 0..<8, using: &random) > 0 {
                held[Int.random(in: 0..<ranks, using: &random)].append(position)
            }
            held = held.map { $0.shuffled(using: &random) }
            empty = Self.some(of: batchSize, &random)
        }

        /// Consecutive positions to each rank, ascending or descending.
        init(runs globalBatch: Int, ranks: Int, _ random: inout SplitMix64) {
            let size = Int.random(in: 1...globalBatch, using: &random)
            let isDescending = Bool.random(using: &random)
            batchSize = size
            held = (0..<ranks).map { rank in
                let run = rank * size / ranks..<(rank + 1) * size / ranks
                return isDescending ? run.reversed() : Array(run)
            }
            empty = Self.some(of: size, &random)
        }

        private static func some(of size: Int, _ random: inout SplitMix64) -> Set<Int> {
            let share = Int.random(in: 0...3, using: &random)
            return Set((0..<size).filter { _ in Int.random(in: 0..<4, using: &random) < share })
        }
    }

    /// Floats of very different sizes, so that every other order of additions changes the bits.
    private static func gradient(_ salt: Int) -> [Float] {
        var random = SplitMix64(seed: UInt64(salt))
        return (0..<parameters).map { _ in
            Float.random(in: -1...1, using: &random) * Float(1 << Int.random(in: 0..<20, using: &random))
        }
    }

    /// Neighbours in pairs, pairs of pairs, and so on; where one of two is missing the other is unchanged.
    private static func reference(_ gradients: [[Float]?]) -> [Float] {
        var row = gradients
        while row.count > 1 {
            row = stride(from: 0, to: row.count, by: 2).map { left in
                guard left + 1 < row.count, let second = row[left + 1] else { return row[left] }
                guard let first = row[left] else { return second }
                return zip(first, second).map { $0 + $1 }
            }
        }
        return row[0] ?? [Float](repeating: 0, count: parameters)
    }

    @Test(.timeLimit(.minutes(2)), arguments: 1...17) func theBitsAreThoseOfTheWholeTree(globalBatch: Int) throws {
        for ranks in 1...6 {
            var random = SplitMix64(seed: UInt64(100 * globalBatch + ranks))
            let deals = (0..<12).map { index in
                index < 8
                    ? Deal(any: globalBatch, ranks: ranks, &random) : Deal(runs: globalBatch, ranks: ranks, &random)
            }
            let expected = deals.enumerated().map { salt, deal in
                Self.reference(
                    (0..<deal.batchSize).map { position in
                        let isHeld = deal.held.contains { $0.contains(position) }
                        return isHeld && !deal.empty.contains(position)
                            ? Self.gradient(1000 * salt + position) : nil
                    }
                ).map(\.bitPattern)
            }
            let sums = try InProcessCommunicator.run(ranks: ranks) { communicator in
                let sum = SampleOrderedSum(
                    parameterCount: Self.parameters, globalBatch: globalBatch, communicator: communicator)
                return try deals.enumerated().map { salt, deal in
                    let mine = deal.held[communicator.rank]
                    let batch = try sum.exchange(
                        mine.map {
                            SampleRecord(position: $0, values: [], hasGradient: !deal.empty.contains($0))
                        },
                        gradients: mine.filter { !deal.empty.contains($0) }.map { Self.gradient(1000 * salt + $0) },
                        batchSize: deal.batchSize)
                    return try sum.gather(slice: sum.sum(of: batch)).map(\.bitPattern)
                }
            }
            for all in sums { #expect(all == expected, "\(globalBatch) positions on \(ranks) ranks") }
        }
    }

    /// Two ranks that hold whole halves of a batch of 4 + 3 send one vector each, weight 0 or not.
    @Test func wholeBlocksAreOneVector() throws {
        for empty in [[], [2], [4, 6], [0, 1, 2, 3]] {
            let sent = try InProcessCommunicator.run(ranks: 2) { communicator in
                let sum = SampleOrderedSum(parameterCount: 1000, globalBatch: 8, communicator: communicator)
                let mine = communicator.rank == 0 ? 0..<4 : 4..<7
                let before = communicator.bytesSent
                _ = try sum.exchange(
                    mine.map { SampleRecord(position: $0, values: [], hasGradient: !empty.contains($0)) },
                    gradients: mine.filter { !empty.contains($0) }.map { [Float](repeating: Float($0), count: 1000) },
                    batchSize: 7)
                return (communicator.bytesSent - before) / 2000
            }
            #expect(sent == [empty.count == 4 ? 0 : 1, 1])
        }
    }

    /// Consecutive samples leave one vector per bit of their number, and one more during an addition.
    @Test(arguments: [0, 64, 192]) func aSlabHoldsTheLogarithmOfItsSamples(first: Int) {
        let gradient = Self.gradient(1)
        for count in 1...64 {
            let slab = GradientSlab(parameterCount: Self.parameters)
            slab.begin(batchSize: 256)
            for position in first..<first + count {
                if position % 11 == 5 {
                    slab.addEmpty(at: position)
                } else {
                    gradient.withUnsafeBufferPointer { slab.add($0, at: position) }
                }
            }
            #expect(slab.vectorCount <= Int.bitWidth - count.leadingZeroBitCount, "\(count) samples")
        }
    }

    @Test func aSlabIsUsedAgain() throws {
        let communicator = try SingleProcessCommunicator()
        let sum = SampleOrderedSum(parameterCount: Self.parameters, globalBatch: 3, communicator: communicator)
        let slab = GradientSlab(parameterCount: Self.parameters)
        slab.begin(batchSize: 3)
        for position in [2, 0] { Self.gradient(9).withUnsafeBufferPointer { slab.add($0, at: position) } }
        #expect(slab.vectorCount == 2)
        // An abandoned step leaves nothing behind.
        for size in [3, 2] {
            slab.begin(batchSize: size)
            for position in 0..<size {
                Self.gradient(position).withUnsafeBufferPointer { slab.add($0, at: position) }
            }
            let batch = try sum.exchange((0..<size).map { SampleRecord(position: $0, values: []) }, slab)
            #expect(sum.sum(of: batch) == Self.reference((0..<size).map { Self.gradient($0) }))
            #expect(slab.vectorCount == 0)
        }
    }
}

/// A small generator, so that a test draws the same numbers everywhere.
private struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var bits = state
        bits = (bits ^ bits >> 30) &* 0xbf58_476d_1ce4_e5b9
        bits = (bits ^ bits >> 27) &* 0x94d0_49bb_1331_11eb
        return bits ^ bits >> 31
    }
}
