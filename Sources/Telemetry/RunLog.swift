import Foundation
import Synchronization

/// The log of a run: rank 0 tells its sinks, the other ranks are silent unless they warn.
///
/// A sink that cannot write loses lines, never the run: lost lines are counted, said once when it begins and once at the
/// end. Making a log makes the process ignore SIGPIPE, so that a reader of its output may leave.
public final class RunLog: Sendable {
    private struct Outlet {
        var sink: any LogSink
        var droppedLines = 0
        var isClosed = false
    }

    /// This process's rank.
    public let rank: Int
    /// This process's host.
    public let host: String

    private let clock: RunClock
    private let errorOutput: AppendFile
    private let outlets: Mutex<[Outlet]>

    /// A log with these sinks.
    ///
    /// - Parameters:
    ///   - rank: This process's rank; only rank 0 writes to the sinks.
    ///   - host: Name of this process's host, for warnings.
    ///   - sinks: Where events go.
    ///   - clock: Where time stamps come from.
    ///   - errorDescriptor: Where warnings of other ranks and of the log itself go.
    public init(
        rank: Int, host: String, sinks: [any LogSink], clock: RunClock = .system(),
        errorDescriptor: Int32 = 2
    ) {
        self.rank = rank
        self.host = host
        self.clock = clock
        errorOutput = AppendFile(descriptor: errorDescriptor, name: "standard error")
        outlets = Mutex(rank == 0 ? sinks.map { Outlet(sink: $0) } : [])
        signal(SIGPIPE, SIG_IGN)
    }

    /// The usual log of a run: text on standard output, and on rank 0 `log.jsonl` and `evaluation.csv` in a folder.
    ///
    /// - Parameters:
    ///   - folder: The run's folder, which must exist.
    ///   - keepsRow: True for the steps of evaluations that a run which goes on will not make again.
    /// - Throws: `TelemetryError` when a file cannot be opened.
    public convenience init(
        rank: Int, host: String, folder: String, clock: RunClock = .system(),
        keepsRow: (_ step: Int) -> Bool = { _ in true }
    ) throws(TelemetryError) {
        var sinks: [any LogSink] = []
        if rank == 0 {
            sinks.append(TextSink())
            sinks.append(try JSONLinesSink(path: folder + "/log.jsonl"))
            try CSVSink.keepRows(of: folder + "/evaluation.csv", where: keepsRow)
            sinks.append(try CSVSink(path: folder + "/evaluation.csv"))
        }
        self.init(rank: rank, host: host, sinks: sinks, clock: clock)
    }

    /// Writes an event to every sink; does nothing on other ranks than 0.
    ///
    /// An ``RunEvent/end(_:)`` also says how many lines were lost.
    public func record(_ event: RunEvent) {
        let date = clock.wall()
        outlets.withLock { outlets in
            for index in outlets.indices { Self.write(event, at: date, to: &outlets[index], complain: complain) }
            guard case .end = event else { return }
            for outlet in outlets where outlet.droppedLines > 0 {
                complain("\(outlet.droppedLines) log lines for \(outlet.sink.name) were lost")
            }
        }
    }

    /// Writes a fact; see ``record(_:)``.
    public func fact(_ fact: some RunFact) { record(.fact(fact)) }

    /// Writes a sentence: rank 0 to the sinks; other ranks only warnings and errors, to standard error.
    public func message(_ severity: LogSeverity, _ text: String) {
        if rank == 0 {
            record(.message(severity, text))
        } else if severity > .info {
            complain(text, severity)
        }
    }

    /// Writes a sentence that needs attention; see ``message(_:_:)``.
    public func warning(_ text: String) { message(.warning, text) }

    /// Events that could not be written, over all sinks.
    public var droppedLines: Int { outlets.withLock { $0.reduce(0) { $0 + $1.droppedLines } } }

    private static func write(_ event: RunEvent, at date: Date, to outlet: inout Outlet, complain: (String) -> Void) {
        guard !outlet.isClosed else { return }
        do {
            try outlet.sink.write(event, at: date)
        } catch {
            outlet.isClosed = error.isReaderGone
            outlet.droppedLines += 1
            guard outlet.droppedLines == 1 else { return }
            complain(
                error.description
                    + (outlet.isClosed ? "; nothing more is written there" : "; lines are lost until it works again"))
        }
    }

    private func complain(_ text: String) { complain(text, .warning) }

    /// Writes a tagged line to standard error; when even that fails there is nobody left to tell.
    private func complain(_ text: String, _ severity: LogSeverity) {
        let line = "[rank \(rank) \(host)] \(severity.rawValue): \(text.replacing("\n", with: " "))\n"
        try? errorOutput.append(Array(line.utf8))
    }
}
