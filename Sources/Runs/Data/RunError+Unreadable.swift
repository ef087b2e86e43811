import Evaluation
import Telemetry

extension RunError {
    /// Images listed in one error; the others are counted.
    private static let longestList = 20

    /// Images cannot be used, more than a run may leave out.
    ///
    /// - Parameters:
    ///   - samples: What was met now; not empty.
    ///   - others: Names of images that were left out before.
    ///   - limit: How many may be left out; 0 when the run stops at the first.
    ///   - ranks: How many ranks there are: with one, none is named.
    static func unreadable(
        _ samples: [UnreadableSample], others: [String] = [], limit: Int, ranks: Int, while doing: String = ""
    ) -> RunError {
        func line(_ sample: UnreadableSample) -> String { ranks > 1 ? sample.line : sample.reason }
        guard limit > 0 else {
            let more = samples.count > 1 ? " and \(samples.count - 1) more" : ""
            return RunError(
                .badData, doing + (samples.first.map(line) ?? "") + more,
                remedy: "\(samples.first?.remedy ?? "replace the file"), or go on without such images with "
                    + "data.badSamples=skip")
        }
        let list = samples.map { "\($0.id): \(line($0))" } + others
        let cut = list.count - longestList
        return RunError(
            .badData,
            "\(doing)\(list.count) images cannot be used, more than data.maximumBadSamples=\(limit): "
                + list.prefix(longestList).joined(separator: "; ") + (cut > 0 ? " and \(cut) more" : ""),
            remedy: "look after the data, or allow more")
    }
}
