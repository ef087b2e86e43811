/// Sums one vector per sample of a global batch so that the number of ranks does not change a bit of the result.
///
/// A step has three parts, each on all ranks:
/// 1. `gatherRecords` tells everybody which rank holds which sample, with loss parts and flags;
/// 2. `sum` sends slice `s` of every sample's vector to rank `s` (all-to-all); the owner adds the vectors of its slice in
///    a fixed binary tree over the position in the global batch;
/// 3. `gather` puts the owners' updated slices together again.
///
/// The tree depends on the size of the global batch alone: in round `k = 0, 1, 2, ...` position `i` (a multiple of
/// `2^(k+1)`) takes in position `i + 2^k`. A position without a gradient passes its neighbour's sum on unchanged.
///
/// Bytes sent per rank for `P` floats, `k` local samples and `N` ranks: `4 k P (N-1)/N` for the sum and `4 P (N-1)/N` for
/// the parameters; the latency is that of three data exchanges and five 8- to 64-byte ones.
public final class SampleOrderedSum {
    /// The number of positions in the global batch.
    public let globalBatch: Int
    /// Which rank owns which elements.
    public let slices: ParameterSlices

    private let communicator: any Communicator
    /// Floats that are summed while they stay in the first-level cache.
    private static let block = 2048
    // Both grow to the size of the largest step and are kept.
    private var outgoing: [Float] = []  // [destination][local sample][slice]
    private var incoming: [Float] = []  // [source][its sample][own slice]

    /// Prepares sums of vectors of `parameterCount` floats over batches of `globalBatch` samples.
    public init(parameterCount: Int, globalBatch: Int, communicator: any Communicator) {
        precondition(globalBatch > 0, "a global batch holds at least one sample")
        self.globalBatch = globalBatch
        self.communicator = communicator
        slices = ParameterSlices(count: parameterCount, ranks: communicator.worldSize)
    }

    /// The elements this rank owns.
    public var ownSlice: Range<Int> { slices.range(of: communicator.rank) }

    /// Tells all ranks about the samples of each.
    ///
    /// - Parameters:
    ///   - records: This rank's samples; their order is the order of its gradients in `sum`.
    ///   - isFinite: False if this rank met a loss or gradient that is not finite.
    ///   - wantsStop: True if this rank was asked to stop, for example by a signal.
    ///
    /// Throws `CollectivesError` of kind `invalidBatch` on all ranks if a position is held twice or does not exist.
    public func gatherRecords(
        _ records: [SampleRecord], isFinite: Bool = true, wantsStop: Bool = false
    ) throws -> BatchRecords {
        let mine = BatchRecords.encode(records, isFinite: isFinite, wantsStop: wantsStop)
        switch BatchRecords.decode(try communicator.allGather(bytes: mine), globalBatch: globalBatch) {
        case .success(let batch): return batch
        case .failure(let defect):
            throw CollectivesError(
                .invalidBatch, operation: "gatherRecords", rank: communicator.rank, host: communicator.hostName,
                reason: defect.reason, remedy: "deal every position of the global batch to exactly one rank")
        }
    }

    /// The batch's sum over this rank's slice.
    ///
    /// - Parameters:
    ///   - gradients: One vector per local sample with a gradient, in the order of its records. `[k, P]`
    ///   - batch: The records of this batch.
    ///   - result: Receives the sum; zero if no rank has a gradient. `[ownSlice.count]`
    public func sum(
        _ gradients: UnsafeBufferPointer<Float>, of batch: BatchRecords, into result: UnsafeMutableBufferPointer<Float>
    ) throws {
        let local = batch.gradientPositions[communicator.rank].count
        let own = ownSlice.count
        precondition(gradients.count == local * slices.count, "one vector of \(slices.count) floats per sample")
        precondition(result.count == own, "the result holds this rank's \(own) floats")
        let counts = slices.counts.map { $0 * local }
        let receiveCounts = batch.gradientPositions.map { $0.count * own }
        pack(gradients, samples: local)
        grow(&incoming, to: receiveCounts.reduce(0, +))
        try outgoing.withUnsafeBufferPointer { sent in
            try incoming.withUnsafeMutableBufferPointer { received in
                try communicator.allToAll(
                    floats: UnsafeBufferPointer(rebasing: sent[..<gradients.count]), counts: counts,
                    into: UnsafeMutableBufferPointer(rebasing: received[..<receiveCounts.reduce(0, +)]),
                    receiveCounts: receiveCounts)
            }
        }
        addInTree(positions: batch.gradientPositions.flatMap { $0 }, into: result)
    }

    /// Puts all ranks' slices together; every rank receives the whole vector. `[P]`
    public func gather(
        slice: UnsafeBufferPointer<Float>, into parameters: UnsafeMutableBufferPointer<Float>
    ) throws {
        try communicator.allGather(floats: slice, counts: slices.counts, into: parameters)
    }

    /// The batch's sum over this rank's slice, from arrays. `[ownSlice.count]`
    public func sum(_ gradients: [[Float]], of batch: BatchRecords) throws -> [Float] {
        var result = [Float](repeating: 0, count: ownSlice.count)
        try Array(gradients.joined()).withUnsafeBufferPointer { flat in
            try result.withUnsafeMutableBufferPointer { try sum(flat, of: batch, into: $0) }
        }
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

    /// Orders the local gradients by destination.
    private func pack(_ gradients: UnsafeBufferPointer<Float>, samples: Int) {
        grow(&outgoing, to: gradients.count)
        outgoing.withUnsafeMutableBufferPointer { packed in
            var next = 0
            for owner in 0..<slices.ranks {
                let range = slices.range(of: owner)
                for sample in 0..<samples {
                    let start = sample * slices.count + range.lowerBound
                    let source = UnsafeBufferPointer(rebasing: gradients[start..<start + range.count])
                    _ = UnsafeMutableBufferPointer(rebasing: packed[next..<next + range.count]).update(from: source)
                    next += range.count
                }
            }
        }
    }

    /// Adds the received vectors in the fixed tree; `positions[v]` is the place of vector `v` in the global batch.
    private func addInTree(positions: [Int], into result: UnsafeMutableBufferPointer<Float>) {
        let (additions, root) = Self.schedule(positions: positions, globalBatch: globalBatch)
        let count = result.count
        guard let root, count > 0 else {
            result.update(repeating: 0)
            return
        }
        incoming.withUnsafeMutableBufferPointer { vectors in
            guard let base = vectors.baseAddress else { return }
            for start in stride(from: 0, to: count, by: Self.block) {
                let length = min(Self.block, count - start)
                for addition in additions {
                    let target = base + addition.target * count + start
                    let source = UnsafePointer(base + addition.source * count + start)
                    for index in 0..<length { target[index] += source[index] }
                }
            }
            _ = result.update(fromContentsOf: vectors[root * count..<(root + 1) * count])
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
