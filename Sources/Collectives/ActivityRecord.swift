import Synchronization

/// The current activity of a rank, written by the thread that performs it and read by a watchdog thread.
///
/// It holds counters and no times: a regular reader sees by its own clock whether they move.
public final class ActivityRecord: Sendable {
    /// The state at one moment.
    public struct Activity: Sendable, Equatable {
        /// The communicator's phase.
        public var phase = ""
        /// The rank's work between operations, such as `computing`.
        public var work = "computing"
        /// The number of the last operation begun.
        public var sequence = 0
        /// Its kind; nil before the first.
        package var operation: CollectiveOperation?
        /// True while the rank transfers bytes or waits for others to do so.
        public var isWaiting = false
        /// The number of times a transfer has begun or ended.
        public var transfers = 0
        /// The number of changes to this record.
        public var stamps = 0
        /// True when the rank has nothing more to do.
        public var isOver = false

        /// Creates the initial state.
        package init() {}

        /// The operation in words, for example `barrier`.
        public var operationName: String { operation.map { "\($0)" } ?? "no operation" }
    }

    private let state = Mutex(Activity())

    /// Creates the record of a rank that has done nothing yet.
    package init() {}

    /// The current state.
    public var current: Activity { state.withLock { $0 } }

    /// Records the rank's current work; this also counts as progress.
    public func work(at work: String) { write { $0.work = work } }

    /// Records that the rank is done, so that nobody waits for it.
    public func end() { write { $0.isOver = true } }

    package func enter(phase: String) { write { $0.phase = phase } }

    /// Transfers bytes, marked as waiting until `body` returns.
    package func transfer<Result>(
        _ operation: CollectiveOperation? = nil, sequence: Int? = nil, _ body: () throws -> Result
    ) rethrows -> Result {
        write {
            if let operation { $0.operation = operation }
            if let sequence { $0.sequence = sequence }
            $0.isWaiting = true
            $0.transfers += 1
        }
        defer {
            write {
                $0.isWaiting = false
                $0.transfers += 1
            }
        }
        return try body()
    }

    private func write(_ change: (inout Activity) -> Void) {
        state.withLock {
            change(&$0)
            $0.stamps += 1
        }
    }
}
