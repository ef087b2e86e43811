public import Foundation
import PlainText

/// The human-readable log: one line per interval, with named values in fixed columns.
public struct TextSink: LogSink {
    private let file: AppendFile
    /// Events lost since the last one that was written.
    private var leftOut = 0

    /// The destination, as named in messages.
    public var name: String { file.path }

    /// Writes to a descriptor that stays open; standard output by default.
    public init(descriptor: Int32 = 1, name: String = "standard output") {
        file = AppendFile(descriptor: descriptor, name: name)
    }

    /// Writes the event's lines unbuffered; after a gap, first how many are missing.
    public mutating func write(_ event: RunEvent, at date: Date) throws(TelemetryError) {
        leftOut += 1
        let gap = leftOut > 1 ? "warning: \(leftOut - 1) log lines are missing here: \(name) did not take them\n" : ""
        try file.append(Array((gap + Self.text(of: event).printable + "\n").utf8))
        leftOut = 0
    }

    /// The event as text lines.
    package static func text(of event: RunEvent) -> String {
        switch event {
        case .start(let record): text(of: record)
        case .step(let record): text(of: record)
        case .evaluation(let record):
            "evaluation \(record.place) \(record.prompt) after step \(record.step): "
                + record.scores.measured.map { "mean \($0.measure.title) \(fixed($0.value, 4)), " }.joined()
                + "\(record.images) images, \(record.instances) instances, \(fixed(record.seconds, 1)) s"
        case .fact(let fact): oneLine(fact.line)
        case .message(.info, let text): oneLine(text)
        case .message(let severity, let text): "\(severity.rawValue): \(oneLine(text))"
        case .end(let record):
            "end: exit \(record.exitCode.rawValue), step \(record.step), \(record.imagesSeen) images"
                + (record.badImages > 0 ? ", \(record.badImages) skipped" : "")
                + ", \(duration(record.seconds)). \(record.exitCode.meaning)"
        }
    }

    private static func text(of record: StartRecord) -> String {
        let hosts = record.hosts.map { "\($0.name) x\($0.ranks)" }.joined(separator: ", ")
        let threads = Set(record.placement.map { "\($0.threads) threads on \($0.cores) cores" }).sorted()
        let begin = record.firstStep == 0 ? "start" : "resume after step \(record.firstStep)"
        return """
            \(begin): \(record.placement.count) ranks (\(hosts)); each \(threads.joined(separator: " or "))
            versions: \(record.versions.map { "\($0.name) \($0.version)" }.joined(separator: ", ")), \
            OpenBLAS core \(record.openBLASCore)
            weights \(record.weightsDigest.prefix(16)), recipe \(record.recipeDigest.prefix(16))
            """
    }

    private static func text(of record: StepRecord) -> String {
        let width = String(record.totalSteps).count
        var columns = [
            "step " + pad(String(record.step), width) + "/\(record.totalSteps)",
            "epoch " + pad(String(record.epoch), 2),
            "loss " + fixed(record.loss, 4, 8),
        ]
        columns += record.lossParts.map { "\($0.name) " + fixed($0.value, 4, 7) }
        columns += [
            "lr " + scientific(record.learningRate), fixed(record.interval.imagesPerSecond, 2, 6) + " img/s",
            "data " + fixed(100 * record.interval.dataWaitFraction, 0, 3) + "%",
            "comm " + fixed(100 * record.interval.communicationFraction, 0, 3) + "%",
        ]
        if let slowest = record.slowestRank, let fastest = record.fastestRank {
            let ratio = fastest.seconds > 0 ? slowest.seconds / fastest.seconds : 1
            columns.append("wait " + fixed(100 * record.interval.peerWaitFraction, 0, 3) + "%")
            columns.append("slow " + pad("r\(slowest.rank)", 4) + " " + fixed(ratio, 2, 4) + "x r\(fastest.rank)")
        }
        if record.badImages > 0 { columns.append("bad " + pad(String(record.badImages), 3)) }
        columns += [
            "mem " + pad(String(record.peakMemoryBytes >> 20), 6) + " MiB",
            "eta " + (record.interval.remainingSeconds.map(duration) ?? "--:--:--"),
        ]
        return columns.joined(separator: "  ")
    }

    /// A number with a fixed number of decimals, padded with spaces on the left to a width.
    package static func fixed(_ number: Double, _ decimals: Int, _ width: Int = 0) -> String {
        pad(number.isFinite ? String(format: "%.\(decimals)f", number) : String(number), width)
    }

    private static func scientific(_ number: Double) -> String { String(format: "%.2e", number) }

    private static func pad(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    /// A duration as hours, minutes and seconds.
    package static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds < 1e9 else { return "--:--:--" }
        let whole = Int(seconds.rounded())
        return String(format: "%02d:%02d:%02d", whole / 3600, whole / 60 % 60, whole % 60)
    }

    private static func oneLine(_ text: String) -> String { text.replacing("\n", with: " ").onOneLine }
}
