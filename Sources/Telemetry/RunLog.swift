import Foundation
import Synchronization

/// The log of a run: rank 0 writes to its sinks; other ranks write only warnings and errors, to standard error.
///
/// A sink that cannot write loses lines but never stops the run: lost lines are counted and reported when the first is
/// lost and at the end. Creating a log makes the process ignore SIGPIPE, so that a reader of its output may exit.
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

    /// Creates a log with the given sinks.
    ///
    /// - Parameters:
    ///   - rank: This process's rank; only rank 0 writes to the sinks.
    ///   - host: This process's host, for warnings.
    ///   - sinks: The destinations of events.
    ///   - clock: The source of time stamps.
    ///   - errorDescriptor: The destination of warnings from other ranks and from the log itself.
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

    /// Creates the standard log of a run: text on standard output, and on rank 0 `log.jsonl` and `evaluation.csv` in a
    /// folder.
    ///
    /// - Parameters:
    ///   - folder: The run's folder, which must exist.
    ///   - mayWrite: False once the folder may be another run's.
    ///   - keepsRow: True for the steps of evaluations that a resumed run will not repeat.
    /// - Throws: `TelemetryError` if a file cannot be opened.
    public convenience init(
        rank: Int, host: String, folder: String, clock: RunClock = .system(),
        mayWrite: @escaping @Sendable () -> Bool = { true },
        keepsRow: (_ step: Int) -> Bool = { _ in true }
    ) throws(TelemetryError) {
        var sinks: [any LogSink] = []
        if rank == 0 {
            sinks.append(TextSink())
            sinks.append(try JSONLinesSink(path: folder + "/log.jsonl", mayWrite: mayWrite))
            try CSVSink.keepRows(of: folder + "/evaluation.csv", where: keepsRow)
            sinks.append(try CSVSink(path: folder + "/evaluation.csv", mayWrite: mayWrite))
        }
        self.init(rank: rank, host: host, sinks: sinks, clock: clock)
    }

    /// Writes an event to every sink; does nothing on ranks other than 0.
    ///
    /// ``RunEvent/end(_:)`` also reports how many lines were lost.
    public func record(_ event: RunEvent) {
        let date = clock.wall()
        outlets.withLock { outlets in
            var isLost = false
            for index in outlets.indices {
                isLost = !Self.write(event, at: date, to: &outlets[index], complain: complain) || isLost
            }
            // A warning that one of the outlets does not take is for standard error.
            if isLost, case .message(let severity, let text) = event, severity > .info { complain(text, severity) }
            guard case .end = event else { return }
            for outlet in outlets where outlet.droppedLines > 0 {
                complain("\(outlet.droppedLines) log lines for \(outlet.sink.name) were lost")
            }
        }
    }

    /// Writes a fact; see ``record(_:)``.
    public func fact(_ fact: some RunFact) { record(.fact(fact)) }

    /// Writes a message: rank 0 to the sinks; other ranks only warnings and errors, to standard error.
    public func message(_ severity: LogSeverity, _ text: String) {
        if rank == 0 {
            record(.message(severity, text))
        } else if severity > .info {
            complain(text, severity)
        }
    }

    /// Writes a warning; see ``message(_:_:)``.
    public func warning(_ text: String) { message(.warning, text) }

    /// Number of events that could not be written, over all sinks.
    public var droppedLines: Int { outlets.withLock { $0.reduce(0) { $0 + $1.droppedLines } } }

    /// Returns false if the event was lost.
    private static func write(
        _ event: RunEvent, at date: Date, to outlet: inout Outlet, complain: (String) -> Void
    ) -> Bool {
        guard !outlet.isClosed else { return false }
        do {
            try outlet.sink.write(event, at: date)
            return true
        } catch {
            outlet.isClosed = error.isReaderGone
            outlet.droppedLines += 1
            if outlet.droppedLines == 1 {
                complain(
                    error.description
                        + (outlet.isClosed ? "; no more lines are written to it" : "; lines are lost until it recovers")
                )
            }
            return false
        }
    }

    private func complain(_ text: String) { complain(text, .warning) }

    /// Writes a tagged line to standard error; if that fails too, the line is lost.
    private func complain(_ text: String, _ severity: LogSeverity) {
        let line = "[rank \(rank) \(host)] \(severity.rawValue): \(text.replacing("\n", with: " "))\n"
        try? errorOutput.append(Array(line.utf8))
    }
}
