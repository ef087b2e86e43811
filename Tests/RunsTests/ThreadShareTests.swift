import Kernels
import Machine
import Runs
import Testing
import Training

@Suite struct ThreadShareTests {
    private func threads(_ cores: [[Int]], _ hosts: [String], asked: Int = 0) -> [Int] {
        let share = ThreadShare(affinities: cores.map { CoreAffinity(cores: $0) }, hosts: hosts)
        return cores.indices.map { share.threads(rank: $0, asked: asked) }
    }

    @Test func ranksShareTheCoresTheyHaveInCommon() {
        let all = Array(0..<8)
        #expect(threads([all, all, all], ["a", "a", "b"]) == [4, 4, 8])
        #expect(threads([[0, 1], [2, 3], all], ["a", "a", "a"]) == [2, 2, 8])
        #expect(threads([[0], [0], [0]], ["a", "a", "a"]) == [1, 1, 1])
    }

    @Test func whatIsAskedForIsGiven() { #expect(threads([[0], [1]], ["a", "a"], asked: 3) == [3, 3]) }
}
