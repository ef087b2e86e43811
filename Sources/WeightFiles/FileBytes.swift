import Glibc
import Synchronization
import Tensors

/// The bytes of a whole file, or of a block of memory in place of one.
///
/// A file is read, never mapped: one that is cut while it is in use is then an error that names it instead of a signal
/// that ends the process. Up to `memoryLimit` bytes are read at once and kept, and tensors are views of them; of
/// larger files, parts are read on request.
package final class FileBytes: @unchecked Sendable {
    /// The path, or a label.
    package let path: String
    /// The length of the file when it was opened.
    package let count: Int
    /// All bytes, if they are kept.
    private let memory: UnsafeMutableRawPointer?
    private let descriptor: Int32
    private let opened: stat
    /// A part of a large file, for the small numbers of its directory.
    private let window = Mutex<(start: Int, bytes: [UInt8])>((0, []))

    /// The largest file that is kept in memory: MobileSAM and adapters fit, the weights of a ViT do not.
    package static let memoryLimit = 128 << 20
    /// Large ranges are read in pieces of so many bytes, which fit the cache.
    private static let piece = 1 << 20
    private static let windowBytes = 4096

    /// Opens a regular file.
    ///
    /// - Parameters:
    ///   - limit: The size up to which the bytes are kept in memory.
    ///   - afterOpening: Called before the first byte is read; for tests.
    package init(
        path: String, keptUpTo limit: Int = memoryLimit, afterOpening: () -> Void = {}
    ) throws(WeightFileError) {
        // O_NONBLOCK: opening a FIFO must not wait for a writer.
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw Self.unreadable(path, "open", errno) }
        var status = stat()
        let result = fstat(descriptor, &status)
        guard result == 0, status.st_mode & S_IFMT == S_IFREG else {
            let number = errno
            close(descriptor)
            if result != 0 { throw Self.unreadable(path, "fstat", number) }
            throw WeightFileError(
                .regularFile, path: path, found: "this is a folder or a special file",
                remedy: "give the path of the file")
        }
        (self.path, opened, count) = (path, status, Int(status.st_size))
        memory = count <= limit ? .allocate(byteCount: max(count, 1), alignment: 64) : nil
        afterOpening()
        if let memory {
            try readFile(0..<count, into: memory)
            try checkUnchanged()
        }
    }

    /// Copies bytes as if from a file; `label` replaces the path in errors.
    init(copying bytes: [UInt8], label: String) {
        (path, count, descriptor, opened) = (label, bytes.count, -1, stat())
        let block = UnsafeMutableRawPointer.allocate(byteCount: max(bytes.count, 1), alignment: 64)
        UnsafeMutableRawBufferPointer(start: block, count: bytes.count).copyBytes(from: bytes)
        memory = block
    }

    deinit {
        memory?.deallocate()
        if descriptor >= 0 { close(descriptor) }
    }

    /// Copies a range, which must lie inside the file, to memory. Throws `unchanged` if the file has become shorter.
    func read(_ range: Range<Int>, into target: UnsafeMutableRawPointer) throws(WeightFileError) {
        check(range)
        if let memory {
            target.copyMemory(from: memory + range.lowerBound, byteCount: range.count)
        } else {
            try readFile(range, into: target)
        }
    }

    /// Calls `body` with the bytes of a range, which must lie inside the file.
    func withBytes<Result>(
        _ range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws(WeightFileError) -> Result
    ) throws(WeightFileError) -> Result {
        try withStart(of: range) { start throws(WeightFileError) in
            try body(UnsafeRawBufferPointer(start: start, count: range.count))
        }
    }

    /// `withBytes` with the address of the first byte, which exists for an empty range too.
    func withStart<Result>(
        of range: Range<Int>, _ body: (UnsafeRawPointer) throws(WeightFileError) -> Result
    ) throws(WeightFileError) -> Result {
        check(range)
        if let memory {
            defer { withExtendedLifetime(self) {} }
            return try body(UnsafeRawPointer(memory + range.lowerBound))
        }
        let copy = UnsafeMutableRawPointer.allocate(byteCount: max(range.count, 1), alignment: 64)
        defer { copy.deallocate() }
        try readFile(range, into: copy)
        return try body(UnsafeRawPointer(copy))
    }

    /// The bytes of a range, which must lie inside the file.
    func bytes(_ range: Range<Int>) throws(WeightFileError) -> [UInt8] {
        try withBytes(range) { Array($0) }
    }

    /// Calls `body` with the bytes of a range in order, in pieces that need little memory.
    func pieces(
        _ range: Range<Int>, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(WeightFileError) {
        var position = range.lowerBound
        while position < range.upperBound {
            let next = min(position + Self.piece, range.upperBound)
            try withBytes(position..<next) { piece throws(WeightFileError) in body(piece) }
            position = next
        }
    }

    /// A little-endian number at a position that the caller has checked to lie inside the file.
    func number<Value: FixedWidthInteger>(_ type: Value.Type, at offset: Int) throws(WeightFileError) -> Value {
        let range = offset..<offset + MemoryLayout<Value>.size
        check(range)
        if let memory { return Value(littleEndian: (memory + offset).loadUnaligned(as: Value.self)) }
        return try window.withLock { window throws(WeightFileError) in
            if offset < window.start || range.upperBound > window.start + window.bytes.count {
                // Directories are searched backwards and read forwards.
                let start = max(0, offset - Self.windowBytes / 2)
                window = (start, try bytes(start..<min(start + Self.windowBytes, count)))
            }
            let place = offset - window.start
            return Value(
                littleEndian: window.bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: place, as: Value.self) })
        }
    }

    /// A tensor over the bytes at `offset`; nil if they are not kept in memory or not aligned for floats.
    func view(offset: Int, shape: Shape) -> Tensor? {
        check(offset..<offset + 4 * shape.count)
        guard let memory, Int(bitPattern: memory + offset) % MemoryLayout<Float>.alignment == 0 else { return nil }
        let floats = UnsafePointer((memory + offset).assumingMemoryBound(to: Float.self))
        let storage = TensorStorage(borrowing: floats, count: shape.count) { withExtendedLifetime(self) {} }
        return Tensor(viewing: storage, offset: 0, shape: shape)
    }

    /// Throws `unchanged` if the file was written to since it was opened, so that parts read before and after differ.
    func checkUnchanged() throws(WeightFileError) {
        guard descriptor >= 0 else { return }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Self.unreadable(path, "fstat", errno) }
        let isSame =
            status.st_size == opened.st_size && status.st_mtim.tv_sec == opened.st_mtim.tv_sec
            && status.st_mtim.tv_nsec == opened.st_mtim.tv_nsec
        guard isSame else { throw changed("it had \(count) bytes at first and has \(status.st_size) now") }
    }

    private func check(_ range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "bytes \(range) of a file of \(count)")
    }

    private func readFile(_ range: Range<Int>, into target: UnsafeMutableRawPointer) throws(WeightFileError) {
        var position = range.lowerBound
        while position < range.upperBound {
            let step = pread(
                descriptor, target + (position - range.lowerBound), range.upperBound - position, off_t(position))
            if step < 0 && errno == EINTR { continue }
            guard step >= 0 else {
                throw WeightFileError(
                    .fileUnreadable, path: path, offset: position, found: "read: \(String(cString: strerror(errno)))",
                    remedy: "check the disk or the file server, or fetch the file again")
            }
            guard step > 0 else { throw changed("it had \(count) bytes at first and ends at byte \(position) now") }
            position += step
        }
    }

    private func changed(_ found: String) -> WeightFileError {
        WeightFileError(
            .unchanged, path: path, found: found,
            remedy: "write it under another name and rename it, or start when it is complete")
    }

    private static func unreadable(_ path: String, _ call: String, _ number: Int32) -> WeightFileError {
        WeightFileError(
            .fileUnreadable, path: path, found: "\(call): \(String(cString: strerror(number)))",
            remedy: "check the path and its permissions")
    }
}
