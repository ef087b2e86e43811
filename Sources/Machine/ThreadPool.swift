import Foundation
import Synchronization

/// The threads of one rank: the only owner of parallelism below `Training`.
///
/// Work is divided into numbered tasks by shape, never by thread count; threads draw the numbers from a counter. As
/// every task writes its own outputs, the bits of a result do not depend on the number of threads or on which thread
/// runs a task.
public final class ThreadPool: Sendable {
    /// The number of threads, including the caller.
    public let threads: Int
    /// True when tasks are skipped; see `Workspace.init(rehearsing:)`.
    public let isRehearsal: Bool
    /// Why fewer threads run than were requested; nil if all do.
    ///
    /// The others do the work of those that are missing: the results are the same.
    public let shortage: ResourceShortage?
    private let team: Team
    private let calls = Atomic<Int>(0)

    /// The number of `parallelFor` calls so far: while it grows, the rank is making progress. Safe from any thread.
    public var workCount: Int { calls.load(ordering: .relaxed) }

    /// Starts `threads - 1` workers; the caller of `parallelFor` is the remaining one. See ``shortage``.
    public convenience init(threads: Int) { self.init(threads: threads, isRehearsal: false) }

    package init(threads: Int, isRehearsal: Bool) {
        precondition(threads >= 1, "a thread pool needs at least one thread")
        (self.threads, self.isRehearsal) = (threads, isRehearsal)
        let team = Team()
        self.team = team
        var shortage: ResourceShortage?
        if !isRehearsal {
            do throws(ResourceShortage) {
                for worker in 1..<threads {
                    try SystemThread.start("kedge-\(worker)", stackBytes: 4 << 20) { team.serve(as: worker) }
                    team.workers += 1
                }
            } catch {
                shortage = error
            }
        }
        self.shortage = shortage
    }

    deinit { team.stop() }

    /// Runs `body(task, worker)` once for every task in 0 ..< tasks and returns when all are done.
    ///
    /// - Parameter body: Receives the task and the number of the worker that runs it (0 ..< threads), which selects its
    ///   scratch memory. It must not call `parallelFor` again.
    public func parallelFor(_ tasks: Int, _ body: (_ task: Int, _ worker: Int) -> Void) {
        if isRehearsal { return }
        calls.add(1, ordering: .relaxed)
        if team.workers == 0 || tasks <= 1 {
            for task in 0..<tasks { body(task, 0) }
            return
        }
        withoutActuallyEscaping(body) { team.run(tasks, $0) }
    }
}

/// The state shared by the workers. It outlives the pool until the last worker has left.
private final class Team: @unchecked Sendable {
    typealias Body = (_ task: Int, _ worker: Int) -> Void

    private let lock = NSCondition()
    private let finished = NSCondition()
    private let nextTask = Atomic<Int>(0)
    /// Changed only before the first call of `run`.
    var workers = 0
    // Guarded by `lock`.
    private var body: Body?
    private var tasks = 0
    private var generation = 0
    private var stopping = false
    // Guarded by `finished`.
    private var working = 0

    func run(_ tasks: Int, _ body: @escaping Body) {
        working = workers
        lock.lock()
        nextTask.store(0, ordering: .relaxed)
        self.body = body
        self.tasks = tasks
        generation += 1
        lock.broadcast()
        lock.unlock()
        drain(body, tasks, worker: 0)
        finished.lock()
        while working > 0 { finished.wait() }
        finished.unlock()
        self.body = nil
    }

    func serve(as worker: Int) {
        var seen = 0
        while true {
            lock.lock()
            while generation == seen && !stopping { lock.wait() }
            if stopping {
                lock.unlock()
                return
            }
            seen = generation
            let tasks = self.tasks
            var body = self.body
            lock.unlock()
            if let body { drain(body, tasks, worker: worker) }
            // The caller's closure is on its stack: release it before reporting completion.
            body = nil
            finished.lock()
            working -= 1
            if working == 0 { finished.signal() }
            finished.unlock()
        }
    }

    func stop() {
        lock.lock()
        stopping = true
        lock.broadcast()
        lock.unlock()
    }

    private func drain(_ body: Body, _ tasks: Int, worker: Int) {
        while true {
            let task = nextTask.wrappingAdd(1, ordering: .relaxed).oldValue
            guard task < tasks else { return }
            body(task, worker)
        }
    }
}
