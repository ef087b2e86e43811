public import Imaging

/// How the images of a training became 8 bits, by source, as an adapter file states it.
///
/// The text has a part for each source, as in `data=percentile,dataset,16:325-667`: name, rule, scope unless it is the
/// image, and the ranges measured over the data set by depth.
public struct IntensityRecord: Equatable, Sendable {
    /// The reading of one source.
    public struct Entry: Equatable, Sendable {
        /// The source's name.
        public var source: String
        /// The rule.
        public var rule: Intensity.Rule
        /// What ranges are taken from.
        public var scope: DatasetOptions.IntensityScope
        /// The ranges measured over the data set.
        public var ranges: Intensity.Ranges?

        /// Describes a source's reading.
        public init(source: String, _ options: DatasetOptions) {
            self.source = source
            (rule, scope, ranges) = (options.intensity, options.intensityScope, options.measuredRanges)
        }

        fileprivate init?(_ text: Substring) {
            let sides = text.split(separator: "=", maxSplits: 1)
            let parts = sides.last?.split(separator: ",") ?? []
            guard sides.count == 2, let rule = parts.first.flatMap({ Intensity.Rule(rawValue: String($0)) }) else {
                return nil
            }
            (source, self.rule, scope) = (String(sides[0]), rule, .image)
            for part in parts.dropFirst() {
                if part == DatasetOptions.IntensityScope.dataset.rawValue {
                    scope = .dataset
                    continue
                }
                let numbers = part.split(whereSeparator: { ":-".contains($0) }).map { Int($0) ?? -1 }
                guard numbers.count == 3, 0 <= numbers[1], numbers[1] <= numbers[2], numbers[2] < 65536 else {
                    return nil
                }
                let range = SampleRange(low: numbers[1], high: numbers[2])
                var known = ranges ?? Intensity.Ranges()
                switch numbers[0] {
                case 8: known.eight = range
                case 16: known.sixteen = range
                default: return nil
                }
                ranges = known
            }
        }

        /// Rule, scope and ranges, without the name.
        public var reading: String {
            var parts = [rule.rawValue]
            if scope == .dataset { parts.append(scope.rawValue) }
            for (bits, range) in [(8, ranges?.eight), (16, ranges?.sixteen)] {
                if let range { parts.append("\(bits):\(range.low)-\(range.high)") }
            }
            return parts.joined(separator: ",")
        }

        /// How an image is decoded by it.
        public var intensity: Intensity { Intensity(rule, ranges: scope == .dataset ? ranges : nil) }
    }

    /// The sources, in the order of the recipe; at least one.
    public let entries: [Entry]

    /// Joins the readings of a run's sources.
    public init(_ entries: [Entry]) { self.entries = entries }

    /// Reads a text; nil for one that this version did not write.
    public init?(text: String) {
        let parts = text.split(separator: " ")
        let entries = parts.compactMap { Entry($0) }
        guard !parts.isEmpty, entries.count == parts.count else { return nil }
        self.entries = entries
    }

    /// The text of the record.
    public var text: String { entries.map { "\($0.source)=\($0.reading)" }.joined(separator: " ") }

    /// The reading of a source: that of the same name, or else that of all sources if they agree.
    public func entry(of source: String) -> Entry? { entries.first { $0.source == source } ?? common }

    /// The reading of all sources; nil if they differ.
    public var common: Entry? { Set(entries.map(\.reading)).count == 1 ? entries.first : nil }
}

extension DatasetOptions {
    /// Reads images as a record's entry states it.
    public mutating func read(as entry: IntensityRecord.Entry) {
        (intensity, intensityScope, measuredRanges) = (entry.rule, entry.scope, entry.ranges)
    }
}
