import Glibc
import Imaging
import Synchronization

/// A text file that is read in pieces, also by several threads concurrently.
///
/// It is read, not mapped: a file that shrinks meanwhile is then a fault instead of a signal.
final class AnnotationFile: Sendable {
    /// The path under which it was opened.
    let path: String
    /// Its size in bytes when it was opened.
    let size: Int
    /// The offset of its text, which is behind a byte order mark if there is one.
    let textStart: Int
    private let file: OpenedFile
    /// A digest of the whole file, for one that stays open.
    private let content = Mutex<UInt64?>(nil)

    /// Opens a regular file. Throws `AnnotationFault`.
    convenience init(_ path: String) throws(AnnotationFault) {
        let file: OpenedFile
        do {
            file = try OpenedFile(path)
        } catch {
            throw AnnotationFault(file: path, .unreadable, (error as? ImagingError)?.cause ?? "\(error)")
        }
        try self.init(file)
    }

    /// A file that was opened for reading. Throws `AnnotationFault` if its text is UTF-16.
    init(_ file: OpenedFile) throws(AnnotationFault) {
        self.file = file
        (path, size) = (file.path, Int(file.status.st_size))
        var mark: [UInt8] = [0, 0, 0]
        let count = pread(file.descriptor, &mark, mark.count, 0)
        textStart = count == 3 && mark == [0xef, 0xbb, 0xbf] ? 3 : 0
        if count >= 2, [[0xff, 0xfe], [0xfe, 0xff]].contains(Array(mark.prefix(2))) {
            throw AnnotationFault(
                file: path, offset: 0, .text, "the text is UTF-16 by its byte order mark; save the file as UTF-8")
        }
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

    /// Notes the content, so that `checkUnchanged` can tell a touch from a change.
    func noteContent() {
        let digest = FileContent(file.descriptor, size: size, isImage: false).digest
        content.withLock { $0 = digest }
    }

    /// Throws `AnnotationFault` if the file was modified since it was opened, so that stored offsets are invalid.
    func checkUnchanged() throws(AnnotationFault) {
        var status = stat()
        let isSame =
            fstat(file.descriptor, &status) == 0 && Int(status.st_size) == size
            && status.st_mtim.tv_sec == file.status.st_mtim.tv_sec
            && status.st_mtim.tv_nsec == file.status.st_mtim.tv_nsec
        if !isSame, Int(status.st_size) == size, let old = content.withLock({ $0 }),
            FileContent(file.descriptor, size: size, isImage: false).digest == old
        {
            return
        }
        guard isSame else { throw AnnotationFault(file: path, .unreadable, "it was changed while it was in use") }
    }
}
