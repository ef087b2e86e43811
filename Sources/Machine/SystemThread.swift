import CMachine
import Foundation
import Glibc

/// Threads of the system, started by a call that reports failure.
///
/// Foundation's `Thread` and Dispatch do not: where the system refuses a thread, the former returns as if it ran, the
/// latter tries again for ever.
public enum SystemThread {
    /// Starts a thread that runs `body` and ends.
    ///
    /// Throws `ResourceShortage` if the system refuses it.
    ///
    /// - Parameters:
    ///   - name: The thread's name, for debuggers and messages; the system keeps 15 characters.
    ///   - stackBytes: The size of its stack.
    public static func start(
        _ name: String, stackBytes: Int = 1 << 20, _ body: @escaping @Sendable () -> Void
    ) throws(ResourceShortage) {
        let attributes = UnsafeMutablePointer<pthread_attr_t>.allocate(capacity: 1)
        pthread_attr_init(attributes)
        defer {
            pthread_attr_destroy(attributes)
            attributes.deallocate()
        }
        pthread_attr_setdetachstate(attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(attributes, stackBytes)
        let work = Unmanaged.passRetained(Work(name: name, body: body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, attributes,
            { pointer in
                guard let pointer else { return nil }
                let work = Unmanaged<Work>.fromOpaque(pointer).takeRetainedValue()
                kedge_name_thread(work.name)
                work.body()
                return nil
            }, work.toOpaque())
        guard code != 0 else { return }
        work.release()
        throw refusal(of: name, code: code, stackBytes: stackBytes)
    }

    /// Throws `ResourceShortage` if this process cannot have so many more threads now; they end before it returns.
    ///
    /// For what follows in libraries, which do not report it or do not survive it.
    public static func probe(_ count: Int) throws(ResourceShortage) {
        let gate = Gate()
        defer { gate.open() }
        for number in 1...count {
            try start("\(number) of \(count) more") { gate.pass() }
        }
        gate.open()
        gate.waitUntilPassed(count)
    }

    private final class Work: Sendable {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            (self.name, self.body) = (String(name.prefix(15)), body)
        }
    }

    /// Holds the threads of a probe until all are there.
    private final class Gate: @unchecked Sendable {
        private let condition = NSCondition()
        private var isOpen = false
        private var passed = 0

        func pass() {
            condition.lock()
            while !isOpen { condition.wait() }
            passed += 1
            condition.broadcast()
            condition.unlock()
        }

        func open() {
            condition.lock()
            isOpen = true
            condition.broadcast()
            condition.unlock()
        }

        func waitUntilPassed(_ count: Int) {
            condition.lock()
            while passed < count { condition.wait() }
            condition.unlock()
        }
    }
}

// MARK: - Why a thread is refused

extension SystemThread {
    /// The limit that refuses a thread, as far as the system shows it.
    static func refusal(of name: String, code: Int32, stackBytes: Int) -> ResourceShortage {
        let problem = "thread \(name) cannot be started (\(String(cString: strerror(code))))"
        let fewer = "or lower execution.threads"
        if let limit = ProcessLimit.tightest(), limit.free < stackBytes + 1 << 20 {
            return ResourceShortage("\(problem): \(limit)", remedy: "\(limit.kind.remedy), \(fewer)")
        }
        if let limit = ThreadLimit.reachedGroup() {
            return ResourceShortage(
                "\(problem): the control group is limited to \(limit) processes and threads (pids.max)",
                remedy: "raise it (docker run --pids-limit, podPidsLimit in Kubernetes, TasksMax in systemd), \(fewer)")
        }
        guard let limit = ThreadLimit.ofUser() else {
            return ResourceShortage(
                "\(problem): the system's limit of threads is reached", remedy: "end other processes, \(fewer)")
        }
        return ResourceShortage(
            "\(problem): the user is limited to \(limit) processes and threads (ulimit -u)",
            remedy: "raise it with ulimit -u or in limits.conf, end other processes of the user, \(fewer)")
    }
}

/// Limits on the number of threads.
package enum ThreadLimit {
    /// Processes and threads that the user may have; nil for no limit.
    package static func ofUser() -> Int? {
        let limit = kedge_thread_limit()
        return limit < 0 ? nil : Int(limit)
    }

    /// The limit of a control group that has reached it; nil if none has.
    ///
    /// - Parameter root: The folder that contains `/proc` and `/sys`.
    package static func reachedGroup(root: String = "") -> Int? {
        ControlGroups(root: root).folders("pids").lazy.compactMap { folder -> Int? in
            guard let limit = folder.number("pids.max"), let used = folder.number("pids.current"), used >= limit else {
                return nil
            }
            return limit
        }.first
    }
}
