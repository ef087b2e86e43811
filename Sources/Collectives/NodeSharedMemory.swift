import Glibc

// One copy of what every rank of a node reads: rank 0 writes it, `publish` brings it to one rank of every node, and from
// then on nobody can write. Where the copy lies is decided on each node by its first rank:
//   window  an MPI-3 shared window (MPI_Win_allocate_shared), which lives in /dev/shm
//   file    a file of the temporary folder, where /dev/shm is too small (64 MiB in a default container; writing beyond
//           its end would be a SIGBUS). It loses its name before it gets its size, and the others open it through
//           /proc/PID/fd, so nothing is left of it whenever a rank may die
//   own     memory of the process: the only rank of its node, threads, a lone process, or `private` asked for

/// Memory that the ranks of a node hold once; writable until it is published.
///
/// Made by `Communicator.makeNodeMemory`. Memory in a window is valid until the communicator is finalised.
public final class NodeSharedMemory: @unchecked Sendable {
    /// What is asked for.
    public enum Kind: String, Sendable, CaseIterable {
        /// One copy on each node.
        case window
        /// One copy in each rank.
        case `private`
    }

    /// Where it lies on this node.
    public enum Placement: Sendable, Equatable {
        /// In an MPI shared window.
        case window
        /// In an unnamed file of this folder.
        case file(folder: String)
        /// In this process.
        case own
    }

    /// The first byte; page-aligned.
    public let start: UnsafeMutableRawPointer
    /// The size.
    public let byteCount: Int
    /// Where it lies on this node.
    public let placement: Placement
    /// True after `publish`: a write is a fault of the program and ends it.
    public private(set) var isSealed = false
    private let isMapped: Bool

    /// Memory of this process alone.
    package init(ownBytes byteCount: Int) throws(NodeMemoryFault) {
        start = try Self.map(byteCount, file: -1)
        (self.byteCount, placement, isMapped) = (byteCount, .own, true)
    }

    /// Memory of a file that is open.
    package init(file descriptor: Int32, in folder: String, byteCount: Int) throws(NodeMemoryFault) {
        start = try Self.map(byteCount, file: descriptor)
        (self.byteCount, placement, isMapped) = (byteCount, .file(folder: folder), true)
    }

    /// Memory of a window, which its owner frees.
    init(window start: UnsafeMutableRawPointer, byteCount: Int) {
        (self.start, self.byteCount, placement, isMapped) = (start, byteCount, .window, false)
        Self.adviseHugePages(start, byteCount)
    }

    deinit { if isMapped { munmap(start, max(byteCount, 1)) } }

    /// Refuses all writing from now on.
    func seal() {
        mprotect(start, byteCount, PROT_READ)
        isSealed = true
    }

    private static func map(_ byteCount: Int, file: Int32) throws(NodeMemoryFault) -> UnsafeMutableRawPointer {
        let flags = file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED
        guard let start = mmap(nil, max(byteCount, 1), PROT_READ | PROT_WRITE, flags, file, 0), start != MAP_FAILED
        else { throw NodeMemoryFault("\(byteCount >> 20) MiB cannot be mapped: \(String(cString: strerror(errno)))") }
        adviseHugePages(start, byteCount)
        return start
    }

    private static func adviseHugePages(_ start: UnsafeMutableRawPointer, _ byteCount: Int) {
        // Only advice: systems without huge pages for this kind of memory refuse it, which changes nothing.
        if byteCount >= 2 << 20 { madvise(start, byteCount, MADV_HUGEPAGE) }
    }
}

/// Why a node cannot hold its copy.
package struct NodeMemoryFault: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}

/// What the first rank of a node decides, told to all ranks as one line.
package enum NodeMemoryDecision: Equatable {
    case window
    case file(path: String, folder: String)
    case fault(String)

    /// Window where /dev/shm has room, else a new file that has all its bytes, else the reason why neither is possible.
    ///
    /// - Returns: The decision, and the descriptor of the file, to be closed when all ranks have opened it.
    package static func make(
        byteCount: Int, sharedFolder: String = "/dev/shm", temporaryFolder: String
    ) -> (decision: Self, descriptor: Int32?) {
        let wanted = byteCount + slack
        let free = freeBytes(sharedFolder)
        if free >= wanted { return (.window, nil) }
        do throws(NodeMemoryFault) {
            let descriptor = try makeFile(byteCount, in: temporaryFolder)
            return (.file(path: "/proc/\(getpid())/fd/\(descriptor)", folder: temporaryFolder), descriptor)
        } catch {
            return (
                .fault("\(sharedFolder) has \(free >> 20) MiB free, \(wanted >> 20) are needed; \(error.reason)"), nil
            )
        }
    }

    /// What the MPI library itself keeps in shared memory beside a window.
    package static let slack = 16 << 20

    /// Bytes this user may still write below a folder; 0 where there is no such folder.
    static func freeBytes(_ folder: String) -> Int {
        var figures = statvfs()
        guard statvfs(folder, &figures) == 0 else { return 0 }
        return Int(figures.f_bavail) * Int(figures.f_frsize)
    }

    /// A file without a name whose blocks are all there: one that is only long would end a rank by SIGBUS when the disk is
    /// full.
    private static func makeFile(_ byteCount: Int, in folder: String) throws(NodeMemoryFault) -> Int32 {
        var name = Array((folder + "/kedge-base-XXXXXX").utf8CString)
        let descriptor = mkstemp(&name)
        guard descriptor >= 0 else {
            throw NodeMemoryFault("no file can be made in \(folder): \(String(cString: strerror(errno)))")
        }
        unlink(name)
        let code = posix_fallocate(descriptor, 0, byteCount)
        guard code == 0 else {
            close(descriptor)
            throw NodeMemoryFault("\(folder) has no \(byteCount >> 20) MiB: \(String(cString: strerror(code)))")
        }
        return descriptor
    }

    package var line: String {
        switch self {
        case .window: "window"
        case .file(let path, let folder): "file\n\(path)\n\(folder)"
        case .fault(let reason): "fault\n\(reason)"
        }
    }

    package init(line: String) {
        let words = line.split(separator: "\n", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        switch (words[0], words.count) {
        case ("window", 1): self = .window
        case ("file", 3): self = .file(path: words[1], folder: words[2])
        default: self = .fault(words.count > 1 ? words[1] : "an unreadable decision")
        }
    }
}
