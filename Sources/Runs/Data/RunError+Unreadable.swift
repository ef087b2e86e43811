import Evaluation
import Telemetry

extension RunError {
    /// Images listed in one error; the remaining ones are counted.
    private static let longestList = 20

    /// No image of a source is left to train on, and some were skipped because they cannot be used.
    static func noneUsable(_ count: Int, at root: String, first: UnreadableSample) -> RunError {
        RunError(
            .badData, "\(root): none of its \(count) images to train on can be used; the first: \(first.reason)",
            remedy: first.remedy)
    }

    /// More images are unusable than a run may skip.
    ///
    /// - Parameters:
    ///   - samples: The images found now; not empty.
    ///   - others: Names of images skipped before.
    ///   - limit: The number of images that may be skipped; 0 when the run stops at the first.
    ///   - ranks: The number of ranks; with one, the message does not name ranks.
    static func unreadable(
        _ samples: [UnreadableSample], others: [String] = [], limit: Int, ranks: Int, while doing: String = ""
    ) -> RunError {
        func line(_ sample: UnreadableSample) -> String { ranks > 1 ? sample.line : sample.reason }
        guard limit > 0 else {
            let more = samples.count > 1 ? " and \(samples.count - 1) more" : ""
            return RunError(
                .badData, doing + (samples.first.map(line) ?? "") + more,
                remedy: "\(samples.first?.remedy ?? "replace the file"), or skip such images with "
                    + "data.badSamples=skip")
        }
        let list = samples.map { "\($0.id): \(line($0))" } + others
        let cut = list.count - longestList
        return RunError(
            .badData,
            "\(doing)\(list.count) images cannot be used, more than data.maximumBadSamples=\(limit): "
                + list.prefix(longestList).joined(separator: "; ") + (cut > 0 ? " and \(cut) more" : ""),
            remedy: "fix the data, or raise the limit")
    }
}
