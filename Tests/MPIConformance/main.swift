// Runs the conformance list over real MPI; Tests/System/mpi starts it with several numbers of ranks.
//
//   mpirun -np N mpi-conformance              the list, the digest, and "N passed, N failed" on rank 0
//   mpirun -np N mpi-conformance --fail R     rank R throws while the others wait: the run must end with code 70
//   mpirun -np N mpi-conformance --measure    what one step's exchange costs

import Collectives
import CollectivesConformance
import Foundation

/// One line to a stream, at once.
func say(_ line: String, to handle: FileHandle = .standardOutput) { handle.write(Data((line + "\n").utf8)) }

/// The error of a rank that is told to fail.
struct Rehearsal: Error, CustomStringConvertible {
    var description: String { "a failure rehearsed by --fail" }
}

/// Runs all cases; returns the number that failed on any rank.
func runConformance(_ communicator: any Communicator) throws -> Int {
    var cases = Conformance.cases.map { ($0.name, $0.run) }
    if communicator is MPICommunicator {
        cases.append(("large counts are refused", MPIOnlyCases.refusesLargeCounts))
        cases.append(("a second initialisation is refused", MPIOnlyCases.refusesASecondInitialisation))
    }
    var failed = 0
    for (name, run) in cases {
        let check = Check()
        try run(communicator, check)
        for failure in check.failures {
            say("[rank \(communicator.rank)] \(name): \(failure)", to: .standardError)
        }
        failed += try communicator.allMaximum([check.failures.isEmpty ? 0 : 1])[0]
    }
    let digest = try Conformance.digest(communicator)
    let digests = try communicator.allGather(bytes: Array(digest.utf8))
    if digests.contains(where: { $0 != Array(digest.utf8) }) { failed += 1 }
    guard communicator.isRoot else { return failed }
    say("digest \(digest)")
    say("\(communicator.worldSize) ranks: \(cases.count + 1 - failed) passed, \(failed) failed")
    return failed
}

/// Prints the median and the largest time of one step's exchange.
func measure(_ communicator: any Communicator, parameters: Int, globalBatch: Int) throws {
    let sum = SampleOrderedSum(parameterCount: parameters, globalBatch: globalBatch, communicator: communicator)
    let rank = communicator.rank
    let mine = rank * globalBatch / communicator.worldSize..<(rank + 1) * globalBatch / communicator.worldSize
    let gradient = [Float](repeating: 0.25, count: parameters)
    let slab = GradientSlab(parameterCount: parameters)
    var slice = [Float](repeating: 0, count: sum.ownSlice.count)
    var all = [Float](repeating: 0, count: parameters)
    var times: [[Double]] = [[], [], []]  // exchange, sum, gather
    for _ in 0..<60 {
        slab.begin(batchSize: globalBatch)
        for position in mine { gradient.withUnsafeBufferPointer { slab.add($0, at: position) } }
        try communicator.barrier()
        let start = ContinuousClock.now
        let batch = try sum.exchange(mine.map { SampleRecord(position: $0, values: [1, 2, 3, 4, 5, 6]) }, slab)
        let recorded = ContinuousClock.now
        slice.withUnsafeMutableBufferPointer { sum.sum(of: batch, into: $0) }
        let summed = ContinuousClock.now
        try slice.withUnsafeBufferPointer { part in
            try all.withUnsafeMutableBufferPointer { try sum.gather(slice: part, into: $0) }
        }
        let end = ContinuousClock.now
        for (index, span) in [recorded - start, summed - recorded, end - summed].enumerated() {
            times[index].append(span / .microseconds(1))
        }
    }
    guard communicator.isRoot else { return }
    let parts = zip(["exchange", "sum", "gather"], times).map { name, values in
        "\(name) \(Int(values.sorted()[values.count / 2])) (worst \(Int(values.max() ?? 0)))"
    }
    say(
        "P \(parameters), G \(globalBatch), \(communicator.worldSize) ranks, microseconds: "
            + parts.joined(separator: ", "))
}

var code: Int32 = 0
var running: (any Communicator)?
do {
    let communicator = try Launch.detect().start()
    running = communicator
    let arguments = CommandLine.arguments.dropFirst()
    if arguments.first == "--fail" {
        if arguments.last == "\(communicator.rank)" { throw Rehearsal() }
        try communicator.barrier()
    } else if arguments.first == "--measure" {
        for parameters in [30_000, 150_000] { try measure(communicator, parameters: parameters, globalBatch: 8) }
    } else {
        code = try runConformance(communicator) == 0 ? 0 : 1
    }
    if let communicator = communicator as? MPICommunicator {
        try communicator.finalize()
        if !MPIOnlyCases.refusesWorkAfterFinalize(communicator) {
            say("[rank \(communicator.rank)] an operation after finalize() was not refused", to: .standardError)
            code = 1
        }
    }
} catch {
    let place = running.map { "[rank \($0.rank) \($0.hostName)]" } ?? "[no rank]"
    say("\(place) \(error)", to: .standardError)
    code = (error as? CollectivesError)?.kind == .wrongLauncher ? 64 : 70
    running?.abort(code: code)
}
exit(code)
