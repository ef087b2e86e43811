import Collectives

extension Conformance {
    static let disagreements: [ConformanceCase] = [
        ConformanceCase("ranks in different operations get an error that names both") { communicator, check in
            guard communicator.worldSize > 1 else { return }
            expectError(.operationMismatch, naming: ["broadcast from rank 0", "barrier", "rank 1"], check) {
                if communicator.rank == 0 {
                    _ = try communicator.broadcast(bytes: [1, 2, 3], from: 0)
                } else {
                    try communicator.barrier()
                }
            }
            try communicator.barrier()
        },
        ConformanceCase("ranks that name different roots get an error") { communicator, check in
            guard communicator.worldSize > 1 else { return }
            expectError(.operationMismatch, naming: ["from rank 0", "from rank 1"], check) {
                _ = try communicator.broadcast(bytes: [1], from: communicator.rank == 0 ? 0 : 1)
            }
            try communicator.barrier()
        },
        ConformanceCase("ranks in different phases get an error") { communicator, check in
            guard communicator.worldSize > 1 else { return }
            let last = communicator.worldSize - 1
            communicator.phase = communicator.rank == last ? "checkpoint" : "step 7"
            expectError(.operationMismatch, naming: ["step 7", "checkpoint", "rank \(last)"], check) {
                _ = try communicator.allGather(bytes: [1])
            }
            communicator.phase = ""
            try communicator.barrier()
        },
        ConformanceCase("reductions of different lengths get an error") { communicator, check in
            guard communicator.worldSize > 1 else { return }
            expectError(.countMismatch, naming: ["2 elements", "3"], check) {
                _ = try communicator.reduceSum(communicator.rank == 0 ? [1, 2] : [1, 2, 3])
            }
            try communicator.barrier()
        },
        ConformanceCase("a sample held twice is an error on all ranks") { communicator, check in
            guard communicator.worldSize > 1 else { return }
            let sum = SampleOrderedSum(parameterCount: 4, globalBatch: 8, communicator: communicator)
            expectError(.invalidBatch, naming: ["position 3", "ranks 0 and 1"], check) {
                _ = try sum.gatherRecords([SampleRecord(position: 3, values: [])])
            }
            expectError(.invalidBatch, naming: ["position 3", "ranks 0 and 1"], check) {
                _ = try sum.exchange([SampleRecord(position: 3, values: [])], gradients: [[1, 2, 3, 4]])
            }
            expectError(.invalidBatch, naming: ["position 8"], check) {
                _ = try sum.gatherRecords(communicator.isRoot ? [SampleRecord(position: 8, values: [])] : [])
            }
            expectError(.invalidBatch, naming: ["rank 0 has a batch of 8 samples, rank 1 one of 7"], check) {
                _ = try sum.exchange([], gradients: [], batchSize: communicator.rank == 1 ? 7 : 8)
            }
            try communicator.barrier()
        },
    ]

    /// Expects an operation to throw an error of a kind whose line contains all of `words`.
    private static func expectError(
        _ kind: CollectivesError.Kind, naming words: [String], _ check: Check, _ operation: () throws -> Void
    ) {
        do {
            try operation()
            check.expect(false, "no error of kind \(kind) was thrown")
        } catch let error as CollectivesError {
            check.equal(error.kind, kind, "kind")
            for word in words {
                check.expect(error.description.contains(word), "\"\(word)\" is missing in: \(error)")
            }
        } catch {
            check.expect(false, "unexpected error: \(error)")
        }
    }
}
