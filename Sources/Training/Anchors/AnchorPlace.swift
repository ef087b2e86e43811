import Collectives
import Foundation
package import Machine

/// Where a node's store lies and how large it may grow.
package struct AnchorPlace {
    let folder: String
    let slots: Int
    let floats: Int
    /// 0 for half of what is free.
    let limitGiB: Double
    /// Bytes that the node's ranks have yet to take: memory for them must stay, whatever the store takes.
    let reservedBytes: Int
    /// The name of a file that is kept between runs; nil for one without a name.
    let name: String?
    /// How the node's free memory is found out.
    let free: @Sendable () -> NodeMemory?

    package init(
        folder: String, slots: Int, floats: Int, limitGiB: Double, reservedBytes: Int, name: String?,
        free: @escaping @Sendable () -> NodeMemory? = { NodeMemory.now() }
    ) {
        (self.folder, self.slots, self.floats, self.limitGiB) = (folder, slots, floats, limitGiB)
        (self.reservedBytes, self.name, self.free) = (reservedBytes, name, free)
    }

    /// What the first rank of a node tells the others.
    package struct Decision: Codable, Equatable {
        /// The file, as `OpenFile.line`.
        var file = ""
        var folder = ""
        /// Embeddings that find room.
        package var limit = 0
        /// Embeddings that are there at the start.
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

    /// A file that is open; the first rank's descriptor is how the others open it and is closed after that.
    package struct Opened {
        let file: AnchorFile
        package var descriptor: Int32?
    }

    /// Makes or finds the file; on the first rank of a node.
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

    /// Opens what the first rank has prepared; nil where that fails, which costs time alone.
    func attach(_ decision: Decision) -> Opened? {
        guard let descriptor = OpenFile(line: decision.file)?.open() else { return nil }
        defer { close(descriptor) }
        // A kept file stays locked as long as one rank has it, whichever of them ends first.
        if decision.isKept, flock(descriptor, LOCK_SH | LOCK_NB) != 0 { return nil }
        let file = try? AnchorFile(descriptor: descriptor, slots: slots, floats: floats, verifies: decision.isKept)
        return file.map { Opened(file: $0) }
    }

    /// How many embeddings may be added: what was asked for, or half of the folder's room; and where the folder lies in
    /// memory, at most half of what the ranks leave.
    private func room() -> Int {
        var figures = statvfs()
        guard statvfs(folder, &figures) == 0 else { return 0 }
        let disk = Int(figures.f_bavail) * Int(figures.f_frsize)
        var bytes = limitGiB > 0 ? min(Int(min(limitGiB, 1e6) * Double(1 << 30)), disk) : disk / 2
        let memory = free().map { max(0, $0.available - reservedBytes) / 2 }
        // On a disk the pages of a file are given back when somebody needs them; an explicit limit is kept to there.
        if let memory, limitGiB == 0 || isInMemory { bytes = min(bytes, memory) }
        return bytes / max(floats * MemoryLayout<Float>.stride, 1)
    }

    /// True for folders whose files are memory (tmpfs, ramfs), by the mount table's line for the folder's device.
    private var isInMemory: Bool {
        var status = stat()
        guard stat(folder, &status) == 0,
            let table = try? String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)
        else { return false }
        // The C library's macros for these are not visible here.
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
        guard descriptor >= 0 else { throw AnchorFault("no file can be made in \(folder): \(errorText())") }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        // Without a name from the start: whenever a rank may die, nothing is left of it.
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

    /// Opens a kept file for this run alone.
    private func openKept(_ path: String, _ decision: inout Decision) throws(AnchorFault) -> Opened {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw AnchorFault("\(path) cannot be opened: \(errorText())") }
        do throws(AnchorFault) {
            var status = stat()
            guard fstat(descriptor, &status) == 0, status.st_uid == geteuid(), status.st_mode & S_IFMT == S_IFREG else {
                throw AnchorFault("\(path) is not a file of this user")
            }
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw AnchorFault("another run has \(path)") }
            if !AnchorFile.isFormatted(descriptor, slots: slots, floats: floats) {
                let places = min(slots, room())
                guard places > 0 else { throw noRoom() }
                try AnchorFile.format(descriptor, slots: slots, floats: floats, places: places)
            }
            let file = try AnchorFile(descriptor: descriptor, slots: slots, floats: floats, verifies: true)
            file.recover()
            // From here on the node's ranks hold the lock together; a new run wants it for itself.
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
