/// A rank's report on one of its samples to all others: loss parts, counts, or other values of the caller.
public struct SampleRecord: Sendable, Equatable {
    /// The sample's position in the global batch.
    public var position: Int
    /// Numbers that all ranks receive unchanged.
    public var values: [Double]
    /// False for a sample of weight 0, which has no gradient but keeps its place in the batch.
    public var hasGradient: Bool
    /// True for a sample of weight 0 that its rank could not read.
    public var isUnreadable: Bool

    /// Creates a record.
    public init(position: Int, values: [Double], hasGradient: Bool = true, isUnreadable: Bool = false) {
        self.position = position
        self.values = values
        self.hasGradient = hasGradient
        self.isUnreadable = isUnreadable
    }
}

/// The records of a global batch after `SampleOrderedSum.gatherRecords`; the same on every rank.
public struct BatchRecords: Sendable, Equatable {
    /// The number of existing positions: the global batch, or the rest of an epoch for its last one.
    public let batchSize: Int
    /// The values of each sample, by position in the global batch; nil if no rank holds the sample.
    public let values: [[Double]?]
    /// The positions each rank holds, in that rank's own order.
    public let positions: [[Int]]
    /// The positions whose gradients each rank holds, in that rank's own order.
    public let gradientPositions: [[Int]]
    /// The positions of samples that could not be read, ascending.
    public let unreadablePositions: [Int]
    /// The ranks that found a number which is not finite.
    public let nonFiniteRanks: [Int]
    /// The ranks that were asked to stop.
    public let stoppingRanks: [Int]
    /// The ranks that have written their file of the current checkpoint.
    public let writtenRanks: [Int]

    /// True if all ranks' numbers are finite (the minimum over ranks).
    public var isFinite: Bool { nonFiniteRanks.isEmpty }
    /// True if any rank was asked to stop (the maximum over ranks).
    public var wantsStop: Bool { !stoppingRanks.isEmpty }

    /// The element-wise sum of the samples' first `count` values, added in the order of positions.
    public func sums(count: Int) -> [Double] {
        var totals = [Double](repeating: 0, count: count)
        for case .some(let sample) in values {
            for index in 0..<min(count, sample.count) { totals[index] += sample[index] }
        }
        return totals
    }
}

extension BatchRecords {
    /// The first positions of the blocks whose sums each rank sends, ascending.
    var blockStarts: [[Int]] {
        var contributes = [Bool](repeating: false, count: batchSize)
        for position in gradientPositions.joined() { contributes[position] = true }
        var blocks = AlignedBlocks(batchSize: batchSize)
        for (rank, held) in positions.enumerated() {
            for position in held {
                blocks.insert(position, holder: rank, vector: contributes[position] ? 0 : nil) { first, _ in first }
            }
        }
        var starts = [[Int]](repeating: [], count: positions.count)
        for block in blocks.sums { starts[block.holder].append(block.start) }
        return starts
    }

    /// The bits of a sample's flag word.
    private static let (gradientBit, unreadableBit): (UInt64, UInt64) = (1, 2)
    /// The position of the batch's size in the second word.
    private static let sizeShift: UInt64 = 32

    /// One rank's part: flags and the batch's size, then position, flags, value count and values of each sample, as
    /// 64-bit words.
    static func encode(
        _ records: [SampleRecord], batchSize: Int, isFinite: Bool, wantsStop: Bool, hasWritten: Bool = false
    ) -> [UInt8] {
        var words: [UInt64] = [
            isFinite ? 1 : 0, (wantsStop ? 1 : 0) | (hasWritten ? 2 : 0) | UInt64(batchSize) << sizeShift,
        ]
        for record in records {
            words.append(UInt64(bitPattern: Int64(record.position)))
            words.append((record.hasGradient ? gradientBit : 0) | (record.isUnreadable ? unreadableBit : 0))
            words.append(UInt64(record.values.count))
            words.append(contentsOf: record.values.map(\.bitPattern))
        }
        return words.withUnsafeBytes { [UInt8]($0) }
    }

    /// Merges all ranks' parts; returns the reason if they do not form a batch.
    static func decode(_ parts: [[UInt8]], globalBatch: Int) -> Result<BatchRecords, Defect> {
        var values = [[Double]?](repeating: nil, count: globalBatch)
        var holders = [Int?](repeating: nil, count: globalBatch)
        var batchSize = globalBatch
        var positions = [[Int]](repeating: [], count: parts.count)
        var gradientPositions = [[Int]](repeating: [], count: parts.count)
        var unreadablePositions: [Int] = []
        var nonFiniteRanks: [Int] = []
        var stoppingRanks: [Int] = []
        var writtenRanks: [Int] = []
        for (rank, part) in parts.enumerated() {
            let words = part.withUnsafeBytes { raw in
                (0..<raw.count / 8).map { raw.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self) }
            }
            guard words.count >= 2 else { return .failure(Defect("rank \(rank) sent an incomplete record")) }
            let size = Int(words[1] >> sizeShift)
            if rank == 0 { batchSize = size }
            guard size <= globalBatch else {
                return .failure(Defect("rank \(rank) has a batch of \(size) samples, more than \(globalBatch)"))
            }
            guard size == batchSize else {
                return .failure(Defect("rank 0 has a batch of \(batchSize) samples, rank \(rank) one of \(size)"))
            }
            if words[0] == 0 { nonFiniteRanks.append(rank) }
            if words[1] & 1 != 0 { stoppingRanks.append(rank) }
            if words[1] & 2 != 0 { writtenRanks.append(rank) }
            var next = 2
            while next < words.count {
                guard next + 3 <= words.count, let count = Int(exactly: words[next + 2]),
                    count <= words.count - next - 3
                else { return .failure(Defect("rank \(rank) sent an incomplete record")) }
                let position = Int(Int64(bitPattern: words[next]))
                guard (0..<batchSize).contains(position) else {
                    return .failure(Defect("rank \(rank) has position \(position) of a batch of \(batchSize)"))
                }
                if let other = holders[position] {
                    return .failure(Defect("ranks \(other) and \(rank) both hold position \(position)"))
                }
                holders[position] = rank
                positions[rank].append(position)
                values[position] = words[next + 3..<next + 3 + count].map(Double.init(bitPattern:))
                if words[next + 1] & gradientBit != 0 { gradientPositions[rank].append(position) }
                if words[next + 1] & unreadableBit != 0 { unreadablePositions.append(position) }
                next += 3 + count
            }
        }
        return .success(
            BatchRecords(
                batchSize: batchSize, values: values, positions: positions, gradientPositions: gradientPositions,
                unreadablePositions: unreadablePositions.sorted(), nonFiniteRanks: nonFiniteRanks,
                stoppingRanks: stoppingRanks, writtenRanks: writtenRanks))
    }

    /// The reason why records do not form a batch.
    struct Defect: Error {
        let reason: String
        init(_ reason: String) { self.reason = reason }
    }
}
