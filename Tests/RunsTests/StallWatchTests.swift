import Collectives
import Runs
import Synchronization
import Testing
import Training

/// The watchdog's decisions, with simulated ranks and a simulated clock.
@Suite struct StallWatchTests {
    /// Heartbeats in memory, visible to all ranks.
    private final class Board: Sendable {
        let heartbeats = Mutex<[Int: Heartbeat]>([:])
        /// Ranks whose heartbeat another rank has removed.
        let cleared = Mutex<Set<Int>>([])
        let isWritable = Atomic<Bool>(true)

        /// A rank that is about to end the run removes all heartbeats.
        func clear() {
            heartbeats.withLock { beats in
                cleared.withLock { $0.formUnion(beats.keys) }
                beats = [:]
            }
        }
    }

    /// One rank's access to the board.
    private struct Place: HeartbeatBoard {
        let board: Board
        let rank: Int

        func post(_ heartbeat: Heartbeat) -> HeartbeatPosting {
            guard board.isWritable.load(ordering: .relaxed) else { return .failed }
            guard board.cleared.withLock({ $0.remove(rank) }) == nil else { return .cleared }
            board.heartbeats.withLock { $0[rank] = heartbeat }
            return .published
        }
        func heartbeat(of rank: Int) -> Heartbeat? { board.heartbeats.withLock { $0[rank] } }
        func withdraw() { board.heartbeats.withLock { $0[rank] = nil } }
    }

    /// Ranks with a common clock.
    private struct Ranks {
        var watches: [StallWatch]
        var activities: [ActivityRecord]
        var work: [Int]
        /// Ranks whose process is stopped.
        var stopped: Set<Int> = []
        let board = Board()
        var seconds = 0.0

        init(_ count: Int, limits: StallWatch.Limits = StallWatchTests.limits) {
            let hosts = (0..<count).map { "node\($0 / 2)" }
            watches = (0..<count).map { StallWatch(rank: $0, hosts: hosts, limits: limits, process: 100 + $0) }
            activities = (0..<count).map { _ in ActivityRecord() }
            work = [Int](repeating: 0, count: count)
        }

        func enter(_ phase: String) { for activity in activities { activity.enter(phase: phase) } }

        /// All ranks take part in an operation that ends immediately.
        func meet() { for activity in activities { activity.transfer(.barrier, sequence: 7) {} } }

        /// Advances time second by second; `working` ranks advance. Returns the notices with their rank and time.
        mutating func pass(
            _ duration: Int, working: Set<Int> = [], step: Double = 1
        ) -> [(rank: Int, seconds: Double, notice: StallWatch.Notice)] {
            var told: [(Int, Double, StallWatch.Notice)] = []
            for _ in 0..<duration {
                seconds += step
                for rank in watches.indices where !stopped.contains(rank) {
                    if working.contains(rank) { work[rank] += 1 }
                    let notices = watches[rank].observe(
                        activities[rank].current, workCount: work[rank], elapsed: step,
                        board: Place(board: board, rank: rank))
                    told += notices.map { (rank, seconds, $0) }
                }
            }
            return told
        }

        /// Advances time while `waiting` ranks wait in an operation.
        mutating func pass(
            _ duration: Int, waiting: [Int], working: Set<Int> = []
        ) -> [(rank: Int, seconds: Double, notice: StallWatch.Notice)] {
            guard let first = waiting.first else { return pass(duration, working: working) }
            let activity = activities[first]
            return activity.transfer(.allToAll, sequence: 9) {
                pass(duration, waiting: Array(waiting.dropFirst()), working: working)
            }
        }
    }

    private static let limits = StallWatch.Limits(warnAfter: 60, load: 600, firstStep: 300, step: 180, save: 420)

    /// Ranks that have begun their third step.
    private static func ranks(_ count: Int, limits: StallWatch.Limits = limits) -> Ranks {
        var ranks = Ranks(count, limits: limits)
        for step in 0..<3 {
            ranks.enter("step \(step)")
            ranks.meet()
            #expect(ranks.pass(2).isEmpty)
        }
        ranks.meet()
        _ = ranks.pass(1)
        ranks.seconds = 0
        return ranks
    }

    private func text(_ notice: StallWatch.Notice) -> String {
        switch notice {
        case .warning(let text), .resumed(let text), .hang(let text): text
        }
    }

    @Test func aStoppedRankIsNamedAndEndsTheRun() {
        var ranks = Self.ranks(4)
        ranks.stopped = [2]
        let told = ranks.pass(200, waiting: [0, 1, 3])
        let warnings = told.filter { if case .warning = $0.notice { true } else { false } }
        #expect(warnings.allSatisfy { $0.rank == 0 }, "one rank speaks for all")
        #expect(warnings.first.map { (55...72).contains($0.seconds) } == true)
        #expect(warnings.count == 2, "once a minute until the limit")
        let line = warnings.first.map { text($0.notice) } ?? ""
        #expect(line.contains("no sign of life from rank 2 (node1)"), "\(line)")
        #expect(line.contains("ranks 0-1, 3 wait in allToAll (operation 9)"), "\(line)")
        #expect(line.contains("phase \"step 2\""), "\(line)")
        let hang = told.first { if case .hang = $0.notice { true } else { false } }
        #expect(hang?.rank == 0 && hang.map { (175...195).contains($0.seconds) } == true)
    }

    @Test func theLowestLivingRankSpeaks() {
        var ranks = Self.ranks(4)
        ranks.stopped = [0, 1]
        let told = ranks.pass(185, waiting: [2, 3])
        #expect(!told.isEmpty && told.allSatisfy { $0.rank == 2 }, "\(told)")
        #expect(text(told[0].notice).contains("no sign of life from ranks 0-1"))
    }

    @Test func aRankThatAdvancesIsWaitedForWithoutEnd() {
        var ranks = Self.ranks(3)
        let told = ranks.pass(3000, waiting: [0, 2], working: [1])
        #expect(told.allSatisfy { if case .warning = $0.notice { true } else { false } }, "\(told)")
        #expect(text(told[0].notice).contains("rank 1 (node0) is computing, and advances"))
    }

    @Test func aRankThatNeitherWaitsNorAdvancesEndsTheRun() {
        var ranks = Self.ranks(3)
        ranks.activities[1].work(at: "reading images")
        _ = ranks.pass(1)
        let told = ranks.pass(200, waiting: [0, 2])
        #expect(text(told[0].notice).contains("rank 1 (node0) is reading images, without progress for"))
        let hang = told.first { if case .hang = $0.notice { true } else { false } }
        #expect(hang.map { (175...195).contains($0.seconds) } == true)
    }

    @Test func theLimitCountsFromTheLastSignOfLife() {
        var ranks = Self.ranks(2)
        let told = ranks.activities[0].transfer(.barrier, sequence: 9) {
            _ = ranks.pass(300, working: [1])
            ranks.stopped = [1]
            return ranks.pass(300)
        }
        let hang = told.first { if case .hang = $0.notice { true } else { false } }
        #expect(hang.map { (470...500).contains($0.seconds) } == true, "\(told.map(\.seconds))")
        #expect(hang.map { text($0.notice).contains("process 101 on node0") } == true)
    }

    @Test func allRanksThatWaitBlameTheNetwork() {
        var ranks = Self.ranks(3)
        let told = ranks.pass(200, waiting: [0, 1, 2])
        #expect(text(told[0].notice).contains("all ranks wait in allToAll (operation 9): the network does not deliver"))
        #expect(told.contains { if case .hang = $0.notice { true } else { false } })
    }

    @Test func phasesHaveLimitsOfTheirOwn() {
        for (phase, limit) in [
            ("weights", 600.0), ("step 0", 300), ("checkpoint 3", 420), ("resume", 420), ("evaluation", 300),
        ] {
            var ranks = Ranks(2)
            ranks.enter(phase)
            ranks.meet()
            _ = ranks.pass(1)
            ranks.seconds = 0
            ranks.stopped = [1]
            let told = ranks.pass(700, waiting: [0])
            let hang = told.first { if case .hang = $0.notice { true } else { false } }
            #expect(hang.map { (limit - 5...limit + 20).contains($0.seconds) } == true, "\(phase)")
        }
    }

    @Test func itSaysWhenItGoesOn() {
        var ranks = Self.ranks(3)
        ranks.stopped = [1]
        #expect(ranks.pass(80, waiting: [0, 2]).count == 1)
        #expect(ranks.board.heartbeats.withLock { $0.count } == 2)
        ranks.stopped = []
        ranks.meet()
        let told = ranks.pass(2)
        #expect(told.count == 1 && told.first.map { text($0.notice) } == "continues after 79 s", "\(told)")
        #expect(ranks.board.heartbeats.withLock { $0.isEmpty }, "heartbeats are taken away")
    }

    @Test func withoutABoardItWarnsWithoutNamesAndIsPatient() {
        var ranks = Self.ranks(2)
        ranks.board.isWritable.store(false, ordering: .relaxed)
        ranks.stopped = [1]
        let told = ranks.pass(200, waiting: [0])
        #expect(text(told[0].notice).contains("the state of other ranks is unknown"))
        #expect(told.contains { if case .hang = $0.notice { true } else { false } })
    }

    @Test func aProcessThatWasItselfStoppedBlamesNobody() {
        var ranks = Self.ranks(2)
        // Of an hour between two observations, ten seconds count.
        #expect(ranks.pass(1, working: [0, 1], step: 3600).isEmpty)
    }

    @Test func aWokenRankWritesNothingForFourSeconds() {
        // Limits this short make a heartbeat due at every observation.
        let short = StallWatch.Limits(warnAfter: 3, load: 9, firstStep: 9, step: 9, save: 9)
        var ranks = Self.ranks(2, limits: short)
        ranks.stopped = [0]
        let told = ranks.activities[1].transfer(.barrier, sequence: 9) {
            _ = ranks.pass(1, step: 3600)
            var told = ranks.pass(3)
            #expect(ranks.board.heartbeats.withLock { $0.isEmpty })
            told += ranks.pass(10)
            return told
        }
        #expect(told.contains { if case .hang = $0.notice { true } else { false } }, "a rank that lives on reports")
    }

    /// What a rank still does on waking is no sign of life that would outlast it.
    @Test func aWokenRankThatGoesOnWritesNothingEither() {
        let short = StallWatch.Limits(warnAfter: 2, load: 9, firstStep: 9, step: 9, save: 9)
        var ranks = Self.ranks(2, limits: short)
        ranks.activities[0].transfer(.allGather, sequence: 9) {
            _ = ranks.pass(1, step: 3600)
            _ = ranks.pass(3)
            #expect(ranks.board.heartbeats.withLock { $0.isEmpty })
            _ = ranks.pass(4)
            #expect(ranks.board.heartbeats.withLock { !$0.isEmpty }, "a rank that lives on gives signs of life")
        }
    }

    /// On a machine with more work than processors, observations may be seconds apart for as long as it lasts.
    @Test func aStarvedThreadStillGivesSignsOfLife() {
        let short = StallWatch.Limits(warnAfter: 20, load: 60, firstStep: 60, step: 60, save: 60)
        var ranks = Self.ranks(2, limits: short)
        let told = ranks.activities[1].transfer(.barrier, sequence: 9) { ranks.pass(20, working: [0], step: 3) }
        #expect(ranks.board.heartbeats.withLock { $0[0]?.beat ?? 0 } > 3)
        #expect(told.allSatisfy { text($0.notice).contains("rank 0 (node0) is computing, and advances") }, "\(told)")
    }

    @Test func oneHangIsReportedOnce() {
        var ranks = Self.ranks(4)
        ranks.stopped = [2]
        let (first, third) = (ranks.activities[1], ranks.activities[3])
        first.transfer(.allToAll, sequence: 9) {
            third.transfer(.allToAll, sequence: 9) {
                _ = ranks.pass(120, waiting: [0])
                // Rank 0 ends the run, and the launcher takes a few seconds to end the others.
                ranks.board.clear()
                ranks.stopped = [0, 2]
                var told = ranks.pass(10)
                #expect(told.isEmpty && ranks.board.heartbeats.withLock { $0.isEmpty }, "\(told)")
                // A launcher that is gone ends nobody: then the next rank does.
                told = ranks.pass(120)
                #expect(told.contains { if case .hang = $0.notice { $0.rank == 1 } else { false } }, "\(told)")
            }
        }
    }

    @Test func offMeansOff() {
        let none = StallWatch.Limits(warnAfter: 0, load: 0, firstStep: 0, step: 0, save: 0)
        var ranks = Self.ranks(2, limits: none)
        ranks.stopped = [1]
        #expect(ranks.pass(5000, waiting: [0]).isEmpty)
    }

    @Test func longStepsDelayWarningsAboutRanksThatAdvance() {
        var ranks = Ranks(2)
        for step in 0..<5 {
            ranks.enter("step \(step)")
            ranks.meet()
            #expect(ranks.pass(200, working: [0, 1]).isEmpty)
        }
        ranks.meet()
        let told = ranks.pass(300, waiting: [0], working: [1])
        #expect(told.isEmpty, "\(told)")
    }

    @Test func heartbeatsSurviveTheirLineAndOtherLinesAreRefused() {
        var heartbeat = Heartbeat()
        (heartbeat.beat, heartbeat.process, heartbeat.isWaiting, heartbeat.sequence) = (3, 42, true, 17)
        (heartbeat.doing, heartbeat.phase, heartbeat.quiet, heartbeat.idle) = ("barrier", "step 2", 61.5, 2)
        let line = heartbeat.line(nonce: "n")
        #expect(Heartbeat(line: line, nonce: "n") == heartbeat)
        #expect(Heartbeat(line: line, nonce: "other") == nil)
        for end in 0..<line.count - 1 { #expect(Heartbeat(line: String(line.prefix(end)), nonce: "n") == nil) }
    }

    // MARK: A rank alone

    @Test func aLoneRankThatDoesNotAdvanceIsEnded() {
        var ranks = Self.ranks(1)
        let told = ranks.pass(200)
        let hang = told.first { if case .hang = $0.notice { true } else { false } }
        #expect(hang.map { (175...195).contains($0.seconds) } == true)
        #expect(told.count { if case .warning = $0.notice { true } else { false } } == 2)
        #expect(told.first.map { text($0.notice) } == "no progress for 60 s: computing, phase \"step 2\"")
        let line = hang.map { text($0.notice) } ?? ""
        #expect(line.contains("computing, phase \"step 2\"; inspect process 100 "), "\(line)")
        #expect(line.hasSuffix("repeat the same command to resume from the last checkpoint"), "\(line)")
    }

    @Test func aLoneRankThatAdvancesIsNot() {
        var ranks = Self.ranks(1)
        var told = ranks.pass(3000, working: [0]).count
        // Other activities are a sign of life too: images of a scan.
        for _ in 0..<100 {
            ranks.activities[0].work(at: "reading labels")
            told += ranks.pass(30).count
        }
        #expect(told == 0)
    }

    @Test func aLimitOfNullDoesNotEndALoneRank() {
        var ranks = Self.ranks(
            1, limits: StallWatch.Limits(warnAfter: 60, load: 600, firstStep: 0, step: 0, save: 420))
        let told = ranks.pass(3000)
        #expect(!told.isEmpty && told.allSatisfy { if case .warning = $0.notice { true } else { false } })
    }
}

/// How long a rank that was asked to stop may take.
@Suite struct StopPatienceTests {
    /// Seconds until the patience is exhausted; nil if it is not within ten minutes.
    private func seconds(
        saveSeconds: Double = 420, _ activity: ActivityRecord = ActivityRecord(), work: (Int) -> Int = { _ in 0 }
    ) -> Int? {
        var patience = StopPatience(saveSeconds: saveSeconds)
        return (0..<600).first {
            patience.isExhausted(activity.current, workCount: work($0), elapsed: 1)
        }
    }

    @Test func aRankWithoutProgressIsEnded() {
        let activity = ActivityRecord()
        activity.enter(phase: "step 3")
        #expect(seconds(activity) == 20)
        // Work that ends.
        #expect(seconds(activity) { min($0, 100) } == 120)
    }

    @Test func aStepThatAdvancesIsWaitedFor() { #expect(seconds { $0 / 10 } == nil) }

    @Test func waitingForOtherRanksIsTheWatchdogsConcern() {
        let activity = ActivityRecord()
        #expect(activity.transfer(.barrier, sequence: 1) { seconds(activity) } == nil)
    }

    @Test func aSaveHasItsOwnLimit() {
        let activity = ActivityRecord()
        activity.enter(phase: "checkpoint 7")
        #expect(seconds(activity) == 420)
        #expect(seconds(saveSeconds: 5, activity) == 20)
        #expect(seconds(saveSeconds: 0, activity) == nil)
    }

    @Test func aProcessThatWasStoppedDoesNotBlameItself() {
        var patience = StopPatience(saveSeconds: 420)
        let activity = ActivityRecord().current
        _ = patience.isExhausted(activity, workCount: 0, elapsed: 1)
        let isExhausted = patience.isExhausted(activity, workCount: 0, elapsed: 1000)
        #expect(!isExhausted)
    }
}
