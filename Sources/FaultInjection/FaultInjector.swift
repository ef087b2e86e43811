import Glibc
import Synchronization

/// Injects the faults that a test requests; without any, reaching a point costs one check of a flag.
///
/// It is global to the process, as signals are, because the points are in modules that do not know each other.
public enum FaultInjector {
    /// The action required of a point that was reached.
    public enum Outcome: Sendable, Equatable {
        /// Continue.
        case none
        /// Fail as if a system call had returned this error number.
        case errorNumber(Int32)
        /// Fail.
        case fail
        /// Put a NaN into the result.
        case notANumber
    }

    /// The step of the current work.
    @TaskLocal public static var step = 0
    /// The kind of file being written, if its writing can be made to fail.
    @TaskLocal public static var file: FaultFile?

    private static let isArmed = Atomic<Bool>(false)
    private static let waiting = Mutex<[Fault]>([])

    /// Arms the faults of this rank; each fires once.
    public static func arm(_ faults: [Fault], rank: Int) {
        let own = faults.filter { $0.rank == nil || $0.rank == rank }
        waiting.withLock { $0 = own }
        isArmed.store(!own.isEmpty, ordering: .relaxed)
    }

    /// Called at a point: kills, stops or delays the process immediately, or returns how the point must fail.
    public static func reach(_ point: FaultPoint) -> Outcome {
        guard isArmed.load(ordering: .relaxed) else { return .none }
        let step = step
        let fault = waiting.withLock { faults -> Fault? in
            guard let index = faults.firstIndex(where: { $0.point == point && ($0.step ?? step) == step }) else {
                return nil
            }
            return faults.remove(at: index)
        }
        switch fault?.action {
        case nil: return .none
        case .kill:
            kill(getpid(), SIGKILL)
            return .none
        case .stop:
            kill(getpid(), SIGSTOP)
            return .none
        case .sleep(let seconds):
            // A signal ends a sleep early.
            let end = ContinuousClock.now + .seconds(seconds)
            while ContinuousClock.now < end { usleep(10_000) }
            return .none
        case .fail: return .fail
        case .notANumber: return .notANumber
        case .errorNumber(let number): return .errorNumber(number)
        }
    }

    /// `reach` for a moment in writing the current `file`.
    public static func reach(_ moment: FileMoment) -> Outcome {
        guard isArmed.load(ordering: .relaxed), let file, let point = FaultPoint(file, moment) else { return .none }
        return reach(point)
    }

    /// `reach` for points where any failure is an error. Throws `InjectedFault`.
    public static func check(_ point: FaultPoint) throws(InjectedFault) {
        if reach(point) != .none { throw InjectedFault(point: point) }
    }
}
