import Foundation
import Performance

/// Where a node's store lies and how large it may grow.
struct AnchorPlace {
    let folder: String
    let slots: Int
    let floats: Int
    /// 0 for half of what is free.
    let limitGiB: Double
    /// The name of a file that is kept between runs; nil for one without a name.
    let name: String?

    /// What the first rank of a node tells the others.
    struct Decision: Codable, Equatable {
        var path = ""
        var folder = ""
        /// Slots that may be in use.
        var limit = 0
        /// Slots in use at the start.
        var found = 0
        var isKept = false
        var payloadBytes = 0
        var note = ""
        /// Why there is no store; empty if there is one.
        var fault = ""

        func text(slots: Int) -> String {
            if !fault.isEmpty { return "off, because \(fault)" }
            let room = limit >= slots ? "all \(slots)" : "\(limit) of \(slots)"
            let size = Double(min(limit, slots) * payloadBytes) / Double(1 << 30)
            return "room for \(room) embeddings (\(String(format: "%.2f", size)) GiB) in \(folder)"
                + (isKept ? ", kept; \(found) there" : "") + (note.isEmpty ? "" : "; \(note)")
        }
    }

    /// An open file, and on the first rank the descriptor through which the others open it: to be closed afterwards,
    /// unless it holds the lock on a kept file.
    struct Opened {
        let file: AnchorFile
        var descriptor: Int32?
    }

    /// Makes or finds the file; on the first rank of a node.
    func prepare() -> (Opened?, Decision) {
        var decision = Decision()
        (decision.folder, decision.payloadBytes) = (folder, floats * MemoryLayout<Float>.stride)
        decision.limit = min(slots, limitInSlots())
        guard decision.limit > 0 else {
            decision.fault = "\(folder) has no room for one embedding of \(decision.payloadBytes >> 20) MiB"
            return (nil, decision)
        }
        do throws(AnchorFault) {
            if let name, let opened = try openKept(folder + "/" + name + ".store", &decision) {
                return (opened, decision)
            }
            return (try openUnnamed(&decision), decision)
        } catch {
            decision.fault = error.reason
            return (nil, decision)
        }
    }

    /// Opens what the first rank has prepared; nil where that fails, which costs time alone.
    func attach(_ decision: Decision) -> Opened? {
        let descriptor = open(decision.path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        let file = try? AnchorFile(descriptor: descriptor, slots: slots, floats: floats, verifies: decision.isKept)
        return file.map { Opened(file: $0) }
    }

    /// At most half of the folder's room and half of the node's memory, which caches the file.
    private func limitInSlots() -> Int {
        let bytes: Int
        if limitGiB > 0 {
            bytes = Int(min(limitGiB, 1e6) * Double(1 << 30))
        } else {
            var figures = statvfs()
            guard statvfs(folder, &figures) == 0 else { return 0 }
            let room = Int(figures.f_bavail) * Int(figures.f_frsize)
            bytes = min(room, NodeMemory.now()?.available ?? room) / 2
        }
        return bytes / max(floats * MemoryLayout<Float>.stride, 1)
    }

    private func openUnnamed(_ decision: inout Decision) throws(AnchorFault) -> Opened {
        var template = Array((folder + "/kedge-anchors-XXXXXX").utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw AnchorFault("no file can be made in \(folder): \(errorText())") }
        // Without a name from the start: whenever a rank may die, nothing is left of it.
        unlink(template)
        do throws(AnchorFault) {
            try AnchorFile.format(descriptor, slots: slots, floats: floats)
            let file = try AnchorFile(descriptor: descriptor, slots: slots, floats: floats, verifies: false)
            decision.path = "/proc/\(getpid())/fd/\(descriptor)"
            return Opened(file: file, descriptor: descriptor)
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// Opens a kept file for this run alone; nil while another run has it.
    private func openKept(_ path: String, _ decision: inout Decision) throws(AnchorFault) -> Opened? {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw AnchorFault("\(path) cannot be opened: \(errorText())") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            decision.note = "another run has the kept file"
            return nil
        }
        // The lock lives as long as a descriptor of this opening, so this one is closed by the end of the process.
        if !AnchorFile.isFormatted(descriptor, slots: slots, floats: floats) {
            try AnchorFile.format(descriptor, slots: slots, floats: floats)
        }
        let file = try AnchorFile(descriptor: descriptor, slots: slots, floats: floats, verifies: true)
        file.recover()
        (decision.path, decision.isKept, decision.found) = (path, true, file.count)
        return Opened(file: file)
    }
}
