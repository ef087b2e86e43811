public import Collectives

extension Conformance {
    /// A batch of the sample-order cases: vector length, batch size, and the positions that bring a gradient.
    struct Batch {
        var parameters: Int
        var globalBatch: Int
        /// Positions that no rank holds.
        var absent: Set<Int> = []
        /// Positions of weight 0: held, with a record, without a gradient.
        var weightless: Set<Int> = []
    }

    static let batches: [Batch] = [
        Batch(parameters: 1, globalBatch: 1),
        Batch(parameters: 3, globalBatch: 2),
        Batch(parameters: 101, globalBatch: 8),
        Batch(parameters: 5003, globalBatch: 7, absent: [6]),
        Batch(parameters: 4099, globalBatch: 13, absent: [0, 12], weightless: [1, 5]),
        Batch(parameters: 64, globalBatch: 6, weightless: [0, 1, 2, 3, 4, 5]),
        Batch(parameters: 64, globalBatch: 5, absent: [0, 1, 2, 3]),
    ]

    static let sampleOrder: [ConformanceCase] = [
        ConformanceCase("sums equal the tree over positions, bit for bit") { communicator, check in
            for batch in batches {
                for isDealtBackwards in [false, true] {
                    let total = try sum(batch, communicator, isDealtBackwards: isDealtBackwards)
                    let expected =
                        treeSum(batch, 0..<batch.globalBatch) ?? [Float](repeating: 0, count: batch.parameters)
                    check.expect(
                        total.map(\.bitPattern) == expected.map(\.bitPattern),
                        "the sum of \(batch) differs from the tree")
                }
            }
        },
        ConformanceCase("the tree is not a plain sum, so its order shows in the bits") { _, check in
            let batch = batches[2]
            var plain = [Float](repeating: 0, count: batch.parameters)
            for position in 0..<batch.globalBatch {
                for (index, value) in gradient(batch, position).enumerated() { plain[index] += value }
            }
            check.expect(treeSum(batch, 0..<batch.globalBatch) != plain, "the test data cannot tell two orders apart")
        },
        ConformanceCase("records arrive by position, flags are reduced") { communicator, check in
            let batch = batches[4]
            let sum = SampleOrderedSum(
                parameterCount: batch.parameters, globalBatch: batch.globalBatch, communicator: communicator)
            let mine = positions(batch, communicator, isDealtBackwards: false)
            let last = communicator.worldSize - 1
            let all = try sum.gatherRecords(
                records(mine, batch), isFinite: communicator.rank != last, wantsStop: communicator.rank == 0)
            for position in 0..<batch.globalBatch {
                let expected = batch.absent.contains(position) ? nil : values(position)
                check.equal(all.values[position], expected, "values of position \(position)")
            }
            check.equal(all.unreadablePositions, batch.weightless.sorted(), "samples that cannot be read")
            check.equal(all.nonFiniteRanks, [last], "ranks with a number that is not finite")
            check.equal(all.stoppingRanks, [0], "ranks that stop")
            check.expect(!all.isFinite && all.wantsStop, "flags")
            let quiet = try sum.gatherRecords([])
            check.expect(quiet.isFinite && !quiet.wantsStop, "flags of a quiet batch")
            check.equal(all.sums(count: 2)[0], 13.0 * 12 / 2 - 12, "sum of positions")
        },
        ConformanceCase("records travel with the gradients; the bytes sent are those of the formula") {
            communicator, check in
            let (parameters, batch) = (10_000, 8)
            let sum = SampleOrderedSum(parameterCount: parameters, globalBatch: batch, communicator: communicator)
            let mine = (0..<batch).filter { $0 % communicator.worldSize == communicator.rank }
            let before = communicator.bytesSent
            let all = try sum.exchange(
                mine.map { SampleRecord(position: $0, values: values($0)) },
                gradients: mine.map { floats(parameters, salt: $0) }, isFinite: true, wantsStop: communicator.rank == 0)
            _ = try sum.gather(slice: sum.sum(of: all))
            check.equal(all.values.count { $0 != nil }, batch, "records")
            check.equal(all.stoppingRanks, [0], "ranks that stop")
            let others = Double(communicator.worldSize - 1) / Double(communicator.worldSize)
            let expected = 4 * Double(parameters * (mine.count + 1)) * others
            let sent = Double(communicator.bytesSent - before)
            check.expect(sent >= expected - 100 && sent <= 1.1 * expected + 100, "\(sent) bytes, not \(expected)")
        },
        ConformanceCase("consecutive positions cost no more bytes than one") { communicator, check in
            let (parameters, images) = (10_000, 8)
            let world = communicator.worldSize
            let sum = SampleOrderedSum(
                parameterCount: parameters, globalBatch: images * world, communicator: communicator)
            let mine = communicator.rank * images..<(communicator.rank + 1) * images
            let before = communicator.bytesSent
            let all = try sum.exchange(
                mine.map { SampleRecord(position: $0, values: values($0)) },
                gradients: mine.map { floats(parameters, salt: $0) })
            _ = try sum.gather(slice: sum.sum(of: all))
            check.equal(all.gradientPositions.map(\.count), [Int](repeating: images, count: world), "gradients")
            let expected = 2 * 4 * Double(parameters) * Double(world - 1) / Double(world)
            let sent = Double(communicator.bytesSent - before)
            check.expect(sent >= expected - 100 && sent <= 1.1 * expected + 100, "\(sent) bytes, not \(expected)")
        },
        ConformanceCase("slices cover the vector once") { communicator, check in
            for count in [0, 1, 2, 7, 100] {
                let slices = ParameterSlices(count: count, ranks: communicator.worldSize)
                let covered = (0..<communicator.worldSize).flatMap { Array(slices.range(of: $0)) }
                check.equal(covered, Array(0..<count), "slices of \(count)")
                check.expect((slices.counts.max() ?? 0) - (slices.counts.min() ?? 0) <= 1, "uneven slices of \(count)")
            }
        },
    ]

    /// A fingerprint (FNV-1a) of all sums, which must not depend on the number of ranks.
    public static func digest(_ communicator: any Communicator) throws -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for batch in batches {
            for value in try sum(batch, communicator, isDealtBackwards: false) {
                hash = (hash ^ UInt64(value.bitPattern)) &* 0x0000_0100_0000_01b3
            }
        }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// The sum of a batch, gathered on every rank.
    private static func sum(
        _ batch: Batch, _ communicator: any Communicator, isDealtBackwards: Bool
    ) throws -> [Float] {
        let sum = SampleOrderedSum(
            parameterCount: batch.parameters, globalBatch: batch.globalBatch, communicator: communicator)
        let mine = positions(batch, communicator, isDealtBackwards: isDealtBackwards)
        let gradients = mine.filter { !batch.weightless.contains($0) }.map { gradient(batch, $0) }
        let all = try sum.exchange(records(mine, batch), gradients: gradients)
        return try sum.gather(slice: sum.sum(of: all))
    }

    /// The positions this rank holds: dealt in turn, or in turn from the last rank and in falling order.
    private static func positions(
        _ batch: Batch, _ communicator: any Communicator, isDealtBackwards: Bool
    ) -> [Int] {
        let world = communicator.worldSize
        let own = isDealtBackwards ? world - 1 - communicator.rank : communicator.rank
        let all = (0..<batch.globalBatch).filter { $0 % world == own && !batch.absent.contains($0) }
        return isDealtBackwards ? all.reversed() : all
    }

    private static func records(_ positions: [Int], _ batch: Batch) -> [SampleRecord] {
        positions.map {
            SampleRecord(
                position: $0, values: values($0), hasGradient: !batch.weightless.contains($0),
                isUnreadable: batch.weightless.contains($0))
        }
    }

    private static func values(_ position: Int) -> [Double] { [Double(position), 0.1 * Double(position)] }

    private static func gradient(_ batch: Batch, _ position: Int) -> [Float] {
        floats(batch.parameters, salt: batch.globalBatch * 1000 + position)
    }

    /// The sum of a range of positions by recursion: the left part is the largest power of two below the length.
    private static func treeSum(_ batch: Batch, _ range: Range<Int>) -> [Float]? {
        if range.count == 1 {
            let position = range.lowerBound
            let isSilent = batch.absent.contains(position) || batch.weightless.contains(position)
            return isSilent ? nil : gradient(batch, position)
        }
        var left = 1
        while left * 2 < range.count { left *= 2 }
        let middle = range.lowerBound + left
        guard let first = treeSum(batch, range.lowerBound..<middle) else {
            return treeSum(batch, middle..<range.upperBound)
        }
        guard let second = treeSum(batch, middle..<range.upperBound) else { return first }
        return zip(first, second).map { $0 + $1 }
    }
}
