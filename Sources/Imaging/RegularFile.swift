import Glibc

/// Reads and writes whole regular files with plain system calls.
enum RegularFile {
    /// Reads a file, or its first `count` bytes; anything but a regular file within the limits is an error, as is a
    /// symbolic link that must not be followed.
    static func read(
        _ path: String, limits: ImageLimits, atMost count: Int = .max, followingLinks: Bool = true
    ) throws -> [UInt8] {
        guard !path.utf8.contains(0) else { throw unreadable(path, "the path contains a zero byte") }
        // Without O_NONBLOCK, opening a FIFO would wait for a writer.
        let flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | (followingLinks ? 0 : O_NOFOLLOW)
        let descriptor = retrying { open(path, flags) }
        guard descriptor >= 0 else { throw readError(path, "it cannot be opened") }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw readError(path, "it cannot be examined") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw unreadable(path, "it is not a regular file") }
        let size = Int(status.st_size)
        guard size <= limits.fileBytes else {
            throw ImagingError(
                .overLimit, file: path, cause: "\(size) bytes exceed the limit of \(limits.fileBytes) bytes per file",
                remedy: "compress, downscale or tile the image")
        }
        var failure: ImagingError?
        let bytes = [UInt8](unsafeUninitializedCapacity: min(size, count)) { buffer, filled in
            while filled < buffer.count {
                let step = retrying { Glibc.read(descriptor, buffer.baseAddress! + filled, buffer.count - filled) }
                if step < 0 { failure = readError(path, "reading failed") }
                if step <= 0 { break }  // 0: the file shrank; the decoder will find it truncated
                filled += step
            }
        }
        if let failure { throw failure }
        return bytes
    }

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
    private static func retrying<Result: SignedInteger>(_ call: () -> Result) -> Result {
        while true {
            let result = call()
            if result != -1 || errno != EINTR { return result }
        }
    }

    private static func lastError() -> String { String(cString: strerror(errno)) }

    private static func unreadable(_ path: String, _ cause: String) -> ImagingError {
        ImagingError(.unreadable, file: path, cause: cause, remedy: "check the path and its permissions")
    }

    /// The error of a system call; a lack of memory or descriptors is not blamed on the file.
    private static func readError(_ path: String, _ what: String) -> ImagingError {
        let number = errno
        let cause = "\(what) (\(lastError()))"
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
