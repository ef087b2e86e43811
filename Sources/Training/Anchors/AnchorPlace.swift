import Collectives
import Foundation
package import Machine

/// Location and maximum size of a node's store.
package struct AnchorPlace {
    let folder: String
    let slots: Int
    let floats: Int
    /// Size limit in GiB; 0 for half of what is free.
    let limitGiB: Double
    /// Bytes that the node's ranks will still allocate; the store must leave memory for them.
    let reservedBytes: Int
    /// The name of a file kept between runs; nil for an unnamed file.
    let name: String?
    /// Measures the node's free memory.
    let free: @Sendable () -> NodeMemory?

    package init(
        folder: String, slots: Int, floats: Int, limitGiB: Double, reservedBytes: Int, name: String?,
        free: @escaping @Sendable () -> NodeMemory? = { NodeMemory.now() }
    ) {
        (self.folder, self.slots, self.floats, self.limitGiB) = (folder, slots, floats, limitGiB)
        (self.reservedBytes, self.name, self.free) = (reservedBytes, name, free)
    }

    /// The first rank's decision, sent to the other ranks of its node.
    package struct Decision: Codable, Equatable {
        /// The file, as `OpenFile.line`.
        var file = ""
        var folder = ""
        /// Number of embeddings that fit.
        package var limit = 0
        /// Number of embeddings present at the start.
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

    /// An open file; the first rank's descriptor lets the others open it and is closed afterwards.
    package struct Opened {
        let file: AnchorFile
        package var descriptor: Int32?
    }

    /// Creates or finds the file; on the first rank of a node.
    package func prepare() -> (Opened?, Decision) {
        var decision = Decision()
        (decision.folder, decision.payloadBytes) = (folder, floats * MemoryLayout<Float>.stride)
        do throws(AnchorFault) {
            if let name {
                do throws(AnchorFault) {
                    return (try openKept(folder + "/" + name + ".store", &decision), decision)
                } catch {
                    decision.note = "not kept: \(error.reason)"
                }
            }
            return (try openUnnamed(&decision), decision)
        } catch {
            decision.fault = error.reason
            return (nil, decision)
        }
    }

    /// Opens the file prepared by the first rank; nil if that fails, which costs only time.
    func attach(_ decision: Decision) -> Opened? {
        guard let descriptor = OpenFile(line: decision.file)?.open() else { return nil }
        defer { close(descriptor) }
        // A kept file stays locked as long as any rank has it open, in whatever order they end.
        if decision.isKept, flock(descriptor, LOCK_SH | LOCK_NB) != 0 { return nil }
        let file = try? AnchorFile(descriptor: descriptor, slots: slots, floats: floats, verifies: decision.isKept)
        return file.map { Opened(file: $0) }
    }

    /// The number of embeddings that may be added: the limit, or half of the folder's free space; without a limit, or
    /// if the folder is in memory, at most half of the memory the ranks leave.
    private func room() -> Int {
        var figures = statvfs()
        guard statvfs(folder, &figures) == 0 else { return 0 }
        let disk = Int(figures.f_bavail) * Int(figures.f_frsize)
        var bytes = limitGiB > 0 ? min(Int(min(limitGiB, 1e6) * Double(1 << 30)), disk) : disk / 2
        let memory = free().map { max(0, $0.available - reservedBytes) / 2 }
        // On a disk, the pages of a file are reclaimed under memory pressure; there an explicit limit is honoured.
        if let memory, limitGiB == 0 || isInMemory { bytes = min(bytes, memory) }
        return bytes / max(floats * MemoryLayout<Float>.stride, 1)
    }

    /// True for folders whose files are in memory (tmpfs, ramfs), according to the mount table's line for the folder's
    /// device.
    private var isInMemory: Bool {
        var status = stat()
        guard stat(folder, &status) == 0,
            let table = try? String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)
        else { return false }
        // The C library's macros for these are not available in Swift.
        let number = UInt64(status.st_dev)
        let (major, minor) = (number >> 8 & 0xfff | number >> 32 & ~0xfff, number & 0xff | number >> 12 & ~0xff)
        let device = "\(major):\(minor & 0xffff_ffff)"
        return table.split(separator: "\n").contains { line in
            let words = line.split(separator: " ")
            guard words.count > 2, words[2] == device, let dash = words.firstIndex(of: "-") else { return false }
            return dash + 1 < words.count && ["tmpfs", "ramfs"].contains(words[dash + 1])
        }
    }

    private func noRoom() -> AnchorFault {
        AnchorFault("\(folder) has no room for one embedding of \(floats * MemoryLayout<Float>.stride >> 10) KiB")
    }

    private func openUnnamed(_ decision: inout Decision) throws(AnchorFault) -> Opened {
        decision.limit = min(slots, room())
        guard decision.limit > 0 else { throw noRoom() }
        var template = Array((folder + "/kedge-anchors-XXXXXX").utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw AnchorFault("no file can be created in \(folder): \(errorText())") }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        // Unnamed from the start: nothing is left behind whenever a rank dies.
        unlink(template)
        do throws(AnchorFault) {
            try AnchorFile.format(descriptor, slots: slots, floats: floats, places: decision.limit)
            let file = try AnchorFile(descriptor: descriptor, slots: slots, floats: floats, verifies: false)
            return try describe(file, descriptor, &decision)
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// Opens a kept file exclusively for this run.
    private func openKept(_ path: String, _ decision: inout Decision) throws(AnchorFault) -> Opened {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw AnchorFault("\(path) cannot be opened: \(errorText())") }
        do throws(AnchorFault) {
            var status = stat()
            guard fstat(descriptor, &status) == 0, status.st_uid == geteuid(), status.st_mode & S_IFMT == S_IFREG else {
                throw AnchorFault("\(path) is not a file of this user")
            }
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw AnchorFault("another run uses \(path)") }
            if !AnchorFile.isFormatted(descriptor, slots: slots, floats: floats) {
                let places = min(slots, room())
                guard places > 0 else { throw noRoom() }
                try AnchorFile.format(descriptor, slots: slots, floats: floats, places: places)
            }
            let file = try AnchorFile(descriptor: descriptor, slots: slots, floats: floats, verifies: true)
            file.recover()
            // From here on the node's ranks share the lock; a new run requires it exclusively.
            flock(descriptor, LOCK_SH)
            (decision.isKept, decision.found, decision.limit) = (true, file.count, file.places)
            return try describe(file, descriptor, &decision)
        } catch {
            close(descriptor)
            throw error
        }
    }

    private func describe(
        _ file: AnchorFile, _ descriptor: Int32, _ decision: inout Decision
    ) throws(AnchorFault) -> Opened {
        guard let open = OpenFile(of: descriptor) else { throw AnchorFault("its file vanished") }
        decision.file = open.line
        return Opened(file: file, descriptor: descriptor)
    }
}
