import Glibc
import Synchronization
import Tensors
import WeightFiles

// One file per node, mapped by its ranks; without a name, unless it is to be kept.
//
//   0      "KEDGEANC", version, slots, floats per slot; at 64 the number of slots in use
//   4096   128 bytes per slot: state, at 32 the key, at 64 the SHA-256 of the payload
//   ...    payloads, each of whole pages; the file is sparse, an empty slot takes no room
//
// A slot's state goes 0 empty -> 1 being written -> 2 ready by compare-and-exchange in the mapped header, so ranks never
// wait for each other: who loses the race leaves the slot alone. Payloads are written with pwrite, which reports a full
// disk where a write to a mapping would end the process.

/// The slots of embeddings that the ranks of a node share.
final class AnchorFile: @unchecked Sendable {
    /// What a slot is known by: a SHA-256.
    typealias Key = [UInt8]

    /// What became of a request to keep an embedding.
    enum Keeping: Equatable { case kept, alreadyThere, full, failed(String) }

    let slots: Int
    let floats: Int
    private let descriptor: Int32
    private let header: UnsafeMutableRawPointer
    private let headerBytes: Int
    private let payloads: UnsafeRawPointer
    private let payloadStride: Int
    /// True for a file of an earlier run, whose payloads are compared with their digests.
    private let verifies: Bool

    private static let magic: [UInt8] = Array("KEDGEANC".utf8)
    private static let version: UInt64 = 1
    private static let page = 4096
    private static let entryBytes = 128

    /// Opens a file of this shape that has been sized.
    init(descriptor: Int32, slots: Int, floats: Int, verifies: Bool) throws(AnchorFault) {
        (self.slots, self.floats, self.verifies) = (slots, floats, verifies)
        (headerBytes, payloadStride) = (Self.headerBytes(slots), Self.payloadStride(floats))
        let total = headerBytes + slots * payloadStride
        guard let header = mmap(nil, headerBytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
            header != MAP_FAILED
        else { throw AnchorFault("its file cannot be mapped: \(errorText())") }
        guard let all = mmap(nil, total, PROT_READ, MAP_SHARED, descriptor, 0), all != MAP_FAILED else {
            munmap(header, headerBytes)
            throw AnchorFault("its file cannot be mapped: \(errorText())")
        }
        self.header = header
        payloads = UnsafeRawPointer(all)
        self.descriptor = dup(descriptor)
    }

    deinit {
        close(descriptor)
        munmap(header, headerBytes)
        munmap(UnsafeMutableRawPointer(mutating: payloads), headerBytes + slots * payloadStride)
    }

    private static func headerBytes(_ slots: Int) -> Int { (page + slots * entryBytes + page - 1) / page * page }
    private static func payloadStride(_ floats: Int) -> Int { (4 * floats + page - 1) / page * page }

    /// Gives an empty file its length and header; only the header takes room.
    static func format(_ descriptor: Int32, slots: Int, floats: Int) throws(AnchorFault) {
        let bytes = headerBytes(slots)
        guard ftruncate(descriptor, 0) == 0,
            ftruncate(descriptor, off_t(bytes + slots * payloadStride(floats))) == 0
        else { throw AnchorFault("its file cannot be sized: \(errorText())") }
        let code = posix_fallocate(descriptor, 0, off_t(bytes))
        guard code == 0 else { throw AnchorFault("its file cannot be made: \(String(cString: strerror(code)))") }
        let first = preamble(slots, floats)
        guard pwrite(descriptor, first, first.count, 0) == first.count else {
            throw AnchorFault("its file cannot be written: \(errorText())")
        }
    }

    /// True if a file of an earlier run has this shape.
    static func isFormatted(_ descriptor: Int32, slots: Int, floats: Int) -> Bool {
        var found = [UInt8](repeating: 0, count: 32)
        var status = stat()
        return pread(descriptor, &found, 32, 0) == 32 && found == preamble(slots, floats)
            && fstat(descriptor, &status) == 0
            && Int(status.st_size) == headerBytes(slots) + slots * payloadStride(floats)
    }

    private static func preamble(_ slots: Int, _ floats: Int) -> [UInt8] {
        magic
            + [version, UInt64(slots), UInt64(floats)].flatMap { word in
                withUnsafeBytes(of: word.littleEndian) { Array($0) }
            }
    }

    /// Empties slots that a run left while it was writing, and counts the others. For the first rank, before the others
    /// open the file.
    func recover() {
        var ready = 0
        for slot in 0..<slots {
            if state(slot).pointee.load(ordering: .relaxed) == 2 {
                ready += 1
            } else {
                state(slot).pointee.store(0, ordering: .relaxed)
            }
        }
        used.pointee.store(ready, ordering: .releasing)
    }

    /// Slots in use.
    var count: Int { used.pointee.load(ordering: .relaxed) }

    /// The embedding of a slot if it is there under this key. // [floats]
    func read(_ slot: Int, _ key: Key) -> Tensor? {
        guard state(slot).pointee.load(ordering: .acquiring) == 2, digest(slot, at: 32) == key else { return nil }
        let start = payloads + headerBytes + slot * payloadStride
        if verifies, sha256([UnsafeRawBufferPointer(start: start, count: 4 * floats)]) != digest(slot, at: 64) {
            return nil
        }
        let storage = TensorStorage(borrowing: start.assumingMemoryBound(to: Float.self), count: floats) { [self] in
            withExtendedLifetime(self) {}
        }
        return Tensor(viewing: storage, offset: 0, shape: [floats])
    }

    /// Fills a slot unless it is filled or being filled, or `limit` slots are in use.
    func write(_ slot: Int, _ key: Key, _ embedding: Tensor, limit: Int) -> Keeping {
        precondition(embedding.count == floats, "an embedding of \(embedding.count) floats for slots of \(floats)")
        let state = state(slot)
        let before = state.pointee.load(ordering: .acquiring)
        if before == 1 || before == 2 && digest(slot, at: 32) == key && !verifies { return .alreadyThere }
        if before == 0, used.pointee.wrappingAdd(1, ordering: .relaxed).newValue > limit {
            used.pointee.wrappingSubtract(1, ordering: .relaxed)
            return .full
        }
        guard state.pointee.compareExchange(expected: before, desired: 1, ordering: .acquiring).exchanged else {
            if before == 0 { used.pointee.wrappingSubtract(1, ordering: .relaxed) }
            return .alreadyThere
        }
        let payload = UnsafeRawBufferPointer(start: embedding.pointer, count: 4 * floats)
        guard writeAll(payload, at: headerBytes + slot * payloadStride) else {
            let reason = errorText()
            used.pointee.wrappingSubtract(1, ordering: .relaxed)
            state.pointee.store(0, ordering: .releasing)
            return .failed(reason)
        }
        entry(slot).advanced(by: 32).copyMemory(from: key, byteCount: 32)
        if verifies { entry(slot).advanced(by: 64).copyMemory(from: sha256([payload]), byteCount: 32) }
        state.pointee.store(2, ordering: .releasing)
        return .kept
    }

    private func writeAll(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = pwrite(
                descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(offset + done))
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }

    private func entry(_ slot: Int) -> UnsafeMutableRawPointer { header + Self.page + slot * Self.entryBytes }

    private func state(_ slot: Int) -> UnsafeMutablePointer<Atomic<Int>> {
        entry(slot).assumingMemoryBound(to: Atomic<Int>.self)
    }

    private var used: UnsafeMutablePointer<Atomic<Int>> {
        (header + 64).assumingMemoryBound(to: Atomic<Int>.self)
    }

    private func digest(_ slot: Int, at offset: Int) -> [UInt8] {
        Array(UnsafeRawBufferPointer(start: entry(slot) + offset, count: 32))
    }
}

/// Why a node runs without a store.
struct AnchorFault: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}

/// What the system says about the last failed call.
func errorText() -> String { String(cString: strerror(errno)) }

/// SHA-256 of some pieces of memory, one after the other.
func sha256(_ pieces: [UnsafeRawBufferPointer]) -> [UInt8] {
    let digest = SHA256Digest()
    for piece in pieces { digest.update(piece) }
    return digest.finish()
}
