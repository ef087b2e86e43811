import Glibc
import Tensors

/// The bytes of a whole file, mapped read-only, or of a block of memory in place of one.
///
/// Tensors over a mapped file keep this object alive. If another process shortens a mapped file, this process ends
/// with SIGBUS; writers that publish by rename, as `SafetensorsFile` does, never do that.
final class FileBytes: @unchecked Sendable {
    let path: String
    let base: UnsafeRawPointer
    let count: Int
    private let unmap: () -> Void

    /// Maps a regular file.
    init(path: String) throws(WeightFileError) {
        func unreadable(_ call: String) -> WeightFileError {
            WeightFileError(
                .fileUnreadable, path: path, found: "\(call): \(String(cString: strerror(errno)))",
                remedy: "check the path and its permissions")
        }
        // O_NONBLOCK: opening a FIFO must not wait for a writer.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw unreadable("open") }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw unreadable("fstat") }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw WeightFileError(
                .regularFile, path: path, found: "this is a folder or a special file",
                remedy: "give the path of the file")
        }
        self.path = path
        let size = Int(status.st_size)
        count = size
        if size == 0 {
            let block = UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 64)
            base = UnsafeRawPointer(block)
            unmap = { block.deallocate() }
            return
        }
        guard let mapped = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), mapped != MAP_FAILED else {
            throw unreadable("mmap")
        }
        base = UnsafeRawPointer(mapped)
        unmap = { munmap(mapped, size) }
    }

    /// Copies bytes as if from a file; `label` replaces the path in errors.
    init(copying bytes: [UInt8], label: String) {
        path = label
        count = bytes.count
        let block = UnsafeMutableRawPointer.allocate(byteCount: max(bytes.count, 1), alignment: 64)
        UnsafeMutableRawBufferPointer(start: block, count: bytes.count).copyBytes(from: bytes)
        base = UnsafeRawPointer(block)
        unmap = { block.deallocate() }
    }

    deinit { unmap() }

    /// Some of the bytes; the range must lie inside the file.
    func bytes(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "bytes \(range) of a file of \(count)")
        return UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count)
    }

    /// A little-endian number at a position that the caller has checked to lie inside the file.
    func number<Value: FixedWidthInteger>(_ type: Value.Type, at offset: Int) -> Value {
        precondition(offset >= 0 && offset + MemoryLayout<Value>.size <= count, "byte \(offset) of a file of \(count)")
        return Value(littleEndian: (base + offset).loadUnaligned(as: Value.self))
    }

    /// A tensor over the bytes at `offset`, which must be a multiple of four in memory.
    func view(offset: Int, shape: Shape) -> Tensor {
        let floats = (base + offset).assumingMemoryBound(to: Float.self)
        let storage = TensorStorage(borrowing: floats, count: shape.count) { withExtendedLifetime(self) {} }
        return Tensor(viewing: storage, offset: 0, shape: shape)
    }
}
