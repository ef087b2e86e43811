import Foundation

/// The speed of a run, parsed from its `log.jsonl`; see docs/reference/log.md.
public struct AdaptationLog: Sendable, Equatable {
    /// One `step` line.
    public struct Step: Sendable, Equatable {
        /// Seconds.
        public var seconds: Double
        /// Share of the time spent communicating, 0 to 1.
        public var communication: Double
        /// Share of the time spent waiting for slower ranks before the exchange, 0 to 1; nil if the log lacks it.
        public var peerWait: Double?
        /// Largest peak of resident memory of any rank so far, in bytes.
        public var peakBytes: Int
    }

    /// Ranks of the run.
    public let ranks: Int
    /// Hosts they ran on.
    public let hosts: Int
    /// The steps in order.
    public let steps: [Step]

    /// A line of any event; fields of other events are nil.
    private struct Line: Decodable {
        var event: String
        var ranks: Int?
        var hosts: Int?
        var interval_seconds: Double?
        var communication_percent: Double?
        var peer_wait_percent: Double?
        var peak_memory_bytes: Int?
        var exit_code: Int?
    }

    /// Parses a log.
    ///
    /// - Parameter path: Its name, for errors.
    ///
    /// Throws `ScalingError` of kind `malformedLog` for a line that is not an event or lacks a field, and for a log
    /// without start, step or end.
    public init(text: String, path: String) throws(ScalingError) {
        func malformed(_ problem: String) -> ScalingError {
            ScalingError(
                .malformedLog, "\(path): \(problem)",
                remedy: "run one build of kedge on all ranks, and see docs/reference/log.md"
            )
        }
        var ranks: Int?
        var hosts: Int?
        var steps: [Step] = []
        var hasEnded = false
        for (index, row) in text.split(whereSeparator: \.isNewline).enumerated() {
            guard let line = try? JSONDecoder().decode(Line.self, from: Data(row.utf8)) else {
                throw malformed("line \(index + 1) is not an event")
            }
            switch line.event {
            // Its fields may span several lines.
            case "start": (ranks, hosts) = (line.ranks ?? ranks, line.hosts ?? hosts)
            case "step":
                guard let seconds = line.interval_seconds, seconds > 0, let exchange = line.communication_percent,
                    let bytes = line.peak_memory_bytes
                else {
                    throw malformed("line \(index + 1), a step, lacks interval_seconds or another field")
                }
                steps.append(
                    Step(
                        seconds: seconds, communication: exchange / 100,
                        peerWait: line.peer_wait_percent.map { $0 / 100 }, peakBytes: bytes))
            case "end":
                guard line.exit_code == 0 else { throw malformed("the run did not end with status 0") }
                hasEnded = true
            default: break
            }
        }
        guard let ranks, let hosts else { throw malformed("there is no start line with ranks and hosts") }
        guard !steps.isEmpty else { throw malformed("there is no step line") }
        guard hasEnded else { throw malformed("there is no end line") }
        (self.ranks, self.hosts, self.steps) = (ranks, hosts, steps)
    }
}

/// The median; for an even count, the mean of the two middle values.
package func median(_ values: [Double]) -> Double {
    precondition(!values.isEmpty, "no numbers have no median")
    let sorted = values.sorted()
    return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
}
