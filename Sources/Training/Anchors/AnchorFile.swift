import Glibc
import Synchronization
package import Tensors
import WeightFiles

// One file per node, mapped by its ranks; unnamed, unless it is to be kept.
//
//   0      "KEDGEANC", version, slots, floats per place, places; at 64 the number of places allocated
//   4096   128 bytes per slot: state, at 8 the place, at 32 the key, at 64 the SHA-256 of key and payload
//   ...    places of whole pages each, allocated in order
//
// Every (image, mirroring) has a slot; a slot is assigned the next place when first filled, so the file holds as many
// payloads as fit and no more. A slot's state changes 0 empty -> 1 being written -> 2 ready by compare-and-exchange in
// the mapped header, so ranks never wait for each other: a rank that loses the race leaves the slot alone. Payloads are
// written with pwrite, which reports a full disk, and read with pread, which reports a file that was cut; either would
// end the process in a mapping.

/// The slots of embeddings shared by the ranks of a node.
package final class AnchorFile: @unchecked Sendable {
    /// The identity of a slot's content: a SHA-256.
    package typealias Key = [UInt8]

    /// The outcome of a request to store an embedding.
    package enum Keeping: Equatable { case kept, alreadyThere, full, failed(String) }

    let slots: Int
    let floats: Int
    /// Number of embeddings that fit.
    let places: Int
    private let descriptor: Int32
    private let header: UnsafeMutableRawPointer
    private let headerBytes: Int
    private let payloadStride: Int
    /// True for a file of an earlier run, whose payloads are verified against their digests.
    private let verifies: Bool

    private static let magic: [UInt8] = Array("KEDGEANC".utf8)
    private static let version: UInt64 = 2
    private static let page = 4096
    private static let entryBytes = 128

    /// Opens a file formatted for this number of slots.
    package init(descriptor: Int32, slots: Int, floats: Int, verifies: Bool) throws(AnchorFault) {
        (self.slots, self.floats, self.verifies) = (slots, floats, verifies)
        places = try Self.places(descriptor, slots: slots, floats: floats)
        (headerBytes, payloadStride) = (Self.headerBytes(slots), Self.payloadStride(floats))
        guard let header = mmap(nil, headerBytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
            header != MAP_FAILED
        else { throw AnchorFault("its file cannot be mapped: \(errorText())") }
        self.descriptor = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard self.descriptor >= 0 else {
            munmap(header, headerBytes)
            throw AnchorFault("its file cannot be kept open: \(errorText())")
        }
        self.header = header
    }

    deinit {
        close(descriptor)
        munmap(header, headerBytes)
    }

    private static func headerBytes(_ slots: Int) -> Int { (page + slots * entryBytes + page - 1) / page * page }
    private static func payloadStride(_ floats: Int) -> Int { (4 * floats + page - 1) / page * page }

    /// Sets the length of a file and writes its header; only the header occupies space.
    package static func format(_ descriptor: Int32, slots: Int, floats: Int, places: Int) throws(AnchorFault) {
        let bytes = headerBytes(slots)
        guard ftruncate(descriptor, 0) == 0,
            ftruncate(descriptor, off_t(bytes + places * payloadStride(floats))) == 0
        else { throw AnchorFault("its file cannot be sized: \(errorText())") }
        var code = posix_fallocate(descriptor, 0, off_t(bytes))
        while code == EINTR { code = posix_fallocate(descriptor, 0, off_t(bytes)) }
        guard code == 0 else { throw AnchorFault("its file cannot be allocated: \(String(cString: strerror(code)))") }
        let first = preamble(slots, floats, places)
        guard pwrite(descriptor, first, first.count, 0) == first.count else {
            throw AnchorFault("its file cannot be written: \(errorText())")
        }
    }

    /// True if a file of an earlier run has this shape.
    static func isFormatted(_ descriptor: Int32, slots: Int, floats: Int) -> Bool {
        (try? places(descriptor, slots: slots, floats: floats)) != nil
    }

    /// The number of places of a file whose header and length agree.
    private static func places(_ descriptor: Int32, slots: Int, floats: Int) throws(AnchorFault) -> Int {
        var found = [UInt8](repeating: 0, count: 40)
        var status = stat()
        guard pread(descriptor, &found, 40, 0) == 40, fstat(descriptor, &status) == 0 else {
            throw AnchorFault("its file cannot be read: \(errorText())")
        }
        let places = found[32..<40].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        guard places > 0, places <= UInt64(slots), found == preamble(slots, floats, Int(places)),
            Int(status.st_size) == headerBytes(slots) + Int(places) * payloadStride(floats)
        else { throw AnchorFault("its file has another shape") }
        return Int(places)
    }

    private static func preamble(_ slots: Int, _ floats: Int, _ places: Int) -> [UInt8] {
        magic
            + [version, UInt64(slots), UInt64(floats), UInt64(places)].flatMap { word in
                withUnsafeBytes(of: word.littleEndian) { Array($0) }
            }
    }

    /// Clears slots that a run left while writing, and those of a damaged header whose place is invalid or another
    /// slot's: a later write must not change what is being read. Called by the first rank, before the others open the
    /// file.
    package func recover() {
        var isTaken = [Bool](repeating: false, count: places)
        for slot in 0..<slots {
            let place = place(slot)
            if state(slot).pointee.load(ordering: .relaxed) == 2, isTaken.indices.contains(place), !isTaken[place] {
                isTaken[place] = true
            } else {
                state(slot).pointee.store(0, ordering: .relaxed)
            }
        }
        used.pointee.store(isTaken.lastIndex(of: true).map { $0 + 1 } ?? 0, ordering: .relaxed)
    }

    /// Number of embeddings stored.
    package var count: Int { (0..<slots).count { state($0).pointee.load(ordering: .relaxed) == 2 } }

    /// The embedding of a slot if it is stored under this key. // [floats]
    package func read(_ slot: Int, _ key: Key) -> Tensor? {
        guard isWhole, state(slot).pointee.load(ordering: .acquiring) == 2, digest(slot, at: 32) == key else {
            return nil
        }
        let place = place(slot)
        guard place >= 0, place < places else { return nil }
        var tensor = Tensor(uninitialized: [floats])
        let payload = UnsafeMutableRawBufferPointer(start: tensor.mutablePointer, count: 4 * floats)
        guard readAll(payload, at: headerBytes + place * payloadStride) else { return nil }
        if verifies, seal(key, UnsafeRawBufferPointer(payload)) != digest(slot, at: 64) { return nil }
        return tensor
    }

    /// False if another process has cut a kept file: touching the missing pages of the header would end this process.
    private var isWhole: Bool {
        guard verifies else { return true }
        var status = stat()
        return fstat(descriptor, &status) == 0 && Int(status.st_size) >= headerBytes
    }

    private func readAll(_ bytes: UnsafeMutableRawBufferPointer, at offset: Int) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = pread(
                descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(offset + done))
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }

    /// Fills a slot unless it is filled or being filled, or all places are allocated.
    package func write(_ slot: Int, _ key: Key, _ embedding: Tensor) -> Keeping {
        precondition(embedding.count == floats, "an embedding of \(embedding.count) floats for places of \(floats)")
        guard isWhole else { return .failed("its file was cut by another process") }
        let state = state(slot)
        let before = state.pointee.load(ordering: .acquiring)
        if before == 1 || before == 2 && digest(slot, at: 32) == key && !verifies { return .alreadyThere }
        guard state.pointee.compareExchange(expected: before, desired: 1, ordering: .acquiring).exchanged else {
            return .alreadyThere
        }
        // A slot that was filled before keeps its place.
        let isNew = before == 0
        if isNew {
            let next = used.pointee.wrappingAdd(1, ordering: .relaxed).oldValue
            guard next >= 0, next < places else {
                state.pointee.store(0, ordering: .releasing)
                return .full
            }
            setPlace(slot, next)
        }
        let payload = UnsafeRawBufferPointer(start: embedding.pointer, count: 4 * floats)
        defer { withExtendedLifetime(embedding) {} }
        guard writeAll(payload, at: headerBytes + place(slot) * payloadStride) else {
            let reason = errorText()
            // The place is lost to this store; a rank that cannot write stops trying.
            state.pointee.store(0, ordering: .releasing)
            return .failed(reason)
        }
        entry(slot).advanced(by: 32).copyMemory(from: key, byteCount: 32)
        if verifies { entry(slot).advanced(by: 64).copyMemory(from: seal(key, payload), byteCount: 32) }
        state.pointee.store(2, ordering: .releasing)
        return .kept
    }

    private func seal(_ key: Key, _ payload: UnsafeRawBufferPointer) -> [UInt8] {
        key.withUnsafeBytes { sha256([$0, payload]) }
    }

    private func place(_ slot: Int) -> Int { entry(slot).load(fromByteOffset: 8, as: Int.self) }

    private func setPlace(_ slot: Int, _ place: Int) {
        entry(slot).storeBytes(of: place, toByteOffset: 8, as: Int.self)
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

/// The reason why a node runs without a store.
package struct AnchorFault: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}

/// The system's message for the last failed call.
func errorText() -> String { String(cString: strerror(errno)) }

/// SHA-256 of several pieces of memory, concatenated.
func sha256(_ pieces: [UnsafeRawBufferPointer]) -> [UInt8] {
    let digest = SHA256Digest()
    for piece in pieces { digest.update(piece) }
    return digest.finish()
}
