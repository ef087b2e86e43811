import Collectives
import Foundation
import Machine
import Runs
import Synchronization
import Telemetry

/// Signals that ask a command to stop, and the end of one that does not.
enum StopSignals {
    private static let requests = Atomic<Int>(0)
    /// When the first SIGTERM came, in milliseconds of the monotonic clock; 0 before it.
    private static let firstTermination = Atomic<Int>(0)
    /// Its functions may be called from any thread, and from a signal handler.
    nonisolated(unsafe) private static let wakeUp: UnsafeMutablePointer<sem_t> = {
        let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
        sem_init(semaphore, 0, 0)
        return semaphore
    }()

    /// True once a signal has requested the run to stop.
    static var isStopRequested: Bool { requests.load(ordering: .relaxed) > 0 }

    /// SIGUSR1 and the first SIGINT end the run after the current step, a second SIGINT at once.
    ///
    /// - Parameter others: Further signals with the same effect, for a command with processes and files to clean up.
    static func watch(_ others: [Int32] = []) {
        _ = wakeUp
        for number in [SIGUSR1] + others { signal(number) { _ in StopSignals.request() } }
        signal(SIGINT) { _ in
            if StopSignals.requests.load(ordering: .relaxed) > 0 { _exit(128 + SIGINT) }
            StopSignals.request()
        }
    }

    private static func request() {
        requests.add(1, ordering: .relaxed)
        sem_post(wakeUp)
    }

    private static var milliseconds: Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }

    /// SIGTERM has the same effect from now on; before, it ends the process at once, as there is nothing to save.
    ///
    /// A second SIGTERM ends the process at once, if it comes two seconds or more after the first: launcher and
    /// scheduler often send one each.
    private static func watchTermination() {
        signal(SIGTERM) { _ in
            let now = StopSignals.milliseconds
            let first = StopSignals.firstTermination.compareExchange(expected: 0, desired: now, ordering: .relaxed)
            if !first.exchanged, now - first.original >= 2000 { _exit(128 + SIGTERM) }
            StopSignals.request()
        }
    }

    /// Ends this process if it was asked to stop and makes no progress towards it, by a thread that sleeps until a
    /// signal comes.
    ///
    /// Throws `ResourceShortage` if the system refuses the thread.
    static func endIfStuck(_ communicator: any Communicator, pool: ThreadPool, saveSeconds: Double) throws {
        let (activity, rank, host) = (communicator.activity, communicator.rank, communicator.hostName)
        let place = communicator.worldSize > 1 ? "[rank \(rank) \(host)] " : ""
        try SystemThread.start("kedge-stop") {
            while sem_wait(wakeUp) != 0 {}
            var patience = StopPatience(saveSeconds: saveSeconds)
            let interval = 0.2
            while !patience.isExhausted(activity.current, workCount: pool.workCount, elapsed: interval) {
                usleep(UInt32(interval * 1e6))
            }
            let now = activity.current
            Failure.report(
                "\(place)asked to stop, but there was no progress for \(Int(patience.idle.rounded())) s: \(now.work), "
                    + "phase \"\(now.phase)\"; ended without a save, repeat the same command to resume from the last "
                    + "checkpoint")
            _exit(ExitCode.hang.rawValue)
        }
        watchTermination()
    }
}
