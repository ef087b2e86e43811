import Collectives
import Foundation
import Glibc

/// The right to write into a run's folder, held by one process at a time.
///
/// A file lock on `LOCK` in the folder: it ends with the process that holds it, however that ends, so there is
/// nothing to clean up and nothing to force. The file names the holder. Only a network file system may keep the lock of
/// a dead node until its server expires that node's lease, so a lock held from another host is waited for.
///
/// The lock belongs to a file, not to its name. Whoever removes the file or moves the folder lets a second run in; so
/// the holder compares file and name after locking, and again before everything it writes (``loss``).
public final class RunLock: Sendable {
    private static let name = "LOCK"
    private let folder: HeldFolder
    private let descriptor: Int32
    /// What this run has written into the file; no other run's text is the same.
    private let text: String

    /// Takes the lock.
    ///
    /// - Parameters:
    ///   - patience: Seconds to wait while another host holds it; the lease of an NFS server is 90.
    ///   - waiting: Called once, with a message, if the lock must be waited for.
    ///
    /// Throws `CheckpointError`: `locked` with the holder's name, or `cannotWrite`.
    public init(
        folder path: String, patience: Double = 100, waiting: (String) -> Void = { _ in }
    ) throws(CheckpointError) {
        let deadline = ContinuousClock.now + .seconds(patience)
        var attempts = 0
        while true {
            guard let folder = HeldFolder(path) else { throw Self.unopened(path, errno) }
            let descriptor = try Self.open(in: folder)
            do throws(CheckpointError) {
                try Self.lock(descriptor, path, (deadline, patience), waiting)
            } catch {
                close(descriptor)
                throw error
            }
            if Self.loss(of: descriptor, in: folder, text: nil) == nil {
                (self.folder, self.descriptor) = (folder, descriptor)
                break
            }
            // Removed or replaced between opening and locking: what was locked is not what others will find.
            close(descriptor)
            attempts += 1
            guard attempts < 50 else {
                throw CheckpointError(
                    .cannotWrite, at: path, "has a LOCK that changes each time it is opened",
                    remedy: "choose a run.folder on another file system")
            }
            usleep(10_000)
        }
        let nonce = String(UInt64.random(in: 0...UInt64.max), radix: 16)
        text = "host \(localHostName()), process \(getpid()), since \(Date().formatted(.iso8601))\n\(nonce)\n"
        ftruncate(descriptor, 0)
        _ = text.withCString { write(descriptor, $0, strlen($0)) }
    }

    deinit { close(descriptor) }

    /// The reason why the folder is no longer this run's; nil while it is.
    public var loss: CheckpointError? { Self.loss(of: descriptor, in: folder, text: text) }

    /// - Parameter text: What the file holds while the lock is this run's, if it was written: there are file systems whose
    ///   numbers of files change while these are open (CIFS with `noserverino`).
    private static func loss(of descriptor: Int32, in folder: HeldFolder, text: String?) -> CheckpointError? {
        let file = folder.path + "/" + name
        func isTextThere() -> Bool { text != nil && contents(of: file) == text }
        guard folder.isInPlace || isTextThere() else {
            return CheckpointError(
                .locked, at: folder.path, "was renamed, removed or replaced while this run wrote into it",
                remedy: "nothing more was written; move it back and repeat the command, or choose another run.name")
        }
        var (own, named) = (stat(), stat())
        if fstatat(folder.descriptor, name, &named, AT_SYMLINK_NOFOLLOW) != 0 {
            guard HeldFolder.meansGone(errno) else { return nil }
            return CheckpointError(
                .locked, at: folder.path, "is no longer reserved for this run: its LOCK was removed",
                remedy: "nothing more was written; repeat the command to continue, and leave LOCK alone: it never "
                    + "outlives its run")
        }
        guard fstat(descriptor, &own) == 0, !HeldFolder.isSame(own, named), !isTextThere() else { return nil }
        let holder = holder(at: file)
        return CheckpointError(
            .locked, at: folder.path,
            "is no longer reserved for this run: its LOCK was replaced" + (holder.isEmpty ? "" : " by \(holder)"),
            remedy: "nothing more was written; wait for the other run, or choose another run.name")
    }

    /// Opens the lock's file, which is never reached through a link: it is about to be overwritten.
    private static func open(in folder: HeldFolder) throws(CheckpointError) -> Int32 {
        let path = folder.path + "/" + name
        let flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
        let descriptor = openat(folder.descriptor, name, flags, 0o644)
        guard descriptor >= 0 else {
            throw errno == ELOOP ? .link(path, "a symbolic link") : unopened(path, errno)
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_nlink <= 1 else {
            close(descriptor)
            let isRegular = status.st_mode & S_IFMT == S_IFREG
            throw .link(path, isRegular ? "another name of a file (hard link)" : "no regular file")
        }
        return descriptor
    }

    private static func unopened(_ path: String, _ number: Int32) -> CheckpointError {
        CheckpointError(
            .cannotWrite, at: path, "cannot be opened: \(String(cString: strerror(number)))",
            remedy: "choose a writable folder with --set run.folder=PATH")
    }

    /// The first line of a lock's file, or nothing.
    private static func holder(at path: String) -> String {
        contents(of: path).split(separator: "\n").first.map { $0.trimmingCharacters(in: .whitespaces) } ?? ""
    }

    private static func contents(of path: String) -> String {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 512)
        let count = read(descriptor, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }

    private static func lock(
        _ descriptor: Int32, _ folder: String, _ wait: (deadline: ContinuousClock.Instant, seconds: Double),
        _ waiting: (String) -> Void
    ) throws(CheckpointError) {
        let path = folder + "/" + name
        var hasSaid = false
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            if errno == EINTR { continue }
            guard errno == EWOULDBLOCK else {
                throw CheckpointError(
                    .cannotWrite, at: path, "cannot be locked: \(String(cString: strerror(errno)))",
                    remedy: "mount its file system with locks (Lustre: flock), or choose another run.folder")
            }
            let holder = holder(at: path)
            // On this host a lock cannot outlive its process.
            let isElsewhere = !holder.isEmpty && !holder.hasPrefix("host \(localHostName()),")
            guard isElsewhere, ContinuousClock.now < wait.deadline else {
                throw CheckpointError(
                    .locked, at: folder, "another process writes into this run: \(holder)",
                    remedy: isElsewhere
                        ? "stop it, or if its node has died wait until the file server frees its locks"
                        : "wait for it, stop it, or choose another run.name")
            }
            if !hasSaid { waiting("\(folder) is locked by \(holder); waiting at most \(Int(wait.seconds)) s for it") }
            hasSaid = true
            usleep(250_000)
        }
    }
}
