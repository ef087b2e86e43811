/// The gradients of a rank's samples, summed as far as the order of the sum allows.
///
/// A sample's gradient is added as soon as its sibling in the summation tree is available (see `SampleOrderedSum`), so
/// the slab holds one vector per whole block: for `k` consecutive positions in ascending order at most `floor(log2 k) +
/// 1`, instead of `k` gradients. Other positions and orders take more vectors, never other bits.
public final class GradientSlab {
    /// The length `P` of a vector.
    public let parameterCount: Int
    /// Positions of the current batch.
    public var batchSize: Int { blocks.batchSize }
    /// Allocated vectors of `P` floats.
    public var vectorCount: Int { vectors.count }

    private var blocks = AlignedBlocks(batchSize: 0)
    /// Whether a position that was added has a gradient; nil for the positions of other ranks.
    private var hasGradient: [Bool?] = []
    private var vectors: [UnsafeMutablePointer<Float>] = []  // [P] each
    /// Indices of unused vectors.
    private var free: [Int] = []
    /// Stands for the gradient being added, which is stored elsewhere.
    private static let incoming = -1

    /// Creates a slab for vectors of `parameterCount` floats.
    public init(parameterCount: Int) {
        precondition(parameterCount >= 0, "a vector of \(parameterCount) floats")
        self.parameterCount = parameterCount
    }

    deinit { releaseVectors() }

    /// Discards its contents and starts a batch of `batchSize` samples.
    public func begin(batchSize: Int) {
        precondition(batchSize >= 0, "a batch of \(batchSize) samples")
        blocks = AlignedBlocks(batchSize: batchSize)
        hasGradient = [Bool?](repeating: nil, count: batchSize)
        free = Array(vectors.indices.reversed())
    }

    /// Adds the gradient of the sample at a position, which must be new. // [P]
    public func add(_ gradient: UnsafeBufferPointer<Float>, at position: Int) {
        precondition(gradient.count == parameterCount, "\(gradient.count) numbers, not \(parameterCount)")
        note(position, hasGradient: true)
        let block = blocks.insert(position, holder: 0, vector: Self.incoming) { add($0, $1, gradient) }
        guard block.vector == Self.incoming else { return }
        let vector = takeVector()
        if let source = gradient.baseAddress { vectors[vector].update(from: source, count: parameterCount) }
        blocks.move(block, to: vector)
    }

    /// Adds a sample of weight 0, which keeps its position in the batch but contributes nothing.
    public func addEmpty(at position: Int) {
        note(position, hasGradient: false)
        blocks.insert(position, holder: 0, vector: nil) { add($0, $1, UnsafeBufferPointer(start: nil, count: 0)) }
    }
}

extension GradientSlab {
    /// One vector per block with a gradient, in ascending order of the blocks; valid until the slab changes. `[P]` each
    var sums: [UnsafePointer<Float>] { blocks.sums.compactMap(\.vector).map { UnsafePointer(vectors[$0]) } }

    /// True if the records match the samples that were added.
    func agrees(with records: [SampleRecord]) -> Bool {
        hasGradient.count { $0 != nil } == records.count
            && records.allSatisfy {
                hasGradient.indices.contains($0.position) && hasGradient[$0.position] == $0.hasGradient
            }
    }

    /// Discards its contents and releases its memory.
    func removeAll() {
        begin(batchSize: batchSize)
        releaseVectors()
    }

    private func note(_ position: Int, hasGradient isContributing: Bool) {
        precondition(
            hasGradient.indices.contains(position) && hasGradient[position] == nil,
            "position \(position) of a batch of \(batchSize) does not exist or was added before")
        hasGradient[position] = isContributing
    }

    /// Adds two siblings, one of which may be the incoming gradient; returns the index of their sum.
    private func add(_ left: Int, _ right: Int, _ gradient: UnsafeBufferPointer<Float>) -> Int {
        let (target, count) = (left == Self.incoming ? right : left, parameterCount)
        let sum = vectors[target]
        if left == Self.incoming {
            for index in 0..<count { sum[index] = gradient[index] + sum[index] }
        } else if right == Self.incoming {
            for index in 0..<count { sum[index] += gradient[index] }
        } else {
            let other = vectors[right]
            for index in 0..<count { sum[index] += other[index] }
            free.append(right)
        }
        return target
    }

    private func takeVector() -> Int {
        if let vector = free.popLast() { return vector }
        vectors.append(.allocate(capacity: parameterCount))
        return vectors.count - 1
    }

    private func releaseVectors() {
        for vector in vectors { vector.deallocate() }
        (vectors, free) = ([], [])
    }
}
