public import Collectives
import Foundation
import Glibc

extension CheckpointStore {
    static let probePrefix = ".probe-"

    /// Creates the store's folder and verifies that every rank can write into the same one. Collective, once per run,
    /// with the run's lock held by rank 0.
    ///
    /// - Parameter patience: Seconds that a rank waits for rank 0's file; network file systems show new names late.
    /// - Returns: The leftovers of killed runs, which have been removed.
    ///
    /// Throws `CheckpointError` of kind `cannotWrite` on all ranks, which names the rank at fault.
    public func open(communicator: any Communicator, patience: Double = 30) throws -> [String] {
        communicator.phase = "open checkpoints"
        var leftovers: [String] = []
        var probe = ""
        if communicator.isRoot {
            // The first file reveals the folder to the others, so it is created after old leftovers are removed.
            leftovers = removeLeftovers()
            probe = Self.probePrefix + String(UInt64.random(in: 0...UInt64.max), radix: 16)
        }
        probe = String(decoding: try communicator.broadcast(bytes: Array(probe.utf8), from: 0), as: UTF8.self)
        var fault = communicator.isRoot ? makeProbe(probe) : ""
        try communicator.barrier()
        if !communicator.isRoot { fault = findProbe(probe, rank: communicator.rank, patience: patience) }
        let run = folder.lastIndex(of: "/").map { String(folder[..<$0]) } ?? "."
        ground.hold(run.isEmpty ? "/" : run)
        let faults = try communicator.allGather(bytes: Array(fault.utf8))
        if communicator.isRoot { Self.remove(folder + "/" + probe) }
        guard let rank = faults.firstIndex(where: { !$0.isEmpty }) else { return leftovers }
        throw CheckpointError(
            .cannotWrite, at: folder,
            "rank \(rank) on \(communicator.hostNames[rank]) \(String(decoding: faults[rank], as: UTF8.self))",
            remedy: "set run.folder to a folder that all nodes share and can write")
    }

    private func makeProbe(_ probe: String) -> String {
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch {
            return "cannot create it: \((error as NSError).localizedDescription)"
        }
        return touch(probe)
    }

    private func findProbe(_ probe: String, rank: Int, patience: Double) -> String {
        let deadline = ContinuousClock.now + .seconds(patience)
        while access(folder + "/" + probe, F_OK) != 0 {
            guard ContinuousClock.now < deadline else { return "does not see the files of rank 0 there" }
            usleep(100_000)
        }
        let own = "\(probe)-\(rank)"
        let fault = touch(own)
        Self.remove(folder + "/" + own)
        return fault
    }

    /// Creates an empty file; returns the reason for a failure, or an empty text.
    private func touch(_ name: String) -> String {
        let descriptor = Glibc.open(folder + "/" + name, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return "cannot write there: \(String(cString: strerror(errno)))" }
        close(descriptor)
        return ""
    }
}
