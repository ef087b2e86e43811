import Datasets
import Foundation
import Testing

@Suite struct PrefetcherTests {
    struct Fault: Error, Equatable {
        let number: Int
    }

    @Test(arguments: [(1, 1), (3, 2), (4, 8)])
    func orderIsKept(depth: Int, threads: Int) throws {
        let prefetcher = try SamplePrefetcher((0..<60).makeIterator(), depth: depth, threads: threads) { number in
            if number % 3 == 0 { Thread.sleep(forTimeInterval: 0.001) }
            return number * number
        }
        for number in 0..<60 { #expect(try prefetcher.next() == number * number) }
        #expect(try prefetcher.next() == nil)
        #expect(try prefetcher.next() == nil)
        prefetcher.waitUntilStopped()
    }

    @Test func errorsTakeTheirPlace() throws {
        let prefetcher = try SamplePrefetcher((0..<6).makeIterator(), depth: 4, threads: 2) { number in
            if number == 2 { throw Fault(number: number) }
            return number
        }
        var seen: [Int] = []
        for place in 0..<6 {
            if place == 2 {
                #expect(throws: Fault(number: 2)) { try prefetcher.next() }
            } else if let number = try prefetcher.next() {
                seen.append(number)
            }
        }
        #expect(seen == [0, 1, 3, 4, 5])
        #expect(try prefetcher.next() == nil)
    }

    /// Counts under a lock, for use from several threads.
    final class Counter: @unchecked Sendable {
        private let lock = NSLock()
        private var value = 0
        func increment() {
            lock.lock()
            value += 1
            lock.unlock()
        }
        var count: Int {
            lock.lock()
            defer { lock.unlock() }
            return value
        }
    }

    @Test func depthIsBounded() throws {
        let begun = Counter()
        let prefetcher = try SamplePrefetcher((0..<1000).makeIterator(), depth: 5, threads: 3) { number in
            begun.increment()
            return number
        }
        _ = try prefetcher.next()
        Thread.sleep(forTimeInterval: 0.05)
        #expect(begun.count == 6)
        prefetcher.cancel()
        prefetcher.waitUntilStopped()
        #expect(begun.count == 6)
        #expect(try prefetcher.next() == nil)
    }

    @Test func cancellingWakesTheWaiter() throws {
        let gate = DispatchSemaphore(value: 0)
        let prefetcher = try SamplePrefetcher((0..<3).makeIterator(), depth: 1) { number in
            gate.wait()
            return number
        }
        let canceller = Thread {
            Thread.sleep(forTimeInterval: 0.02)
            prefetcher.cancel()
        }
        canceller.start()
        #expect(try prefetcher.next() == nil)
        gate.signal()
        prefetcher.waitUntilStopped()
    }

    @Test func droppingEndsTheThreads() throws {
        let begun = Counter()
        do {
            let prefetcher = try SamplePrefetcher(repeatElement(1, count: .max).makeIterator(), depth: 2) { number in
                begun.increment()
                return number
            }
            #expect(try prefetcher.next() == 1)
        }
        Thread.sleep(forTimeInterval: 0.05)
        let count = begun.count
        Thread.sleep(forTimeInterval: 0.05)
        #expect(begun.count == count)
    }
}
