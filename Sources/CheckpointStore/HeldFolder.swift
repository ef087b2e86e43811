import Glibc

/// A folder kept open, so that this process notices when another one takes its path.
///
/// The open descriptor keeps the inode in use; no folder created later can have the same number.
package final class HeldFolder: Sendable {
    /// The path it was opened by; links on the way are followed.
    package let path: String
    let descriptor: Int32

    /// Opens a folder; nil if that fails, with the reason in `errno`.
    package init?(_ path: String) {
        descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        self.path = path
        if descriptor < 0 { return nil }
    }

    deinit { close(descriptor) }

    /// False once the path leads to another folder or to none.
    package var isInPlace: Bool {
        var (own, named) = (stat(), stat())
        guard stat(path, &named) == 0 else { return !Self.meansGone(errno) }
        guard fstat(descriptor, &own) == 0 else { return !Self.meansGone(errno) }
        return Self.isSame(own, named)
    }

    /// True if two results of `stat` describe one file.
    static func isSame(_ first: stat, _ second: stat) -> Bool {
        first.st_dev == second.st_dev && first.st_ino == second.st_ino
    }

    /// True for error numbers that say a name is gone. Others, such as those of a file server that does not answer, prove
    /// nothing; a write will show whether the folder can still be used.
    static func meansGone(_ number: Int32) -> Bool { [ENOENT, ENOTDIR, ELOOP, ESTALE].contains(number) }
}
