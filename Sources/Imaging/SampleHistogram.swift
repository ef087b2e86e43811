/// How often each value occurs among stored samples.
public struct SampleHistogram: Equatable, Sendable {
    /// Bits per sample, 8 or 16.
    public let bits: Int
    /// The number of samples of each value.
    public private(set) var counts: [Int]

    /// Counts nothing yet.
    public init(bits: Int) {
        precondition(bits == 8 || bits == 16, "\(bits) bits per sample")
        self.bits = bits
        counts = [Int](repeating: 0, count: 1 << bits)
    }

    /// Continues with counts, one for each value.
    public init(bits: Int, counts: [Int]) {
        self.init(bits: bits)
        precondition(counts.count == self.counts.count, "\(counts.count) counts for \(bits) bits")
        self.counts = counts
    }

    /// Counts samples of one byte, or of two with the high byte first.
    mutating func add(_ samples: UnsafeBufferPointer<UInt8>) {
        counts.withUnsafeMutableBufferPointer { counts in
            if bits == 8 {
                for sample in samples { counts[Int(sample)] += 1 }
            } else {
                for place in stride(from: 0, to: samples.count - 1, by: 2) {
                    counts[Int(samples[place]) << 8 | Int(samples[place + 1])] += 1
                }
            }
        }
    }

    /// Adds the counts of another image of the same depth; the order of additions does not matter.
    public mutating func add(_ other: SampleHistogram) {
        precondition(bits == other.bits, "\(bits) and \(other.bits) bits")
        for value in counts.indices { counts[value] += other.counts[value] }
    }

    /// The smallest and the largest value; nil without samples.
    public var range: SampleRange? {
        guard let low = counts.firstIndex(where: { $0 > 0 }), let high = counts.lastIndex(where: { $0 > 0 }) else {
            return nil
        }
        return SampleRange(low: low, high: high)
    }

    /// The 1st percentile and the 99.9th, so that neither hot pixels nor a dark rim decide, and bright objects that cover
    /// a thousandth of the image still do; nil without samples.
    ///
    /// Of n samples in ascending order, those with the indices n / 100 and n - 1 - n / 1000, both rounded down. If they
    /// are equal, as with a few small objects before an even background, the smallest and the largest value.
    public var robustRange: SampleRange? {
        let count = counts.reduce(0, +)
        func value(_ values: some Sequence<Int>, leaving outliers: Int) -> Int? {
            var passed = 0
            for value in values {
                passed += counts[value]
                if passed > outliers { return value }
            }
            return nil
        }
        guard let low = value(counts.indices, leaving: count / 100),
            let high = value(counts.indices.reversed(), leaving: count / 1000)
        else { return nil }
        return low < high ? SampleRange(low: low, high: high) : range
    }
}

/// Values that become black and white; those between them are spread evenly.
public struct SampleRange: Equatable, Sendable {
    /// This value, and those below it, become 0.
    public let low: Int
    /// This value, and those above it, become 255.
    public let high: Int

    /// Creates a range of two values that may be equal.
    public init(low: Int, high: Int) {
        precondition(0 <= low && low <= high && high <= 65535, "a range from \(low) to \(high)")
        (self.low, self.high) = (low, high)
    }

    /// What each of `count` values becomes, rounded to the nearest, halves up, in whole numbers alone.
    func table(count: Int) -> [UInt8] {
        precondition(low < high, "one value cannot be spread")
        let width = high - low
        return (0..<count).map { UInt8(((min(max($0, low), high) - low) * 510 + width) / (2 * width)) }
    }

    /// The high 8 bits of each of `count` values.
    static func highBytes(count: Int) -> [UInt8] { (0..<count).map { UInt8($0 * 256 / count) } }
}
