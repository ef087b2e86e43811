import Kernels
import Machine
import Runs
import Testing
import Training

@Suite struct ThreadShareTests {
    private func threads(
        _ cores: [[Int]], _ hosts: [String], quotas: [ProcessorQuota?] = [], asked: Int = 0
    ) -> [Int] {
        let share = ThreadShare(
            cores.enumerated().map { rank, cores in
                .init(CoreAffinity(cores: cores), quota: quotas.isEmpty ? nil : quotas[rank])
            }, hosts: hosts)
        return cores.indices.map { share.threads(rank: $0, asked: asked) }
    }

    @Test func ranksShareTheCoresTheyHaveInCommon() {
        let all = Array(0..<8)
        #expect(threads([all, all, all], ["a", "a", "b"]) == [4, 4, 8])
        #expect(threads([[0, 1], [2, 3], all], ["a", "a", "a"]) == [2, 2, 8])
        #expect(threads([[0], [0], [0]], ["a", "a", "a"]) == [1, 1, 1])
    }

    @Test func whatIsAskedForIsGiven() { #expect(threads([[0], [1]], ["a", "a"], asked: 3) == [3, 3]) }

    /// A quota of processor time counts, rounded up; ranks of one group share it, those of others have their own.
    @Test func ranksShareTheQuotaOfTheirGroup() {
        let all = Array(0..<64)
        func quota(_ cores: Double, _ group: String = "/job") -> ProcessorQuota {
            ProcessorQuota(cores: cores, group: group)
        }
        #expect(threads([all], ["a"], quotas: [quota(8)]) == [8])
        #expect(threads([all], ["a"], quotas: [quota(0.5)]) == [1])
        #expect(threads([all], ["a"], quotas: [quota(7.2)]) == [8])
        #expect(threads([[0, 1]], ["a"], quotas: [quota(8)]) == [2])
        #expect(threads([all, all], ["a", "a"], quotas: [quota(8), quota(8)]) == [4, 4])
        #expect(threads([all, all], ["a", "b"], quotas: [quota(8), quota(8)]) == [8, 8])
        #expect(threads([all, all], ["a", "a"], quotas: [quota(8, "/x"), quota(4, "/y")]) == [8, 4])
        #expect(threads([all, all, all], ["a", "a", "a"], quotas: [quota(2), quota(2), quota(2)]) == [1, 1, 1])
        #expect(threads([all], ["a"], quotas: [quota(2)], asked: 5) == [5])
    }
}
