/// Sums one vector per sample of a global batch so that the number of ranks does not change a bit of the result.
///
/// The sum is a fixed binary tree over the position in the global batch: in round `k = 0, 1, 2, ...` position `i` (a
/// multiple of `2^(k+1)`) adds position `i + 2^k`. A position without a gradient passes its neighbour's sum on
/// unchanged, so the tree is the same for a batch of any size.
///
/// A step has four parts; the second and the last involve all ranks:
/// 1. a `GradientSlab` sums the blocks of the tree that its rank holds completely;
/// 2. `exchange` sends every rank's records (which samples it holds, their loss parts, its flags) to all ranks and slice
///    `s` of the sum of every block to rank `s`, in one all-to-all; the records determine which blocks a rank holds;
/// 3. `sum` adds the rest of the tree for this rank's slice;
/// 4. `gather` joins the owners' updated slices.
///
/// Bytes sent per rank for `P` floats, `b` local blocks and `N` ranks: `4 b P (N-1)/N` for the sum and `4 P (N-1)/N` for
/// the parameters, beside a few hundred bytes of records to each rank. With one block on every rank that is an
/// all-reduce. The latency is that of two data exchanges and two of 64 bytes.
public final class SampleOrderedSum {
    /// The number of positions in the global batch.
    public let globalBatch: Int
    /// The elements owned by each rank.
    public let slices: ParameterSlices

    private let communicator: any Communicator
    /// Floats summed at a time, while they stay in the first-level cache.
    private static let block = 2048
    /// The data of the last exchange; released by `sum`. // [source][records, then its blocks][own slice]
    private var incoming: [Float] = []
    /// The start of each vector of the last exchange in `incoming`, in the order of `BatchRecords.blockStarts`.
    private var vectors: [Int] = []

    /// Prepares sums of vectors of `parameterCount` floats over batches of `globalBatch` samples.
    public init(parameterCount: Int, globalBatch: Int, communicator: any Communicator) {
        precondition(globalBatch > 0, "a global batch holds at least one sample")
        self.globalBatch = globalBatch
        self.communicator = communicator
        slices = ParameterSlices(count: parameterCount, ranks: communicator.worldSize)
    }

    /// The elements this rank owns.
    public var ownSlice: Range<Int> { slices.range(of: communicator.rank) }

    /// Sends each rank's records to all ranks, for batches without gradients (an evaluation).
    ///
    /// - Parameters:
    ///   - records: This rank's samples.
    ///   - isFinite: False if this rank found a loss or gradient that is not finite.
    ///   - wantsStop: True if this rank was asked to stop, for example by a signal.
    ///
    /// Throws `CollectivesError` of kind `invalidBatch` on all ranks if a position is held twice or does not exist.
    public func gatherRecords(
        _ records: [SampleRecord], isFinite: Bool = true, wantsStop: Bool = false
    ) throws -> BatchRecords {
        let mine = BatchRecords.encode(
            records, batchSize: globalBatch, isFinite: isFinite, wantsStop: wantsStop)
        return try decode(try communicator.allGather(bytes: mine))
    }

    /// Sends each rank's records to all ranks, and the sums of blocks to the owners of their slices.
    ///
    /// - Parameters:
    ///   - records: This rank's samples.
    ///   - slab: The gradients of those samples; empty and without memory afterwards.
    ///   - isFinite: False if this rank found a loss or gradient that is not finite.
    ///   - wantsStop: True if this rank was asked to stop, for example by a signal.
    ///   - hasWritten: True if this rank has written its file of the current checkpoint.
    ///
    /// Throws `CollectivesError` of kind `invalidBatch` on all ranks if a position is held twice or does not exist, or if
    /// ranks have batches of different sizes.
    public func exchange(
        _ records: [SampleRecord], _ slab: GradientSlab, isFinite: Bool = true, wantsStop: Bool = false,
        hasWritten: Bool = false
    ) throws -> BatchRecords {
        precondition(slab.parameterCount == slices.count, "vectors of \(slices.count) floats")
        precondition(slab.agrees(with: records), "the slab holds other samples than the records name")
        let head = BatchRecords.encode(
            records, batchSize: slab.batchSize, isFinite: isFinite, wantsStop: wantsStop, hasWritten: hasWritten)
        let headFloats = head.count / MemoryLayout<Float>.stride
        let blocks = slab.sums.count
        let outgoing = pack(head, slab.sums)
        // The gradients are packed: their memory can be reused for received data.
        slab.removeAll()
        let own = ownSlice.count
        var parts: [(head: Int, blocks: Int)] = []
        try outgoing.withUnsafeBufferPointer { sent in
            try communicator.allToAll(
                floats: sent, counts: slices.counts.map { headFloats + $0 * blocks },
                announcing: headFloats << 32 | blocks, into: &incoming
            ) { announcements in
                parts = announcements.map { ($0 >> 32, $0 & 0xffff_ffff) }
                return parts.map { $0.head + $0.blocks * own }
            }
        }
        let batch = try decode(unpack(parts))
        guard zip(batch.blockStarts, parts).allSatisfy({ $0.count == $1.blocks }) else {
            throw invalid("the number of vectors from a rank differs from the number of blocks in its records")
        }
        return batch
    }

    /// The batch's sum over this rank's slice from the last exchange, whose memory is released. `[ownSlice.count]`
    ///
    /// - Parameters:
    ///   - batch: The result of the exchange.
    ///   - result: Receives the sum; zero if no rank has a gradient. `[ownSlice.count]`
    public func sum(of batch: BatchRecords, into result: UnsafeMutableBufferPointer<Float>) {
        precondition(result.count == ownSlice.count, "the result holds this rank's \(ownSlice.count) floats")
        addInTree(starts: batch.blockStarts.flatMap { $0 }, into: result)
        (incoming, vectors) = ([], [])
    }

    /// Concatenates all ranks' slices; every rank receives the whole vector. `[P]`
    public func gather(
        slice: UnsafeBufferPointer<Float>, into parameters: UnsafeMutableBufferPointer<Float>
    ) throws {
        try communicator.allGather(floats: slice, counts: slices.counts, into: parameters)
    }

    /// The batch's sum over this rank's slice as an array. `[ownSlice.count]`
    public func sum(of batch: BatchRecords) -> [Float] {
        var result = [Float](repeating: 0, count: ownSlice.count)
        result.withUnsafeMutableBufferPointer { sum(of: batch, into: $0) }
        return result
    }
}

extension SampleOrderedSum {
    /// Records and this rank's sums, ordered by destination. // [destination][records, then block][slice]
    private func pack(_ head: [UInt8], _ sums: [UnsafePointer<Float>]) -> [Float] {
        let headFloats = head.count / MemoryLayout<Float>.stride
        let count = slices.ranks * headFloats + sums.count * slices.count
        return [Float](unsafeUninitializedCapacity: count) { packed, filled in
            var next = 0
            for owner in 0..<slices.ranks {
                let range = slices.range(of: owner)
                let records = UnsafeMutableBufferPointer(rebasing: packed[next..<next + headFloats])
                UnsafeMutableRawBufferPointer(records).copyBytes(from: head)
                next += headFloats
                for sum in sums {
                    let source = UnsafeBufferPointer(start: sum + range.lowerBound, count: range.count)
                    _ = UnsafeMutableBufferPointer(rebasing: packed[next..<next + range.count])
                        .initialize(from: source)
                    next += range.count
                }
            }
            filled = count
        }
    }

    /// Records the start of each received vector; returns each rank's records as bytes.
    private func unpack(_ parts: [(head: Int, blocks: Int)]) -> [[UInt8]] {
        vectors = []
        var next = 0
        return incoming.withUnsafeBytes { received in
            parts.map { part in
                let start = next * MemoryLayout<Float>.stride
                next += part.head
                let head = Array(received[start..<next * MemoryLayout<Float>.stride])
                for _ in 0..<part.blocks {
                    vectors.append(next)
                    next += ownSlice.count
                }
                return head
            }
        }
    }

    private func decode(_ parts: [[UInt8]]) throws -> BatchRecords {
        switch BatchRecords.decode(parts, globalBatch: globalBatch) {
        case .success(let batch): return batch
        case .failure(let defect): throw invalid(defect.reason)
        }
    }

    private func invalid(_ reason: String) -> CollectivesError {
        CollectivesError(
            .invalidBatch, operation: "exchange", rank: communicator.rank, host: communicator.hostName, reason: reason,
            remedy: "deal every position of the global batch to exactly one rank")
    }

    /// Adds the received vectors in the fixed tree; `starts[v]` is the first position of the block of vector `v`.
    private func addInTree(starts: [Int], into result: UnsafeMutableBufferPointer<Float>) {
        precondition(starts.count == vectors.count, "the records of another exchange, or a second sum of one")
        let (additions, root) = Self.schedule(starts: starts, globalBatch: globalBatch)
        let count = result.count
        guard let root, count > 0 else {
            result.update(repeating: 0)
            return
        }
        incoming.withUnsafeMutableBufferPointer { received in
            guard let base = received.baseAddress else { return }
            for start in stride(from: 0, to: count, by: Self.block) {
                let length = min(Self.block, count - start)
                for addition in additions {
                    let target = base + vectors[addition.target] + start
                    let source = UnsafePointer(base + vectors[addition.source] + start)
                    for index in 0..<length { target[index] += source[index] }
                }
            }
            _ = result.update(fromContentsOf: received[vectors[root]..<vectors[root] + count])
        }
    }

    /// The additions of the tree in order, as indices of vectors, and the index of the vector with the final sum.
    ///
    /// A block's other positions have no vector, so its sum is unchanged until the round that adds its sibling.
    private static func schedule(
        starts: [Int], globalBatch: Int
    ) -> (additions: [(target: Int, source: Int)], root: Int?) {
        var holder = [Int?](repeating: nil, count: globalBatch)
        for (vector, start) in starts.enumerated() { holder[start] = vector }
        var additions: [(target: Int, source: Int)] = []
        var distance = 1
        while distance < globalBatch {
            for position in stride(from: 0, to: globalBatch - distance, by: 2 * distance) {
                guard let source = holder[position + distance] else { continue }
                if let target = holder[position] {
                    additions.append((target, source))
                } else {
                    holder[position] = source
                }
            }
            distance *= 2
        }
        return (additions, holder[0])
    }
}
