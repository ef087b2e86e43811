import Glibc
import Synchronization

extension CheckpointStore {
    /// What a rank knows about the run's folder: where it is, and whether it is still this run's.
    final class Ground: Sendable {
        private let lock: RunLock?
        private let held = Mutex<HeldFolder?>(nil)

        init(lock: RunLock?) { self.lock = lock }

        /// Remembers the folder that is there now.
        func hold(_ path: String) { held.withLock { $0 = HeldFolder(path) } }

        /// The reason why nothing may be written any more; nil while the folder is this run's.
        var loss: CheckpointError? {
            if let lock { return lock.loss }
            return held.withLock { folder in
                guard let folder, !folder.isInPlace else { return nil }
                return CheckpointError(
                    .locked, at: folder.path, "was renamed, removed or replaced while this run wrote into it",
                    remedy: "choose another run.name")
            }
        }
    }

    /// The reason why this process may not write into the run's folder any more; nil while it may.
    package var loss: CheckpointError? { ground.loss }

    /// Prepares for writing a file of a checkpoint: the run's folder is still this run's, and holds a folder for
    /// checkpoints, which is created anew if it was removed under the run.
    func stand() throws(CheckpointError) {
        if let loss { throw loss }
        var status = stat()
        if lstat(folder, &status) == 0 {
            if status.st_mode & S_IFMT == S_IFLNK { throw .link(folder, "a symbolic link") }
        } else if errno == ENOENT, mkdir(folder, 0o755) != 0, errno != EEXIST {
            throw .cannotWrite(folder, String(cString: strerror(errno)))
        }
    }
}
