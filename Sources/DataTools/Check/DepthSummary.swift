public import Imaging

/// Images of one depth that are not used as they are.
public struct DepthSummary: Equatable, Sendable {
    /// Bits per sample.
    public let bits: Int
    /// Their number.
    public internal(set) var images: Int
    /// The smallest and the largest value of all.
    public internal(set) var values: SampleRange
    private let treatment: String

    fileprivate init(_ stored: StoredSamples) {
        (bits, images, values, treatment) = (stored.bits, 1, stored.values, stored.treatmentOfAll)
    }

    /// Depth, values and treatment, as in `16 bit, values 75 to 189 of 65535, scaled by percentiles`.
    var text: String { "\(bits) bit, values \(values.low) to \(values.high) of \(1 << bits - 1), \(treatment)" }
}

extension DatasetFindings {
    /// Counts an image that is not used as it is.
    mutating func add(_ stored: StoredSamples) {
        guard let place = depths.firstIndex(where: { $0.bits == stored.bits }) else {
            depths.append(DepthSummary(stored))
            depths.sort { $0.bits < $1.bits }
            return
        }
        let values = depths[place].values
        depths[place].images += 1
        depths[place].values = SampleRange(
            low: min(values.low, stored.values.low), high: max(values.high, stored.values.high))
    }
}
