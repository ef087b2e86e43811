/// How the stored samples of an image become the 8 bits that models read.
public struct Intensity: Equatable, Sendable {
    /// The choice of a recipe.
    public enum Rule: String, CaseIterable, Sendable {
        /// Images of up to 8 bits as they are, deeper ones by `percentile`.
        case auto
        /// The range of the format: images of up to 8 bits as they are, of deeper ones the high 8 bits.
        case full
        /// From the smallest value to the largest.
        case minmax
        /// From the 1st percentile to the 99.9th.
        case percentile

        /// The name of the range that is spread over images of this depth; nil if they keep that of their format.
        func rangeName(bits: Int) -> String? {
            switch self {
            case .full: nil
            case .auto: bits > 8 ? "percentiles" : nil
            case .percentile: "percentiles"
            case .minmax: "minimum and maximum"
            }
        }

        /// The range that is spread over the samples of a histogram; nil for that of the format.
        public func range(_ histogram: SampleHistogram) -> SampleRange? {
            switch self {
            case .full: nil
            case .auto: histogram.bits > 8 ? histogram.robustRange : nil
            case .percentile: histogram.robustRange
            case .minmax: histogram.range
            }
        }
    }

    /// The ranges of a data set by the depth of its images; nil where none was measured.
    public struct Ranges: Equatable, Sendable {
        /// For images of up to 8 bits.
        public var eight: SampleRange?
        /// For images of 16 bits.
        public var sixteen: SampleRange?

        /// Creates ranges.
        public init(eight: SampleRange? = nil, sixteen: SampleRange? = nil) {
            (self.eight, self.sixteen) = (eight, sixteen)
        }

        subscript(bits: Int) -> SampleRange? { bits > 8 ? sixteen : eight }
    }

    /// The choice.
    public var rule: Rule
    /// Ranges that hold for all images alike; where there is none, an image has its own.
    public var ranges: Ranges?

    /// Creates a reading.
    public init(_ rule: Rule, ranges: Ranges? = nil) { (self.rule, self.ranges) = (rule, ranges) }

    /// The range of the format.
    public static let full = Intensity(.full)

    /// The range to spread over an image; nil for that of its format, also if it has but one value.
    func range(for histogram: SampleHistogram) -> SampleRange? {
        guard let own = rule.range(histogram) else { return nil }
        let range = ranges?[histogram.bits] ?? own
        return range.low < range.high ? range : nil
    }
}

/// What a decoded image was before its samples became 8 bits.
public struct StoredSamples: Equatable, Sendable {
    /// Bits per sample, 8 or 16.
    public let bits: Int
    /// The smallest and the largest value.
    public let values: SampleRange
    /// The range that was spread; nil if the high 8 bits were taken.
    public let spread: SampleRange?
    private let rangeName: String?
    private let isOfDataset: Bool

    init(_ histogram: SampleHistogram, _ intensity: Intensity, spread: SampleRange?) {
        (bits, values, self.spread) = (histogram.bits, histogram.range ?? SampleRange(low: 0, high: 0), spread)
        rangeName = intensity.rule.rangeName(bits: histogram.bits)
        isOfDataset = intensity.ranges?[histogram.bits] != nil
    }

    /// The different grey levels that are left; fewer than those of the file where the range is cut.
    public var levels: Int {
        let table = (spread?.table(count: 1 << bits) ?? SampleRange.highBytes(count: 1 << bits))
        return Int(table[values.high]) - Int(table[values.low]) + 1
    }

    /// Depth and range in one phrase, as in `16 bit, values 75 to 189 of 65535, scaled by percentiles (77 to 187)`.
    public var description: String {
        "\(bits) bit, values \(values.low) to \(values.high) of \(1 << bits - 1), \(treatment)"
    }

    /// What became of the values of this image.
    private var treatment: String {
        guard let spread, !isOfDataset else { return treatmentOfAll }
        return "\(treatmentOfAll) (\(spread.low) to \(spread.high))"
    }

    /// What became of the values of this image and of others that are read alike.
    public var treatmentOfAll: String {
        guard let rangeName else { return "cut to the high 8 bits" }
        guard let spread, isOfDataset else { return "scaled by \(rangeName)" }
        return "scaled by the data set's \(rangeName) (\(spread.low) to \(spread.high))"
    }
}

extension Image {
    /// The image with the range of its 8-bit samples spread, all channels alike; itself if they keep it.
    func scaled(by intensity: Intensity) -> Image {
        guard intensity.rule.rangeName(bits: 8) != nil else { return self }
        var histogram = SampleHistogram(bits: 8)
        pixels.withUnsafeBufferPointer { histogram.add($0) }
        guard let range = intensity.range(for: histogram) else { return self }
        let table = range.table(count: 256)
        var image = Image(
            width: width, height: height, channels: channels, pixels: pixels.map { table[Int($0)] })
        image.stored = StoredSamples(histogram, intensity, spread: range)
        return image
    }
}
