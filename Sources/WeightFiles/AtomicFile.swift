import FaultInjection
import Glibc

/// Publishes a file by writing it under a temporary name and renaming it, so that no reader ever sees half of it.
package enum AtomicFile {
    /// Throws if a finished file may not be published after all.
    package typealias Permission = () throws(WeightFileError) -> Void

    /// Writes bytes as ``write(to:ifAllowed:_:)`` does.
    package static func write(
        _ bytes: [UInt8], to path: String, ifAllowed permission: Permission = {}
    ) throws(WeightFileError) {
        try write(to: path, ifAllowed: permission) { (descriptor) throws(WeightFileError) in
            try bytes.withUnsafeBytesTyped { (raw) throws(WeightFileError) in
                try put(raw, into: descriptor, path: path)
            }
        }
    }

    /// Creates the temporary file, lets `body` write it, flushes it to disk, renames it to `path` and flushes the folder.
    /// On failure the temporary file is removed and the previous file at `path` remains. A link at `path` is replaced,
    /// not followed.
    ///
    /// - Parameter permission: Asked right before the rename.
    ///
    /// Throws `spaceLeft`, `writable`, and the error of `permission`.
    package static func write(
        to path: String, ifAllowed permission: Permission = {}, _ body: (Int32) throws(WeightFileError) -> Void
    ) throws(WeightFileError) {
        let slash = path.lastIndex(of: "/")
        let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let name = slash.map { String(path[path.index(after: $0)...]) } ?? path
        // The process number separates ranks that share a folder; a leftover of a dead process is replaced.
        let temporary = "\(folder)/.\(name).\(getpid()).tmp"
        unlink(temporary)
        try refuse(.open, path)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure("open", path, errno) }
        var isOpen = true
        do throws(WeightFileError) {
            try body(descriptor)
            try refuse(.flush, path)
            guard fsync(descriptor) == 0 else { throw failure("fsync", path, errno) }
            isOpen = false
            guard close(descriptor) == 0 else { throw failure("close", path, errno) }
            try permission()
            guard rename(temporary, path) == 0 else { throw failure("rename", path, errno) }
        } catch {
            if isOpen { close(descriptor) }
            unlink(temporary)
            throw error
        }
        let folderDescriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folderDescriptor >= 0 else { throw failure("open folder", path, errno) }
        defer { close(folderDescriptor) }
        // Some file systems cannot flush a folder (CIFS, gocryptfs, FUSE); file and rename have happened.
        guard fsync(folderDescriptor) == 0 || [EINVAL, EOPNOTSUPP, ENOSYS].contains(errno) else {
            throw failure("fsync folder", path, errno)
        }
    }

    /// Writes all bytes, continuing after short writes and interruptions. Throws `spaceLeft`, `writable`.
    package static func put(
        _ bytes: UnsafeRawBufferPointer, into descriptor: Int32, path: String
    ) throws(WeightFileError) {
        var done = 0
        while done < bytes.count {
            // In two halves, so that a fault can be injected between them.
            if done >= bytes.count / 2 { try refuse(.middle, path) }
            let goal = done < bytes.count / 2 ? bytes.count / 2 : bytes.count
            let written = Glibc.write(descriptor, bytes.baseAddress.map { $0 + done }, goal - done)
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { throw failure("write", path, written < 0 ? errno : EIO) }
            done += written
        }
    }

    /// Throws the fault that a test injects at this moment.
    private static func refuse(_ moment: FileMoment, _ path: String) throws(WeightFileError) {
        switch FaultInjector.reach(moment) {
        case .none: return
        case .errorNumber(let number): throw failure("\(moment)", path, number)
        case .fail, .notANumber: throw failure("\(moment)", path, EIO)
        }
    }

    private static func failure(_ call: String, _ path: String, _ code: Int32) -> WeightFileError {
        let found = "\(call): \(String(cString: strerror(code)))"
        if code == ENOSPC || code == EDQUOT || code == EFBIG {
            return WeightFileError(
                .spaceLeft, path: path, found: found,
                remedy: "free space there, raise the quota, or write to another folder; nothing was replaced")
        }
        return WeightFileError(
            .writable, path: path, found: found, remedy: "check that the folder exists and may be written")
    }
}
