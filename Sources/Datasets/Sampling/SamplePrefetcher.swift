import Foundation
public import Machine

/// Prepares examples on background threads, ahead of their use, and returns them strictly in order.
///
/// At most `depth` examples are being prepared or waiting at any time. An error takes the place of its example: `next`
/// throws it there and continues with the following one. Releasing the prefetcher cancels it; a thread in the middle of
/// an example finishes that example and ends.
public final class SamplePrefetcher<Request: Sendable, Example: Sendable>: Sendable {
    private let queue: PrefetchQueue<Request, Example>

    /// Starts preparing.
    ///
    /// Throws `ResourceShortage` if the system refuses a thread.
    ///
    /// - Parameters:
    ///   - requests: The examples to prepare, in order; may be endless.
    ///   - depth: The maximum number of examples in preparation or waiting.
    ///   - threads: The number of background threads.
    ///   - prepare: Prepares one example; called on any thread.
    public init<Requests: IteratorProtocol<Request> & Sendable>(
        _ requests: Requests, depth: Int, threads: Int = 1,
        prepare: @escaping @Sendable (Request) throws -> Example
    ) throws(ResourceShortage) {
        precondition(depth > 0 && threads > 0, "a prefetcher of depth \(depth) with \(threads) threads")
        let queue = PrefetchQueue<Request, Example>(requests: requests, depth: depth, threads: min(threads, depth))
        self.queue = queue
        for number in 0..<min(threads, depth) {
            do throws(ResourceShortage) {
                try SystemThread.start("kedge-read-\(number)", stackBytes: 4 << 20) { queue.work(prepare) }
            } catch {
                queue.cancel()
                throw error
            }
        }
    }

    deinit { queue.cancel() }

    /// The next example, waiting for it if necessary; nil after the last one or after `cancel`.
    ///
    /// Throws the error of preparing this example.
    public func next() throws -> Example? { try queue.take()?.get() }

    /// Stops preparing and wakes all callers waiting in `next`; returns immediately.
    public func cancel() { queue.cancel() }

    /// Waits until every thread has ended; call `cancel` before, unless the requests are finite.
    public func waitUntilStopped() { queue.waitUntilStopped() }
}

/// The state shared by a prefetcher's threads; they hold it, not the prefetcher, so that releasing that ends them.
private final class PrefetchQueue<Request: Sendable, Example: Sendable>: @unchecked Sendable {
    /// Guards every property below; signalled at every change of them.
    private let condition = NSCondition()
    private var requests: any IteratorProtocol<Request>
    private let depth: Int
    /// Finished examples by their index in the order.
    private var finished: [Int: Result<Example, any Error>] = [:]
    private var started = 0
    private var taken = 0
    private var isExhausted = false
    private var isCancelled = false
    private var activeThreads: Int

    init(requests: any IteratorProtocol<Request>, depth: Int, threads: Int) {
        self.requests = requests
        self.depth = depth
        activeThreads = threads
    }

    func work(_ prepare: (Request) throws -> Example) {
        while let (place, request) = claim() {
            let result = Result { try prepare(request) }
            condition.lock()
            finished[place] = result
            condition.broadcast()
            condition.unlock()
        }
        condition.lock()
        activeThreads -= 1
        condition.broadcast()
        condition.unlock()
    }

    /// Takes the next request when there is space for its example; nil when there is nothing more to do.
    private func claim() -> (Int, Request)? {
        condition.lock()
        defer { condition.unlock() }
        while !isCancelled && !isExhausted && started - taken >= depth { condition.wait() }
        guard !isCancelled, !isExhausted else { return nil }
        guard let request = requests.next() else {
            isExhausted = true
            condition.broadcast()
            return nil
        }
        defer { started += 1 }
        return (started, request)
    }

    func take() -> Result<Example, any Error>? {
        condition.lock()
        defer { condition.unlock() }
        while true {
            if isCancelled { return nil }
            if let result = finished.removeValue(forKey: taken) {
                taken += 1
                condition.broadcast()
                return result
            }
            if isExhausted && taken == started { return nil }
            condition.wait()
        }
    }

    func cancel() {
        condition.lock()
        isCancelled = true
        finished = [:]
        condition.broadcast()
        condition.unlock()
    }

    func waitUntilStopped() {
        condition.lock()
        while activeThreads > 0 { condition.wait() }
        condition.unlock()
    }
}
