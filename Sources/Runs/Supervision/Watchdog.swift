public import Collectives
import Foundation
import Glibc
import Kernels
public import Machine
import Synchronization
public import Telemetry
import PlainText

/// A thread of each rank that detects a stalled run, reports which ranks are missing, and ends the run if the stall
/// lasts.
///
/// It makes no MPI call and runs until the process ends or ``stop()``. The library never ends a process: the caller's
/// closure does.
public final class Watchdog: Sendable {
    private let activity: ActivityRecord
    private let pool: ThreadPool
    private let place: String
    private let onHang: @Sendable () -> Void
    private let state = Mutex<(log: RunLog?, isStopped: Bool)>((nil, false))

    /// Starts watching. Collective: the ranks agree on a name for this start.
    ///
    /// - Parameters:
    ///   - recipe: Provides the `watchdog` section and the run's folder.
    ///   - pool: The threads whose work shows that the rank advances.
    ///   - onHang: Ends the process with status ``ExitCode/hang``; called from another thread, after the message.
    public init(
        recipe: Recipe, communicator: any Communicator, pool: ThreadPool, onHang: @escaping @Sendable () -> Void
    ) throws {
        (activity, self.pool, self.onHang) = (communicator.activity, pool, onHang)
        place = communicator.worldSize > 1 ? "[rank \(communicator.rank) \(communicator.hostName)] " : ""
        communicator.phase = "watchdog"
        let mine = "\(communicator.hostName)-\(getpid())-\(UInt64(Date().timeIntervalSince1970 * 1e6))"
        let nonce = String(decoding: try communicator.broadcast(bytes: Array(mine.utf8), from: 0), as: UTF8.self)
        let board = HeartbeatFolder(
            run: RunFolder(folder: recipe.run.folder, name: recipe.run.name), rank: communicator.rank, nonce: nonce)
        let watch = StallWatch(
            rank: communicator.rank, hosts: communicator.hostNames, limits: recipe.watchdog,
            process: Int(getpid()))
        guard watch.limits.shortest != nil else { return }
        if communicator.isRoot { board.clear() }
        let thread = Thread { [self] in run(watch, board) }
        thread.name = "kedge-watchdog"
        thread.stackSize = 1 << 20
        thread.start()
    }

    /// Sends messages to the run's log from now on instead of standard error.
    public func attach(_ log: RunLog) { state.withLock { $0.log = log } }

    /// Stops watching, with at most a short delay.
    public func stop() { state.withLock { $0.isStopped = true } }

    private func run(_ watch: StallWatch, _ board: HeartbeatFolder) {
        // Signals are handled by the main thread.
        var all = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, nil)
        var watch = watch
        let interval = min(max(watch.beatInterval / 4, 0.02), 1)
        var last = ContinuousClock.now
        while !state.withLock({ $0.isStopped }) {
            usleep(UInt32(interval * 1e6))
            let now = ContinuousClock.now
            let notices = watch.observe(
                activity.current, workCount: pool.workCount, elapsed: (now - last) / .seconds(1), board: board)
            last = now
            for notice in notices { tell(notice, board) }
        }
        board.withdraw()
    }

    private func tell(_ notice: StallWatch.Notice, _ board: HeartbeatFolder) {
        switch notice {
        case .warning(let text): say(.warning, text)
        case .resumed(let text): say(.warning, text)
        case .hang(let text):
            say(.error, text)
            // This rank ends all others, which get no time to clean up.
            board.clear()
            onHang()
        }
    }

    private func say(_ severity: LogSeverity, _ text: String) {
        if let log = state.withLock({ $0.log }) {
            log.message(severity, text)
        } else {
            StandardError.write("kedge: \(severity.rawValue): \(place)\(text)".onOneLine)
        }
    }
}
