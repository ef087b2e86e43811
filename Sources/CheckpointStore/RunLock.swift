import Collectives
import Foundation
import Glibc

/// The right to write into a run's folder, held by one process at a time.
///
/// A file lock on `LOCK` in the folder: it ends with the process that holds it, however that ends, so there is
/// nothing to clean up and nothing to force. The file names the holder. Only a network file system may keep the lock of
/// a dead node until its server expires that node's lease, so a lock held from another host is waited for.
public final class RunLock {
    private let descriptor: Int32

    /// Takes the lock.
    ///
    /// - Parameters:
    ///   - patience: Seconds to wait while another host holds it; the lease of an NFS server is 90.
    ///   - waiting: Called once, with a message, if the lock must be waited for.
    ///
    /// Throws `CheckpointError`: `locked` with the holder's name, or `cannotWrite`.
    public init(
        folder: String, patience: Double = 100, waiting: (String) -> Void = { _ in }
    ) throws(CheckpointError) {
        let path = folder + "/LOCK"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw CheckpointError(
                .cannotWrite, at: path, "cannot be opened: \(String(cString: strerror(errno)))",
                remedy: "choose a writable folder with --set run.folder=PATH")
        }
        do throws(CheckpointError) {
            try Self.lock(descriptor, folder, path, patience, waiting)
        } catch {
            close(descriptor)
            throw error
        }
        self.descriptor = descriptor
        let text = "host \(localHostName()), process \(getpid()), since \(Date().formatted(.iso8601))\n"
        ftruncate(descriptor, 0)
        _ = text.withCString { write(descriptor, $0, strlen($0)) }
    }

    deinit { close(descriptor) }

    private static func lock(
        _ descriptor: Int32, _ folder: String, _ path: String, _ patience: Double, _ waiting: (String) -> Void
    ) throws(CheckpointError) {
        let deadline = ContinuousClock.now + .seconds(patience)
        var hasSaid = false
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            if errno == EINTR { continue }
            guard errno == EWOULDBLOCK else {
                throw CheckpointError(
                    .cannotWrite, at: path, "cannot be locked: \(String(cString: strerror(errno)))",
                    remedy: "mount its file system with locks (Lustre: flock), or choose another run.folder")
            }
            let text = String(
                decoding: (FileManager.default.contents(atPath: path) ?? Data()).prefix(200), as: UTF8.self)
            let holder = text.trimmingCharacters(in: .whitespacesAndNewlines)
            // On this host a lock cannot outlive its process.
            let isElsewhere = !holder.isEmpty && !holder.hasPrefix("host \(localHostName()),")
            guard isElsewhere, ContinuousClock.now < deadline else {
                throw CheckpointError(
                    .locked, at: folder, "another process writes into this run: \(holder)",
                    remedy: isElsewhere
                        ? "stop it, or if its node has died wait until the file server frees its locks"
                        : "wait for it, stop it, or choose another run.name")
            }
            if !hasSaid { waiting("\(folder) is locked by \(holder); waiting at most \(Int(patience)) s for it") }
            hasSaid = true
            usleep(250_000)
        }
    }
}
