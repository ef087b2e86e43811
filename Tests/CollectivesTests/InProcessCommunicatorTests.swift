import Collectives
import Testing

@Suite struct InProcessCommunicatorTests {
    private struct Broken: Error, Equatable { let rank: Int }

    @Test(.timeLimit(.minutes(1)), arguments: [2, 3, 5])
    func theFirstErrorEndsAllRanks(ranks: Int) {
        #expect(throws: Broken(rank: 1)) {
            try InProcessCommunicator.run(ranks: ranks) { communicator in
                try communicator.barrier()
                if communicator.rank == 1 { throw Broken(rank: 1) }
                try communicator.barrier()
                Issue.record("rank \(communicator.rank) passed a barrier that rank 1 never entered")
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func aRankThatReturnsEarlyDoesNotLeaveTheOthersWaiting() throws {
        let error = try #require(throws: CollectivesError.self) {
            try InProcessCommunicator.run(ranks: 3) { communicator in
                if communicator.rank == 2 { return }
                try communicator.barrier()
            }
        }
        #expect(error.kind == .peerFailed)
        #expect(error.description.contains("rank 2 has finished"))
    }

    @Test(.timeLimit(.minutes(1)))
    func abortStopsTheOtherRanks() {
        #expect(throws: InProcessAbort(rank: 1, code: 70)) {
            try InProcessCommunicator.run(ranks: 2) { communicator in
                if communicator.rank == 1 {
                    communicator.abort(code: 70)
                } else {
                    try communicator.barrier()
                }
            }
        }
    }

    @Test func resultsComeInRankOrder() throws {
        #expect(try InProcessCommunicator.run(ranks: 5) { $0.rank * 10 } == [0, 10, 20, 30, 40])
    }
}
