import Collectives
import CollectivesConformance
import Glibc

/// Requirements that only real MPI can show.
enum MPIOnlyCases {
    /// A message that MPI's 32-bit counts cannot describe is refused on all ranks before anything is sent.
    static func refusesLargeCounts(_ communicator: any Communicator, _ check: Check) throws {
        let count = 600_000_000  // 2.4 GB of floats; the pages are reserved and never touched
        let counts = [Int](repeating: count, count: communicator.worldSize)
        let bytes = count * MemoryLayout<Float>.stride * communicator.worldSize
        guard let region = mmap(nil, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
            region != MAP_FAILED
        else { return check.expect(false, "cannot reserve \(bytes) bytes of address space") }
        defer { munmap(region, bytes) }
        let all = UnsafeMutableBufferPointer(
            start: region.bindMemory(to: Float.self, capacity: count), count: count * communicator.worldSize)
        do {
            try communicator.allGather(
                floats: UnsafeBufferPointer(rebasing: all[..<count]), counts: counts, into: all)
            check.expect(false, "2.4 GB in one message were not refused")
        } catch let error as CollectivesError {
            check.equal(error.kind, .messageTooLarge, "kind")
        }
    }

    /// MPI is initialised once.
    static func refusesASecondInitialisation(_ communicator: any Communicator, _ check: Check) throws {
        do {
            _ = try MPICommunicator.initialise()
            check.expect(false, "a second initialisation was not refused")
        } catch let error as CollectivesError {
            check.equal(error.kind, .notInitialised, "kind")
        }
    }

    /// An operation after the end of MPI is an error; the caller has finalised the communicator.
    static func refusesWorkAfterFinalize(_ communicator: MPICommunicator) -> Bool {
        do {
            try communicator.barrier()
            return false
        } catch {
            return (error as? CollectivesError)?.kind == .notInitialised
        }
    }
}
