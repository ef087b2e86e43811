import Glibc

/// Writes whole regular files with plain system calls, and names what fails (see `OpenedFile` for reading).
enum RegularFile {
    /// Writes a temporary sibling, makes it durable and renames it to `path`.
    static func write(_ bytes: [UInt8], to path: String) throws {
        guard !path.utf8.contains(0) else { throw unwritable(path, "the path contains a zero byte") }
        let (temporary, descriptor) = try createSibling(of: path)
        do {
            try fill(descriptor, with: bytes, path: path)
            guard retrying({ fsync(descriptor) }) == 0 else { throw writeError(path, "making the file durable failed") }
        } catch {
            close(descriptor)
            unlink(temporary)
            throw error
        }
        guard close(descriptor) == 0, rename(temporary, path) == 0 else {
            let error = writeError(path, "finishing the file failed")
            unlink(temporary)
            throw error
        }
    }

    private static func createSibling(of path: String) throws -> (path: String, descriptor: Int32) {
        var attempt = 0
        while true {
            let temporary = "\(path).tmp-\(getpid())-\(attempt)"
            let descriptor = retrying { open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644) }
            if descriptor >= 0 { return (temporary, descriptor) }
            guard errno == EEXIST, attempt < 1000 else { throw writeError(path, "a file beside it cannot be created") }
            attempt += 1
        }
    }

    private static func fill(_ descriptor: Int32, with bytes: [UInt8], path: String) throws {
        try bytes.withUnsafeBytes { buffer in
            var written = 0
            while written < buffer.count {
                let step = retrying { Glibc.write(descriptor, buffer.baseAddress! + written, buffer.count - written) }
                guard step > 0 else { throw writeError(path, "writing failed") }
                written += step
            }
        }
    }

    /// Repeats a system call that a signal interrupted.
    static func retrying<Result: SignedInteger>(_ call: () -> Result) -> Result {
        while true {
            let result = call()
            if result != -1 || errno != EINTR { return result }
        }
    }

    private static func lastError() -> String { String(cString: strerror(errno)) }

    static func unreadable(_ path: String, _ cause: String) -> ImagingError {
        ImagingError(.unreadable, file: path, cause: cause, remedy: "check the path and its permissions")
    }

    /// The error of a system call; a lack of memory or descriptors is not blamed on the file.
    static func readError(_ path: String, _ what: String, _ number: Int32 = errno) -> ImagingError {
        let cause = "\(what) (\(String(cString: strerror(number))))"
        return [ENOMEM, EMFILE, ENFILE].contains(number)
            ? ImagingError(
                .outOfMemory, file: path, cause: cause, remedy: "use fewer ranks or threads per node, or raise ulimit",
                systemError: number)
            : ImagingError(
                .unreadable, file: path, cause: cause, remedy: "check the path and its permissions", systemError: number
            )
    }

    private static func unwritable(_ path: String, _ cause: String) -> ImagingError {
        ImagingError(.unwritable, file: path, cause: cause, remedy: "check the folder and its permissions")
    }

    private static func writeError(_ path: String, _ what: String) -> ImagingError {
        let isFull = errno == ENOSPC || errno == EDQUOT
        let cause = "\(what) (\(lastError()))"
        return isFull
            ? ImagingError(.diskFull, file: path, cause: cause, remedy: "free space or choose another folder")
            : unwritable(path, cause)
    }
}
