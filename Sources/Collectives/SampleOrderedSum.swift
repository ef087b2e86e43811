/// Sums one vector per sample of a global batch so that the number of ranks does not change a bit of the result.
///
/// A step has three parts, the outer two on all ranks together:
/// 1. `exchange` sends every rank's records (which samples it holds, their loss parts, its flags) to all ranks and slice
///    `s` of every sample's vector to rank `s`, in one all-to-all;
/// 2. `sum` adds the vectors of this rank's slice in a fixed binary tree over the position in the global batch;
/// 3. `gather` puts the owners' updated slices together again.
///
/// The tree depends on the size of the global batch alone: in round `k = 0, 1, 2, ...` position `i` (a multiple of
/// `2^(k+1)`) takes in position `i + 2^k`. A position without a gradient passes its neighbour's sum on unchanged.
///
/// Bytes sent per rank for `P` floats, `k` local samples and `N` ranks: `4 k P (N-1)/N` for the sum and `4 P (N-1)/N` for
/// the parameters, beside some hundred bytes of records to each rank; the latency is that of two data exchanges and two
/// of 64 bytes.
public final class SampleOrderedSum {
    /// The number of positions in the global batch.
    public let globalBatch: Int
    /// Which rank owns which elements.
    public let slices: ParameterSlices

    private let communicator: any Communicator
    /// Floats that are summed while they stay in the first-level cache.
    private static let block = 2048
    // Both grow to the size of the largest step and are kept.
    private var outgoing: [Float] = []  // [destination][records, then local sample][slice]
    private var incoming: [Float] = []  // [source][records, then its sample][own slice]
    /// Where the vectors of the last exchange start in `incoming`, in the order of `BatchRecords.gradientPositions`.
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

    /// Tells all ranks about the samples of each, for batches without gradients (an evaluation).
    ///
    /// - Parameters:
    ///   - records: This rank's samples.
    ///   - isFinite: False if this rank met a loss or gradient that is not finite.
    ///   - wantsStop: True if this rank was asked to stop, for example by a signal.
    ///
    /// Throws `CollectivesError` of kind `invalidBatch` on all ranks if a position is held twice or does not exist.
    public func gatherRecords(
        _ records: [SampleRecord], isFinite: Bool = true, wantsStop: Bool = false
    ) throws -> BatchRecords {
        let mine = BatchRecords.encode(records, isFinite: isFinite, wantsStop: wantsStop)
        return try decode(try communicator.allGather(bytes: mine))
    }

    /// Tells all ranks about the samples of each, and brings the gradients to the owners of their slices.
    ///
    /// - Parameters:
    ///   - records: This rank's samples.
    ///   - gradients: One vector per record with a gradient, in the order of the records. `[k, P]`
    ///   - isFinite: False if this rank met a loss or gradient that is not finite.
    ///   - wantsStop: True if this rank was asked to stop, for example by a signal.
    ///   - hasWritten: True if this rank's file of the checkpoint under way is written.
    ///
    /// Throws `CollectivesError` of kind `invalidBatch` on all ranks if a position is held twice or does not exist.
    public func exchange(
        _ records: [SampleRecord], _ gradients: UnsafeBufferPointer<Float>, isFinite: Bool = true,
        wantsStop: Bool = false, hasWritten: Bool = false
    ) throws -> BatchRecords {
        let local = records.count(where: \.hasGradient)
        precondition(gradients.count == local * slices.count, "one vector of \(slices.count) floats per sample")
        let head = BatchRecords.encode(
            records, isFinite: isFinite, wantsStop: wantsStop, hasWritten: hasWritten)
        let headFloats = head.count / MemoryLayout<Float>.stride
        pack(head, gradients, samples: local)
        let own = ownSlice.count
        let counts = slices.counts.map { headFloats + $0 * local }
        var parts: [(head: Int, samples: Int)] = []
        try outgoing.withUnsafeBufferPointer { sent in
            try communicator.allToAll(
                floats: UnsafeBufferPointer(rebasing: sent[..<counts.reduce(0, +)]), counts: counts,
                announcing: headFloats << 32 | local, into: &incoming
            ) { announcements in
                parts = announcements.map { ($0 >> 32, $0 & 0xffff_ffff) }
                return parts.map { $0.head + $0.samples * own }
            }
        }
        let batch = try decode(unpack(parts))
        guard zip(batch.gradientPositions, parts).allSatisfy({ $0.count == $1.samples }) else {
            throw invalid("a rank sends another number of gradients than its records have")
        }
        return batch
    }

    /// The batch's sum over this rank's slice, of the last exchange.
    ///
    /// - Parameters:
    ///   - batch: What the exchange gave.
    ///   - result: Receives the sum; zero if no rank has a gradient. `[ownSlice.count]`
    public func sum(of batch: BatchRecords, into result: UnsafeMutableBufferPointer<Float>) {
        precondition(result.count == ownSlice.count, "the result holds this rank's \(ownSlice.count) floats")
        addInTree(positions: batch.gradientPositions.flatMap { $0 }, into: result)
    }

    /// Puts all ranks' slices together; every rank receives the whole vector. `[P]`
    public func gather(
        slice: UnsafeBufferPointer<Float>, into parameters: UnsafeMutableBufferPointer<Float>
    ) throws {
        try communicator.allGather(floats: slice, counts: slices.counts, into: parameters)
    }

    /// `exchange` of gradients in arrays.
    public func exchange(
        _ records: [SampleRecord], gradients: [[Float]], isFinite: Bool = true, wantsStop: Bool = false,
        hasWritten: Bool = false
    ) throws -> BatchRecords {
        try Array(gradients.joined()).withUnsafeBufferPointer {
            try exchange(records, $0, isFinite: isFinite, wantsStop: wantsStop, hasWritten: hasWritten)
        }
    }

    /// The batch's sum over this rank's slice as an array. `[ownSlice.count]`
    public func sum(of batch: BatchRecords) -> [Float] {
        var result = [Float](repeating: 0, count: ownSlice.count)
        result.withUnsafeMutableBufferPointer { sum(of: batch, into: $0) }
        return result
    }

    /// All ranks' slices as one vector. `[P]`
    public func gather(slice: [Float]) throws -> [Float] {
        var all = [Float](repeating: 0, count: slices.count)
        try slice.withUnsafeBufferPointer { mine in
            try all.withUnsafeMutableBufferPointer { try gather(slice: mine, into: $0) }
        }
        return all
    }
}

extension SampleOrderedSum {
    private func grow(_ buffer: inout [Float], to count: Int) {
        if buffer.count < count { buffer = [Float](repeating: 0, count: count) }
    }

    /// Orders records and local gradients by destination.
    private func pack(_ head: [UInt8], _ gradients: UnsafeBufferPointer<Float>, samples: Int) {
        let headFloats = head.count / MemoryLayout<Float>.stride
        grow(&outgoing, to: slices.ranks * headFloats + gradients.count)
        outgoing.withUnsafeMutableBufferPointer { packed in
            var next = 0
            for owner in 0..<slices.ranks {
                let range = slices.range(of: owner)
                let records = UnsafeMutableBufferPointer(rebasing: packed[next..<next + headFloats])
                UnsafeMutableRawBufferPointer(records).copyBytes(from: head)
                next += headFloats
                for sample in 0..<samples {
                    let start = sample * slices.count + range.lowerBound
                    let source = UnsafeBufferPointer(rebasing: gradients[start..<start + range.count])
                    _ = UnsafeMutableBufferPointer(rebasing: packed[next..<next + range.count]).update(from: source)
                    next += range.count
                }
            }
        }
    }

    /// Notes where the received vectors start; returns each rank's records as bytes.
    private func unpack(_ parts: [(head: Int, samples: Int)]) -> [[UInt8]] {
        vectors = []
        var next = 0
        return incoming.withUnsafeBytes { received in
            parts.map { part in
                let start = next * MemoryLayout<Float>.stride
                next += part.head
                let head = Array(received[start..<next * MemoryLayout<Float>.stride])
                for _ in 0..<part.samples {
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

    /// Adds the received vectors in the fixed tree; `positions[v]` is the place of vector `v` in the global batch.
    private func addInTree(positions: [Int], into result: UnsafeMutableBufferPointer<Float>) {
        precondition(positions.count == vectors.count, "the records of another exchange")
        let (additions, root) = Self.schedule(positions: positions, globalBatch: globalBatch)
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

    /// The additions of the tree in order, as indices of vectors, and the vector that holds the sum in the end.
    static func schedule(
        positions: [Int], globalBatch: Int
    ) -> (additions: [(target: Int, source: Int)], root: Int?) {
        var holder = [Int?](repeating: nil, count: globalBatch)
        for (vector, position) in positions.enumerated() { holder[position] = vector }
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
