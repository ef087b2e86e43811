import Collectives
import Foundation
import Glibc

/// The right to write into a run's folder, held by one process at a time.
///
/// A lock of the system on `LOCK` in the folder: it ends with the process that holds it, however that ends, so there is
/// nothing to clean up. The file says who holds it.
public final class RunLock {
    private let descriptor: Int32

    /// Takes the lock. Throws `CheckpointError`: `locked` with the holder's name, or `cannotWrite`.
    public init(folder: String) throws(CheckpointError) {
        let path = folder + "/LOCK"
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw CheckpointError(
                .cannotWrite, at: path, "cannot be opened: \(String(cString: strerror(errno)))",
                remedy: "give a folder that can be written with --set run.folder=PATH")
        }
        var code = flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? 0 : errno
        while code == EINTR { code = flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? 0 : errno }
        guard code == 0 else {
            guard code == EWOULDBLOCK else {
                close(descriptor)
                throw CheckpointError(
                    .cannotWrite, at: path, "cannot be locked: \(String(cString: strerror(code)))",
                    remedy: "mount its file system with locks (Lustre: flock), or take another run.folder")
            }
            let holder = FileManager.default.contents(atPath: path).map {
                String(decoding: $0.prefix(200), as: UTF8.self)
            }
            close(descriptor)
            throw CheckpointError(
                .locked, at: folder,
                "another process writes into this run: \((holder ?? "").trimmingCharacters(in: .whitespacesAndNewlines))",
                remedy: "wait for it, stop it, or choose another run.name")
        }
        let text = "host \(localHostName()), process \(getpid()), since \(Date().formatted(.iso8601))\n"
        ftruncate(descriptor, 0)
        _ = text.withCString { write(descriptor, $0, strlen($0)) }
    }

    deinit { close(descriptor) }
}
