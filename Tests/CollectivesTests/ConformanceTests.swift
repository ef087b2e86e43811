import Collectives
import CollectivesConformance
import Testing

/// The conformance list on the communicators that need no launcher; `Tests/System/mpi` runs it over MPI.
@Suite struct CollectivesConformanceTests {
    @Test(arguments: Conformance.cases)
    func singleProcess(_ conformanceCase: ConformanceCase) throws {
        let check = Check()
        try conformanceCase.run(SingleProcessCommunicator(), check)
        #expect(check.failures == [])
    }

    @Test(arguments: [1, 2, 3, 4, 5], Conformance.cases)
    func threads(ranks: Int, _ conformanceCase: ConformanceCase) throws {
        let failures = try InProcessCommunicator.run(ranks: ranks) { communicator in
            let check = Check()
            try conformanceCase.run(communicator, check)
            return check.failures
        }
        #expect(failures == [[String]](repeating: [], count: ranks))
    }

    @Test func theDigestDoesNotDependOnTheNumberOfRanks() throws {
        let expected = try Conformance.digest(SingleProcessCommunicator())
        for ranks in [1, 2, 3, 4, 5, 14] {
            let digests = try InProcessCommunicator.run(ranks: ranks) { try Conformance.digest($0) }
            #expect(digests == [String](repeating: expected, count: ranks))
        }
    }
}
