/// A counter-based random generator (Philox 4x32, ten rounds; Salmon et al., SC 2011).
///
/// The stream is a pure function of its key, so an image's numbers do not depend on the rank, the thread or the order
/// in which images are visited.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private let key: (UInt32, UInt32)
    private let stream: (UInt32, UInt32)
    private var counter: UInt64 = 0
    private var block: (UInt64, UInt64) = (0, 0)
    private var position = 2

    /// The stream for one purpose and one sample in one epoch of a run.
    ///
    /// - Parameters:
    ///   - seed: The run's seed.
    ///   - epoch: The epoch, from 0.
    ///   - sample: The sample's index in its data set, or any other number that names the consumer.
    ///   - purpose: The use of the numbers, so that two uses never share a stream.
    public init(seed: UInt64, epoch: Int = 0, sample: Int = 0, purpose: String) {
        var hash = Self.offsetBasis
        for byte in purpose.utf8 { hash = Self.mix(hash, UInt64(byte)) }
        hash = Self.mix(hash, UInt64(bitPattern: Int64(epoch)))
        hash = Self.mix(hash, UInt64(bitPattern: Int64(sample)))
        hash = Self.finish(hash)
        key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
        stream = (UInt32(truncatingIfNeeded: hash), UInt32(truncatingIfNeeded: hash >> 32))
    }

    /// The next 64 random bits.
    public mutating func next() -> UInt64 {
        if position == 2 {
            block = Self.philox(counter: counter, stream: stream, key: key)
            counter += 1
            position = 0
        }
        defer { position += 1 }
        return position == 0 ? block.0 : block.1
    }

    /// A number drawn uniformly from [0, 1), with 53 random bits.
    public mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// A number drawn uniformly from [lower, upper).
    public mutating func uniform(_ lower: Double, _ upper: Double) -> Double { lower + (upper - lower) * unit() }

    /// An integer drawn uniformly from [0, bound), without bias.
    public mutating func index(below bound: Int) -> Int {
        precondition(bound > 0, "an index below \(bound) does not exist")
        return Int(next(upperBound: UInt64(bound)))
    }

    /// True with the given probability.
    public mutating func chance(_ probability: Double) -> Bool { unit() < probability }

    /// A random order of 0 ..< count (Fisher-Yates).
    public mutating func permutation(_ count: Int) -> [Int] {
        var order = Array(0..<count)
        for last in stride(from: count - 1, to: 0, by: -1) { order.swapAt(last, index(below: last + 1)) }
        return order
    }

    /// A number from the standard normal distribution (Box-Muller, one of the pair).
    public mutating func normal(log: (Double) -> Double, cos: (Double) -> Double) -> Double {
        let radius = (-2 * log(1 - unit())).squareRoot()
        return radius * cos(2 * Double.pi * unit())
    }

    private static let offsetBasis: UInt64 = 0xcbf2_9ce4_8422_2325

    /// One FNV-1a step over a whole word.
    private static func mix(_ hash: UInt64, _ word: UInt64) -> UInt64 { (hash ^ word) &* 0x0000_0100_0000_01b3 }

    /// The finaliser of SplitMix64: every input bit affects all output bits.
    private static func finish(_ hash: UInt64) -> UInt64 {
        var z = hash
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    private static func philox(
        counter: UInt64, stream: (UInt32, UInt32), key: (UInt32, UInt32)
    ) -> (UInt64, UInt64) {
        var x0 = UInt32(truncatingIfNeeded: counter)
        var x1 = UInt32(truncatingIfNeeded: counter >> 32)
        var x2 = stream.0
        var x3 = stream.1
        var (k0, k1) = key
        for _ in 0..<10 {
            let a = UInt64(x0) &* 0xd251_1f53
            let b = UInt64(x2) &* 0xcd9e_8d57
            (x0, x1, x2, x3) = (
                UInt32(truncatingIfNeeded: b >> 32) ^ x1 ^ k0, UInt32(truncatingIfNeeded: b),
                UInt32(truncatingIfNeeded: a >> 32) ^ x3 ^ k1, UInt32(truncatingIfNeeded: a)
            )
            k0 = k0 &+ 0x9e37_79b9
            k1 = k1 &+ 0xbb67_ae85
        }
        return (UInt64(x0) << 32 | UInt64(x1), UInt64(x2) << 32 | UInt64(x3))
    }
}
