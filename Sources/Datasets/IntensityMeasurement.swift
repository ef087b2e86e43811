public import Imaging

/// How often each value occurs in the images of a data set, for a range that holds for all of them.
///
/// Counts are whole numbers, so that neither the order of the images nor the number of ranks matters.
public struct IntensityMeasurement: Sendable {
    private var eight = SampleHistogram(bits: 8)
    private var sixteen = SampleHistogram(bits: 16)

    /// Counts nothing yet.
    public init() {}

    /// Counts an image. Throws `DatasetError` if it cannot be read.
    public mutating func add(_ dataset: any SegmentationDataset, _ index: Int) throws {
        guard let histogram = try dataset.histogram(index) else { return }
        if histogram.bits == 8 { eight.add(histogram) } else { sixteen.add(histogram) }
    }

    /// The ranges by a rule.
    public func ranges(_ rule: Intensity.Rule) -> Intensity.Ranges {
        Intensity.Ranges(eight: rule.range(eight), sixteen: rule.range(sixteen))
    }

    /// All counts, those of 8 bits first; whole numbers below 2^53, so that sums of them are exact.
    package var counts: [Double] { (eight.counts + sixteen.counts).map(Double.init) }

    /// Continues with counts as `counts` gives them.
    package init(counts: [Double]) {
        let whole = counts.map { Int($0) }
        eight = SampleHistogram(bits: 8, counts: Array(whole.prefix(256)))
        sixteen = SampleHistogram(bits: 16, counts: Array(whole.dropFirst(256)))
    }
}
