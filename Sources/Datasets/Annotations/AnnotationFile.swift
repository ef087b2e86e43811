import Glibc
import Imaging

/// A text file that is read in pieces, also by several threads concurrently.
///
/// It is read, not mapped: a file that shrinks meanwhile is then a fault instead of a signal.
final class AnnotationFile: Sendable {
    /// The path under which it was opened.
    let path: String
    /// Its size in bytes when it was opened.
    let size: Int
    private let file: OpenedFile

    /// Opens a regular file. Throws `AnnotationFault`.
    convenience init(_ path: String) throws(AnnotationFault) {
        do {
            self.init(try OpenedFile(path))
        } catch {
            throw AnnotationFault(file: path, .unreadable, (error as? ImagingError)?.cause ?? "\(error)")
        }
    }

    /// A file that was opened for reading.
    init(_ file: OpenedFile) {
        self.file = file
        (path, size) = (file.path, Int(file.status.st_size))
    }

    /// Reads bytes at an offset of the file and returns their number; fewer than requested only at its end.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(AnnotationFault) -> Int {
        var filled = 0
        while filled < buffer.count {
            let step = pread(
                file.descriptor, buffer.baseAddress! + filled, buffer.count - filled, off_t(offset + filled))
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
            fstat(file.descriptor, &status) == 0 && Int(status.st_size) == size
            && status.st_mtim.tv_sec == file.status.st_mtim.tv_sec
            && status.st_mtim.tv_nsec == file.status.st_mtim.tv_nsec
        guard isSame else { throw AnnotationFault(file: path, .unreadable, "it was changed while it was in use") }
    }
}
