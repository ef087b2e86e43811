import Foundation
import Machine
import Synchronization
import Testing

/// Threads and the limits of a process; `Tests/System/limits` shows what happens where the system refuses them.
@Suite struct SystemThreadTests {
    @Test func aThreadRunsUnderItsName() throws {
        let name = Mutex("")
        let done = DispatchSemaphore(value: 0)
        try SystemThread.start("kedge-a-very-long-name") {
            let own = (try? String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8)) ?? ""
            name.withLock { $0 = own }
            done.signal()
        }
        done.wait()
        #expect(name.withLock { $0 } == "kedge-a-very-lo\n")
    }

    @Test func aProbeLeavesNoThreads() throws {
        try SystemThread.probe(8)
        func probes() -> Int {
            let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
            return tasks.count { task in
                (try? String(contentsOfFile: "/proc/self/task/\(task)/comm", encoding: .utf8))?.contains(" of 8 ")
                    == true
            }
        }
        for _ in 0..<100 where probes() > 0 { usleep(10_000) }
        #expect(probes() == 0)
    }

    /// More than the system can have.
    @Test func aRefusedThreadIsAnErrorThatNamesTheReason() throws {
        #expect {
            try SystemThread.start("kedge-huge", stackBytes: 1 << 46) {}
        } throws: { error in
            "\(error)".hasPrefix("thread kedge-huge cannot be started (")
        }
    }

    @Test func workIsDoneInOrder() throws {
        let seen = Mutex<[Int]>([])
        do {
            let thread = try SerialThread("kedge-test")
            for number in 0..<50 { thread.async { seen.withLock { $0.append(number) } } }
            thread.finish()
            #expect(seen.withLock { $0 } == Array(0..<50))
            for number in 50..<60 { thread.async { seen.withLock { $0.append(number) } } }
        }
        // Work that was given is done, though the owner is gone.
        for _ in 0..<200 where seen.withLock({ $0.count }) < 60 { usleep(10_000) }
        #expect(seen.withLock { $0 } == Array(0..<60))
    }

    @Test func aPoolThatIsRefusedThreadsSaysSoAndWorks() {
        let pool = ThreadPool(threads: 3)
        #expect(pool.shortage == nil)
        let sums = Mutex(0)
        pool.parallelFor(100) { task, _ in sums.withLock { $0 += task } }
        #expect(sums.withLock { $0 } == 4950)
    }

    @Test func figuresOfTheProcess() {
        let status = "Name:\tkedge\nVmPeak:\t  900 kB\nVmSize:\t  768604 kB\nVmData:\t  314360 kB\n"
        #expect(ProcessLimit.bytes("VmSize:", in: status) == 768_604 << 10)
        #expect(ProcessLimit.bytes("VmSwap:", in: status) == 0)
        let limit = ProcessLimit(.addressSpace, limit: 400 << 20, used: 150 << 20)
        #expect(limit.free == 250 << 20)
        #expect("\(limit)".contains("ulimit -v; h_vmem in Grid Engine) to 400 MiB, of which 150 MiB are taken"))
        #expect(ProcessLimit(.data, limit: 1, used: 5).free == 0)
    }
}
