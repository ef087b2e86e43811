import Kernels
import Machine
import Runs
import Testing

import Training

/// Which rank counts as slow, when it is reported, and the reported cause.
@Suite struct StragglerWatchTests {
    private func watch(_ ranks: Int = 4, cores: [[Int]]? = nil) -> StragglerWatch {
        StragglerWatch(
            places: (0..<ranks).map { rank in
                RankPlace(host: "node\(rank / 2)", affinity: CoreAffinity(cores: cores?[rank] ?? [rank]))
            }, nodeOfRank: (0..<ranks).map { $0 / 2 })
    }

    private func pace(
        _ compute: Double, wait: Double = 0, samples: Int = 2, instances: Int = 20, anchors: Int = 0, threads: Int = 1
    ) -> RankPace {
        RankPace(
            compute: compute, wait: wait, samples: samples, instances: instances, anchorsReused: anchors,
            threads: threads)
    }

    /// The warnings of identical intervals.
    private func warnings(_ paces: [RankPace], intervals: Int = 6, cores: [[Int]]? = nil) -> [String?] {
        var watch = watch(paces.count, cores: cores)
        return (0..<intervals).map { _ in watch.observe(paces).warning }
    }

    @Test func aSlowRankIsToldOnceAfterThreeIntervals() {
        let all = warnings([pace(2), pace(2.1), pace(6), pace(1.9)])
        #expect(all.enumerated().filter { $0.element != nil }.map(\.offset) == [StragglerWatch.patience - 1])
        #expect(
            all[2] == "rank 2 on node1 takes 3.0 times as long per image as the median rank, in 3 intervals: "
                + "throttled or shared with other programs")
    }

    @Test func afterItHasRecoveredItIsToldAgain() {
        var watch = watch()
        let (slow, even) = ([pace(2), pace(6), pace(2), pace(2)], [pace(2), pace(2.5), pace(2), pace(2)])
        let told = ([slow, slow, slow, slow, even, slow, slow, slow]).map { watch.observe($0).warning != nil }
        #expect(told == [false, false, true, false, false, false, false, true])
    }

    @Test func anotherRankStartsAnotherCount() {
        var watch = watch()
        let first = [pace(2), pace(6), pace(2), pace(2)]
        let second = [pace(2), pace(2), pace(6), pace(2)]
        #expect([first, first, second, second, first].allSatisfy { watch.observe($0).warning == nil })
    }

    @Test func sharesOfOtherSizesAreNotSlow() {
        // Three images take three times as long as one.
        let paces = [pace(2, samples: 1), pace(6, samples: 3), pace(2, samples: 1), pace(0, samples: 0)]
        var watch = watch()
        #expect(watch.observe(paces) == StragglerWatch.Verdict(ratio: 1, warning: nil))
        #expect(warnings(paces).allSatisfy { $0 == nil })
    }

    @Test func ofTwoRanksOneCanBeSlow() {
        #expect(warnings([pace(2), pace(6)])[2]?.hasPrefix("rank 1 on node0 takes 3.0 times") == true)
    }

    @Test func millisecondsAreNoise() {
        #expect(warnings([pace(0.001), pace(0.009), pace(0.001), pace(0.001)]).allSatisfy { $0 == nil })
    }

    @Test func nothingIsSaidOfIntervalsWithoutWork() {
        var watch = watch(2)
        #expect(watch.observe([pace(0, samples: 0), pace(3)]) == StragglerWatch.Verdict())
        #expect(watch.observe([pace(0), pace(0)]) == StragglerWatch.Verdict())
    }

    @Test func causesAreReadFromTheNumbers() throws {
        func cause(_ slow: RankPace, cores: [[Int]]? = nil) throws -> String {
            let others = pace(2, anchors: 2, threads: 2)
            let warning = try #require(warnings([others, slow, others, others], cores: cores)[2])
            return String(warning.split(separator: ": ", maxSplits: 1)[1])
        }
        #expect(
            try cause(pace(6, instances: 60, anchors: 2, threads: 2))
                == "30.0 instances per image, the median is 10.0")
        #expect(try cause(pace(2, wait: 4, anchors: 2, threads: 2)) == "it waits for data 67 % of its time")
        #expect(
            try cause(pace(6, threads: 2)) == "0 % of its anchor embeddings were stored, the median is 100 %")
        #expect(try cause(pace(6, anchors: 2)) == "it has 1 threads, the median is 2")
        // Ranks 0 and 1 are bound to the same two cores, with two threads each; 2 and 3 on the other node to four.
        let shared = [[0, 1], [0, 1], [0, 1, 2, 3], [0, 1, 2, 3]]
        #expect(
            try cause(pace(6, anchors: 2, threads: 2), cores: shared) == "its cores are shared with rank 0")
        let free = [[0, 1], [2, 3], [0, 1], [2, 3]]
        #expect(
            try cause(pace(6, anchors: 2, threads: 2), cores: free) == "throttled or shared with other programs")
    }
}
