package import Glibc

/// A regular file that is open for reading: whatever happens to its path meanwhile, its bytes are those of one file.
package final class OpenedFile: Sendable {
    /// The path for errors.
    package let path: String
    /// The descriptor, closed with this object.
    package let descriptor: Int32
    /// Facts of the file when it was opened.
    package let status: stat

    /// Opens a regular file. Throws `ImagingError`, also for a symbolic link that must not be followed.
    package convenience init(_ path: String, followingLinks: Bool = true) throws {
        guard !path.utf8.contains(0) else { throw RegularFile.unreadable(path, "the path contains a zero byte") }
        // Without O_NONBLOCK, opening a pipe would wait for a writer.
        let flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | (followingLinks ? 0 : O_NOFOLLOW)
        let descriptor = RegularFile.retrying { open(path, flags) }
        guard descriptor >= 0 else { throw RegularFile.readError(path, "it cannot be opened") }
        try self.init(descriptor: descriptor, path: path)
    }

    /// Takes over an open descriptor, also if it throws: `ImagingError` for anything but a regular file.
    package init(descriptor: Int32, path: String) throws {
        (self.descriptor, self.path) = (descriptor, path)
        var found = stat()
        let result = fstat(descriptor, &found)
        status = found
        guard result == 0 else { throw RegularFile.readError(path, "it cannot be examined") }
        guard found.st_mode & S_IFMT == S_IFREG else { throw RegularFile.unreadable(path, "it is not a regular file") }
    }

    deinit { close(descriptor) }

    /// The bytes of the file, or the first `count` of them. Throws `ImagingError`, also over the limits.
    func bytes(limits: ImageLimits, atMost count: Int = .max) throws -> [UInt8] {
        let size = Int(status.st_size)
        guard size <= limits.fileBytes else {
            throw ImagingError(
                .overLimit, file: path, cause: "\(size) bytes exceed the limit of \(limits.fileBytes) bytes per file",
                remedy: "compress, downscale or tile the image")
        }
        var failure: ImagingError?
        let bytes = [UInt8](unsafeUninitializedCapacity: min(size, count)) { buffer, filled in
            while filled < buffer.count {
                let step = RegularFile.retrying {
                    pread(descriptor, buffer.baseAddress! + filled, buffer.count - filled, off_t(filled))
                }
                if step < 0 { failure = RegularFile.readError(path, "reading failed") }
                if step <= 0 { break }  // 0: the file shrank; the decoder will find it truncated
                filled += step
            }
        }
        if let failure { throw failure }
        return bytes
    }
}
