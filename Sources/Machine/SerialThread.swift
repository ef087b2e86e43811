import Foundation

/// One thread that runs pieces of work in the order in which they are given.
public final class SerialThread: Sendable {
    private let queue = WorkQueue()

    /// Starts the thread; it ends when this object is released and its work is done.
    ///
    /// Throws `ResourceShortage` if the system refuses it.
    public init(_ name: String, stackBytes: Int = 4 << 20) throws(ResourceShortage) {
        let queue = queue
        try SystemThread.start(name, stackBytes: stackBytes) { queue.serve() }
    }

    deinit { queue.close() }

    /// Appends work and returns at once.
    public func async(_ work: @escaping @Sendable () -> Void) { queue.append(work) }

    /// Waits until all work given so far is done.
    public func finish() { queue.finish() }
}

/// The work of a thread, which holds it and not the thread's owner.
private final class WorkQueue: @unchecked Sendable {
    /// Guards every property below; signalled at every change of them.
    private let condition = NSCondition()
    private var waiting: [@Sendable () -> Void] = []
    private var isWorking = false
    private var isClosed = false

    func append(_ work: @escaping @Sendable () -> Void) {
        condition.lock()
        waiting.append(work)
        condition.broadcast()
        condition.unlock()
    }

    func finish() {
        condition.lock()
        while isWorking || !waiting.isEmpty { condition.wait() }
        condition.unlock()
    }

    func close() {
        condition.lock()
        isClosed = true
        condition.broadcast()
        condition.unlock()
    }

    func serve() {
        condition.lock()
        while true {
            while waiting.isEmpty && !isClosed { condition.wait() }
            guard !waiting.isEmpty else { break }
            let work = waiting.removeFirst()
            isWorking = true
            condition.unlock()
            work()
            condition.lock()
            isWorking = false
            condition.broadcast()
        }
        condition.unlock()
    }
}
