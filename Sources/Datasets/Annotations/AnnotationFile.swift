import Glibc

/// A text file that is read in pieces, also by several threads concurrently.
///
/// It is read, not mapped: a file that shrinks meanwhile is then a fault instead of a signal.
final class AnnotationFile: Sendable {
    /// The path under which it was opened.
    let path: String
    /// Its size in bytes when it was opened.
    let size: Int
    private let descriptor: Int32
    private let changed: timespec

    /// Opens a regular file. Throws `AnnotationFault`.
    init(_ path: String) throws(AnnotationFault) {
        func unreadable(_ cause: String) -> AnnotationFault { AnnotationFault(file: path, .unreadable, cause) }
        guard !path.utf8.contains(0) else { throw unreadable("the path contains a zero byte") }
        // Without O_NONBLOCK, opening a pipe would wait for a writer.
        descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw unreadable("it cannot be opened (\(String(cString: strerror(errno))))")
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw unreadable("it is not a regular file")
        }
        self.path = path
        size = Int(status.st_size)
        changed = status.st_mtim
    }

    deinit { close(descriptor) }

    /// Reads bytes at an offset of the file and returns their number; fewer than requested only at its end.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(AnnotationFault) -> Int {
        var filled = 0
        while filled < buffer.count {
            let step = pread(descriptor, buffer.baseAddress! + filled, buffer.count - filled, off_t(offset + filled))
            if step < 0, errno == EINTR { continue }
            guard step >= 0 else {
                throw AnnotationFault(
                    file: path, offset: offset + filled, .unreadable,
                    "reading failed (\(String(cString: strerror(errno))))")
            }
            if step == 0 { break }
            filled += step
        }
        return filled
    }

    /// Throws `AnnotationFault` if the file was modified since it was opened, so that stored offsets are invalid.
    func checkUnchanged() throws(AnnotationFault) {
        var status = stat()
        let isSame =
            fstat(descriptor, &status) == 0 && Int(status.st_size) == size && status.st_mtim.tv_sec == changed.tv_sec
            && status.st_mtim.tv_nsec == changed.tv_nsec
        guard isSame else { throw AnnotationFault(file: path, .unreadable, "it was changed while it was in use") }
    }
}
