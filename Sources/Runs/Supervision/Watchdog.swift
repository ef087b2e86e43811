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

    /// Starts watching a run. Collective: the ranks agree on a name for this start.
    ///
    /// Throws `CollectivesError`, and `ResourceShortage` if the system refuses the thread.
    ///
    /// - Parameters:
    ///   - recipe: Provides the `watchdog` section and the run's folder.
    ///   - pool: The threads whose work shows that the rank advances.
    ///   - onHang: Ends the process with status ``ExitCode/hang``; called from another thread, after the message.
    public convenience init(
        recipe: Recipe, communicator: any Communicator, pool: ThreadPool, onHang: @escaping @Sendable () -> Void
    ) throws {
        let nonce = try Self.agreedNonce(communicator)
        let folder = RunFolder(folder: recipe.run.folder, name: recipe.run.name).path
        try self.init(
            communicator, recipe.watchdog, HeartbeatFolder(folder + "/watch", rank: communicator.rank, nonce: nonce),
            pool: pool, onHang: onHang)
    }

    /// Starts watching an evaluation, which has no run's folder and leaves the heartbeats of runs alone. Collective.
    ///
    /// Throws as ``init(recipe:communicator:pool:onHang:)``.
    public convenience init(
        evaluating recipe: Recipe, communicator: any Communicator, pool: ThreadPool,
        onHang: @escaping @Sendable () -> Void
    ) throws {
        let nonce = try Self.agreedNonce(communicator)
        try self.init(
            communicator, recipe.watchdog,
            HeartbeatFolder("\(recipe.run.folder)/watch-\(nonce)", rank: communicator.rank, nonce: nonce),
            pool: pool, resumes: false, onHang: onHang)
    }

    /// Starts watching a rank that works while the others have nothing to do.
    ///
    /// Throws `ResourceShortage` if the system refuses the thread.
    ///
    /// - Parameter limit: Seconds without progress until `onHang` is called, after a warning; 0 for no limit.
    public convenience init(
        alone communicator: any Communicator, limit: Double, pool: ThreadPool, onHang: @escaping @Sendable () -> Void
    ) throws(ResourceShortage) {
        var limits = StallWatch.Limits()
        if limit > 0 { limits.warnAfter = min(limits.warnAfter, limit / 3) }
        (limits.load, limits.firstStep, limits.step, limits.save) = (limit, limit, limit, limit)
        try self.init(communicator, limits, nil, pool: pool, resumes: false, onHang: onHang)
    }

    /// Without a board, this rank is the only one.
    private init(
        _ communicator: any Communicator, _ limits: StallWatch.Limits, _ board: HeartbeatFolder?, pool: ThreadPool,
        resumes: Bool = true, onHang: @escaping @Sendable () -> Void
    ) throws(ResourceShortage) {
        (activity, self.pool, self.onHang) = (communicator.activity, pool, onHang)
        place = communicator.worldSize > 1 ? "[rank \(communicator.rank) \(communicator.hostName)] " : ""
        var watch = StallWatch(
            rank: board == nil ? 0 : communicator.rank,
            hosts: board == nil ? [communicator.hostName] : communicator.hostNames, limits: limits,
            process: Int(getpid()))
        watch.resumes = resumes
        guard limits.shortest != nil else { return }
        if communicator.isRoot { board?.clear() }
        let (begun, ownBoard) = (watch, board ?? HeartbeatFolder("", rank: 0, nonce: ""))
        try SystemThread.start("kedge-watchdog") { [self] in run(begun, ownBoard) }
    }

    /// A name for this start, the same on all ranks.
    private static func agreedNonce(_ communicator: any Communicator) throws -> String {
        communicator.phase = "watchdog"
        let mine = "\(communicator.hostName)-\(getpid())-\(UInt64(Date().timeIntervalSince1970 * 1e6))"
        return String(decoding: try communicator.broadcast(bytes: Array(mine.utf8), from: 0), as: UTF8.self)
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
