public import Foundation
import PlainText

/// A destination of the log; a new format is one more conformance.
public protocol LogSink: Sendable {
    /// The destination, as named in messages about it.
    var name: String { get }

    /// Writes an event, or ignores an irrelevant one.
    ///
    /// - Throws: `TelemetryError` if the event could not be written; the caller counts it and continues.
    mutating func write(_ event: RunEvent, at date: Date) throws(TelemetryError)
}

/// One flat JSON object per line: the machine-readable log.
public struct JSONLinesSink: LogSink {
    private let file: AppendFile

    /// Path of the file.
    public var name: String { file.path }

    /// Opens a file for appending.
    ///
    /// - Parameter mayWrite: False once the file may be another run's.
    /// - Throws: `TelemetryError` if it cannot be opened.
    public init(path: String, mayWrite: @escaping @Sendable () -> Bool = { true }) throws(TelemetryError) {
        file = try AppendFile(path: path, mayWrite: mayWrite)
    }

    /// Writes each line of the event with one system call.
    public func write(_ event: RunEvent, at date: Date) throws(TelemetryError) {
        for line in JSONLine.lines(of: event, at: date) { try file.append(line) }
    }
}

/// Evaluations as a table: WeSAM's columns, then further ones.
public struct CSVSink: LogSink {
    /// The first line of the file.
    public static let header =
        "Name,Prompt,Mean IoU,Mean F1,iters,loss,Images,Instances,Threshold,Seconds,Mean Boundary IoU,"
        + "Mean Box IoU,Point Hit Rate,Time,Source,Domain,Stage"

    private let file: AppendFile

    /// Path of the file.
    public var name: String { file.path }

    /// Opens a file for appending, and writes the header if it is new.
    ///
    /// - Parameter mayWrite: False once the file may be another run's.
    /// - Throws: `TelemetryError` if it cannot be opened or written.
    public init(path: String, mayWrite: @escaping @Sendable () -> Bool = { true }) throws(TelemetryError) {
        file = try AppendFile(path: path, mayWrite: mayWrite)
        if file.isEmpty { try file.append(Array((Self.header + "\n").utf8)) }
    }

    /// Removes the rows of evaluations that will be repeated, because a run resumes from an earlier step; the file is
    /// replaced atomically, and a missing one is ignored.
    ///
    /// - Parameter isKept: True for the steps of rows to keep.
    /// - Throws: `TelemetryError` if it cannot be replaced.
    public static func keepRows(of path: String, where isKept: (_ step: Int) -> Bool) throws(TelemetryError) {
        guard let text = FileManager.default.contents(atPath: path).map({ String(decoding: $0, as: UTF8.self) }) else {
            return
        }
        let lines = text.split(separator: "\n")
        // A table of an earlier version lacks the last columns.
        let isOld = lines.first.map { $0 + ",Source,Domain,Stage" == header } ?? false
        let columns = header.count { $0 == "," } + 1 - (isOld ? 3 : 0)
        let kept = lines.enumerated().filter { number, line in
            // Parsed from the end: no cell after the name is ever quoted.
            let cells = line.split(separator: ",", omittingEmptySubsequences: false)
            guard number > 0, cells.count >= columns, let step = Int(cells[cells.count - columns + 4]) else {
                return true
            }
            return isKept(step)
        }.map { number, line in isOld ? (number == 0 ? header : line + ",data,data,") : String(line) }
        guard kept.count < lines.count || isOld else { return }
        do {
            try Data((kept.joined(separator: "\n") + "\n").utf8)
                .write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw TelemetryError(operation: .write, path: path, systemError: EIO)
        }
    }

    /// Writes a row for an evaluation.
    public func write(_ event: RunEvent, at date: Date) throws(TelemetryError) {
        guard case .evaluation(let record) = event else { return }
        func score(_ measure: EvaluationScores.Measure) -> String { record.scores[measure].map(Self.number) ?? "" }
        let cells = [
            TableCell.text(of: record.run), record.prompt, score(.iou), score(.f1), String(record.step),
            record.loss.map(Self.number) ?? "", String(record.images), String(record.instances),
            Self.number(record.threshold), Self.number(record.seconds), score(.boundaryIoU), score(.boxIoU),
            score(.pointHits), JSONLine.timestamp(date), TableCell.text(of: record.source),
            TableCell.text(of: record.domain), TableCell.text(of: record.stage ?? ""),
        ]
        try file.append(Array((cells.joined(separator: ",") + "\n").utf8))
    }

    /// The shortest digits that read back to the same number; empty for a non-finite number.
    private static func number(_ number: Double) -> String { number.isFinite ? String(number) : "" }
}
