import Foundation

/// An append-only file, one whole line per `write(2)`.
///
/// Appends to a regular file are atomic between processes on a local file system; a line that does not fit on the disk
/// leaves nothing behind. The file is never reached through a link.
package final class AppendFile: Sendable {
    package let path: String
    private let descriptor: Int32
    private let ownsDescriptor: Bool
    private let mayWrite: @Sendable () -> Bool
    /// The descriptor's reader, if it has one.
    private let stream: ReaderStream?

    /// Opens a file for appending, creating it if necessary; terminates an incomplete last line of an earlier, killed
    /// run.
    ///
    /// - Parameter mayWrite: False once the file may be another run's; from then on, lines are dropped in silence.
    package init(path: String, mayWrite: @escaping @Sendable () -> Bool = { true }) throws(TelemetryError) {
        descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o644)
        (self.path, self.mayWrite) = (path, mayWrite)
        ownsDescriptor = true
        stream = nil
        guard descriptor >= 0 else { throw TelemetryError(operation: .open, path: path, systemError: errno) }
        var last: UInt8 = 0
        let size = lseek(descriptor, 0, SEEK_END)
        if size > 0, pread(descriptor, &last, 1, size - 1) == 1, last != UInt8(ascii: "\n") {
            try append([UInt8(ascii: "\n")])
        }
    }

    /// Writes to a descriptor that the caller opens and closes. The reader of a pipe, terminal or socket is not waited
    /// for longer than a second: then a line fails with `EAGAIN`.
    package init(descriptor: Int32, name: String) {
        path = name
        self.descriptor = descriptor
        ownsDescriptor = false
        mayWrite = { true }
        stream = ReaderStream(descriptor)
    }

    deinit { if ownsDescriptor { close(descriptor) } }

    /// True if nothing has been written to the file yet.
    package var isEmpty: Bool { lseek(descriptor, 0, SEEK_END) == 0 }

    /// Appends bytes with one system call, unless the system writes them in parts.
    package func append(_ bytes: [UInt8]) throws(TelemetryError) {
        guard mayWrite() else { return }
        if let stream {
            guard let error = stream.append(bytes) else { return }
            throw TelemetryError(operation: .write, path: path, systemError: error)
        }
        let sizeBefore = ownsDescriptor ? lseek(descriptor, 0, SEEK_END) : -1
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                written += count
            } else if count == 0 || errno != EINTR {
                let error = count == 0 ? EIO : errno
                if written > 0, sizeBefore >= 0 { ftruncate(descriptor, sizeBefore) }
                throw TelemetryError(operation: .write, path: path, systemError: error)
            }
        }
    }
}
