import Glibc

// One copy of the data every rank of a node reads: rank 0 writes it, `publish` copies it to one rank of every node, and
// from then on nobody can write. The first rank of each node decides on its location:
//   window  an MPI-3 shared window (MPI_Win_allocate_shared), which lives in /dev/shm; the first rank has all its pages
//           allocated before anybody writes, because a page that is no longer available would be a SIGBUS
//   file    a file of the temporary folder, if /dev/shm is too small (64 MiB in a default container; writing beyond
//           its end would be a SIGBUS). It is unlinked before it gets its size, and the others open it through
//           /proc/PID/fd, so nothing is left of it whenever a rank may die
//   own     memory of the process: the only rank of its node, threads, a lone process, or `private` requested

/// Memory with one copy for the ranks of a node; writable until it is published.
///
/// Created by `Communicator.makeNodeMemory`. Memory in a window is valid until the communicator is finalised.
public final class NodeSharedMemory: @unchecked Sendable {
    /// The requested kind.
    public enum Kind: String, Sendable, CaseIterable {
        /// One copy on each node.
        case window
        /// One copy in each rank.
        case `private`
    }

    /// Its location on this node.
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
    /// The requested kind.
    public let kind: Kind
    /// Its location on this node.
    public let placement: Placement
    /// True after `publish`: a write is then a programming error and ends the process.
    public private(set) var isSealed = false
    private let isMapped: Bool

    /// Memory of this process alone.
    package init(ownBytes byteCount: Int, kind: Kind) throws(NodeMemoryFault) {
        start = try Self.map(byteCount, file: -1)
        (self.byteCount, self.kind, placement, isMapped) = (byteCount, kind, .own, true)
    }

    /// Memory of an open file.
    package init(file descriptor: Int32, in folder: String, byteCount: Int) throws(NodeMemoryFault) {
        start = try Self.map(byteCount, file: descriptor)
        (self.byteCount, kind, placement, isMapped) = (byteCount, .window, .file(folder: folder), true)
    }

    /// Memory of a window, which its owner frees.
    init(window start: UnsafeMutableRawPointer, byteCount: Int) {
        (self.start, self.byteCount, kind, placement, isMapped) = (start, byteCount, .window, .window, false)
        Self.adviseHugePages(start, byteCount)
    }

    deinit { if isMapped { munmap(start, max(byteCount, 1)) } }

    /// Makes the memory read-only; false if the system refuses.
    func seal() -> Bool {
        isSealed = mprotect(start, byteCount, PROT_READ) == 0
        return isSealed
    }

    /// Allocates all pages for writing; false if there are not enough. Systems that cannot do so on demand (Linux
    /// before 5.14) allocate them when they are written.
    func populate() -> Bool {
        let populateForWriting: Int32 = 23  // MADV_POPULATE_WRITE, which older headers lack
        while madvise(start, byteCount, populateForWriting) != 0 {
            if errno == EINTR || errno == EAGAIN { continue }
            return errno == EINVAL
        }
        return true
    }

    private static func map(_ byteCount: Int, file: Int32) throws(NodeMemoryFault) -> UnsafeMutableRawPointer {
        let flags = file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED
        guard let start = mmap(nil, max(byteCount, 1), PROT_READ | PROT_WRITE, flags, file, 0), start != MAP_FAILED
        else { throw NodeMemoryFault("\(byteCount >> 20) MiB cannot be mapped: \(String(cString: strerror(errno)))") }
        adviseHugePages(start, byteCount)
        return start
    }

    private static func adviseHugePages(_ start: UnsafeMutableRawPointer, _ byteCount: Int) {
        // Only advice: systems without huge pages for this kind of memory reject it, which changes nothing.
        if byteCount >= 2 << 20 { madvise(start, byteCount, MADV_HUGEPAGE) }
    }
}

/// The reason a node cannot hold its copy.
package struct NodeMemoryFault: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}

/// The decision of a node's first rank, sent to all ranks as one line.
package enum NodeMemoryDecision: Equatable {
    case window
    case file(OpenFile, folder: String)
    case fault(String)

    /// Window if /dev/shm has space, else a new file with all its bytes allocated, else why neither is possible.
    ///
    /// - Returns: The decision, and the descriptor of the file, to be closed when all ranks have opened it.
    package static func make(
        byteCount: Int, ranks: Int, allowsWindow: Bool = true, sharedFolder: String = "/dev/shm",
        temporaryFolder: String
    ) -> (decision: Self, descriptor: Int32?) {
        let wanted = windowBytes(byteCount, ranks: ranks)
        let free = freeBytes(sharedFolder)
        if free >= wanted && allowsWindow { return (.window, nil) }
        do throws(NodeMemoryFault) {
            let descriptor = try makeFile(byteCount, in: temporaryFolder)
            guard let file = OpenFile(of: descriptor) else { throw NodeMemoryFault("its file vanished") }
            return (.file(file, folder: temporaryFolder), descriptor)
        } catch {
            let shared = "\(sharedFolder) has \(free >> 20) MiB free, \(wanted >> 20) are needed"
            return (.fault("\(shared); \(error.reason)"), nil)
        }
    }

    /// The free space a window needs in /dev/shm: Open MPI requires a twentieth more than its size, and keeps files of
    /// 4 MiB there for each rank.
    package static func windowBytes(_ byteCount: Int, ranks: Int) -> Int {
        byteCount + byteCount / 16 + (16 + 4 * ranks) << 20
    }

    /// Bytes this user may still write below a folder; 0 if there is no such folder.
    static func freeBytes(_ folder: String) -> Int {
        var figures = statvfs()
        guard statvfs(folder, &figures) == 0 else { return 0 }
        return Int(figures.f_bavail) * Int(figures.f_frsize)
    }

    /// An unlinked file with all its blocks allocated: a sparse one would end a rank by SIGBUS when the disk is
    /// full.
    private static func makeFile(_ byteCount: Int, in folder: String) throws(NodeMemoryFault) -> Int32 {
        var name = Array((folder + "/kedge-base-XXXXXX").utf8CString)
        let descriptor = mkstemp(&name)
        guard descriptor >= 0 else {
            throw NodeMemoryFault("cannot create a file in \(folder): \(String(cString: strerror(errno)))")
        }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        unlink(name)
        var code = posix_fallocate(descriptor, 0, byteCount)
        while code == EINTR { code = posix_fallocate(descriptor, 0, byteCount) }
        guard code == 0 else {
            close(descriptor)
            throw NodeMemoryFault("\(folder) cannot hold \(byteCount >> 20) MiB: \(String(cString: strerror(code)))")
        }
        return descriptor
    }

    package var line: String {
        switch self {
        case .window: "window"
        case .file(let file, let folder): "file\n\(file.line)\n\(folder)"
        case .fault(let reason): "fault\n\(reason)"
        }
    }

    package init(line: String) {
        let words = line.split(separator: "\n", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        switch (words[0], words.count) {
        case ("window", 1): self = .window
        case ("file", 3):
            self = OpenFile(line: words[1]).map { .file($0, folder: words[2]) } ?? .fault("an unreadable decision")
        default: self = .fault(words.count > 1 ? words[1] : "an unreadable decision")
        }
    }
}
