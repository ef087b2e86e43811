public import Collectives

/// How long a rank that was asked to stop may take to reach the end of its step.
///
/// A step may take minutes and is worth waiting for while it advances: work of the thread pool and changes of the
/// activity count as progress. Waiting for other ranks is the watchdog's concern, and a save has the limit of saves.
public struct StopPatience: Sendable {
    /// Seconds without progress until the process is ended.
    public static let seconds = 20.0

    private let saveSeconds: Double
    private var activity: ActivityRecord.Activity?
    private var workCount = 0
    /// Seconds since the last progress.
    public private(set) var idle = 0.0

    /// Creates the patience of a run.
    ///
    /// - Parameter saveSeconds: The limit of saves; 0 for none.
    public init(saveSeconds: Double) { self.saveSeconds = saveSeconds }

    /// Records what the rank does now; true if the process must be ended.
    ///
    /// - Parameter elapsed: Seconds since the last observation.
    public mutating func isExhausted(_ now: ActivityRecord.Activity, workCount: Int, elapsed: Double) -> Bool {
        let advances = now.isWaiting || now.isOver || now != activity || workCount != self.workCount
        // A process that was itself stopped could not advance.
        idle = advances ? 0 : idle + min(elapsed, 1)
        (activity, self.workCount) = (now, workCount)
        guard now.phase.hasPrefix("checkpoint") else { return idle >= Self.seconds }
        return saveSeconds > 0 && idle >= max(saveSeconds, Self.seconds)
    }
}
