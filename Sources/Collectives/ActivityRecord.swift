import Synchronization

/// What a rank is doing, written by the thread that does it and read by one that watches over it.
///
/// It holds counters and no times: who looks at it regularly sees whether they move, by its own clock.
public final class ActivityRecord: Sendable {
    /// The state at one moment.
    public struct Activity: Sendable, Equatable {
        /// The communicator's phase.
        public var phase = ""
        /// What the rank works at between operations, such as `computing`.
        public var work = "computing"
        /// The number of the last operation that was begun.
        public var sequence = 0
        /// Its kind; nil before the first.
        package var operation: CollectiveOperation?
        /// True while the rank moves bytes or waits for others to do so.
        public var isWaiting = false
        /// How often a movement of bytes has begun or ended.
        public var transfers = 0
        /// How often anything here was written.
        public var stamps = 0
        /// True when the rank has nothing more to do.
        public var isOver = false

        /// Nothing done yet.
        package init() {}

        /// The operation in words, for example `barrier`.
        public var operationName: String { operation.map { "\($0)" } ?? "no operation" }
    }

    private let state = Mutex(Activity())

    /// A record of a rank that has done nothing yet.
    package init() {}

    /// The present state.
    public var current: Activity { state.withLock { $0 } }

    /// Says what the rank now works at; also a sign that it advances.
    public func work(at work: String) { write { $0.work = work } }

    /// Says that nothing more will come, so that nobody waits for it.
    public func end() { write { $0.isOver = true } }

    package func enter(phase: String) { write { $0.phase = phase } }

    /// Moves bytes, marked as waiting while it lasts.
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
