import Synchronization

/// A block of floats that tensors share: owned by the process-wide `StoragePool`, or borrowed from somebody else's memory.
///
/// Blocks start at 64-byte boundaries. A borrowed block (a mapped file, a shared window) is read-only.
public final class TensorStorage: @unchecked Sendable {
    let base: UnsafeMutablePointer<Float>
    let count: Int
    let isReadOnly: Bool
    private let release: (() -> Void)?

    /// Takes a block of `count` floats from the pool; its contents are undefined.
    init(count: Int) {
        self.count = count
        base = StoragePool.shared.take(floats: count)
        isReadOnly = false
        release = nil
    }

    /// Borrows memory that stays valid until `release` is called from `deinit`.
    public init(borrowing base: UnsafePointer<Float>, count: Int, release: @escaping @Sendable () -> Void) {
        self.base = UnsafeMutablePointer(mutating: base)
        self.count = count
        isReadOnly = true
        self.release = release
    }

    deinit {
        if let release { release() } else { StoragePool.shared.give(base, floats: count) }
    }
}

/// Keeps freed blocks for the next tensor of about the same size, so that a training step touches no fresh page after
/// the first one.
///
/// Sizes are rounded up to one of eight classes per power of two (at most 12.5 % waste). All figures are in bytes.
public final class StoragePool: Sendable {
    /// The pool of this process.
    public static let shared = StoragePool()

    private struct State: ~Copyable {
        var free: [Int: [UInt]] = [:]
        var live = 0
        var retained = 0
        var peak = 0
    }
    private let state = Mutex(State())

    /// Bytes in blocks that tensors hold now.
    public var liveBytes: Int { state.withLock { $0.live } }
    /// Bytes in free blocks kept for reuse.
    public var retainedBytes: Int { state.withLock { $0.retained } }
    /// The largest value of live plus retained bytes so far.
    public var peakBytes: Int { state.withLock { $0.peak } }

    /// Returns all free blocks to the system.
    public func trim() {
        let blocks = state.withLock { state in
            defer {
                state.free = [:]
                state.retained = 0
            }
            return state.free.values.flatMap { $0 }
        }
        for block in blocks { UnsafeMutableRawPointer(bitPattern: block)?.deallocate() }
    }

    /// The bytes set aside for `floats` numbers.
    static func classBytes(floats: Int) -> Int {
        let bytes = max(floats * MemoryLayout<Float>.stride, 64)
        let step = max((1 << (Int.bitWidth - 1 - bytes.leadingZeroBitCount)) / 8, 64)
        return (bytes + step - 1) / step * step
    }

    func take(floats: Int) -> UnsafeMutablePointer<Float> {
        let bytes = Self.classBytes(floats: floats)
        let reused = state.withLock { state -> UInt? in
            state.live += bytes
            let block = state.free[bytes]?.popLast()
            if block != nil { state.retained -= bytes }
            state.peak = max(state.peak, state.live + state.retained)
            return block
        }
        if let reused, let pointer = UnsafeMutableRawPointer(bitPattern: reused) {
            return pointer.assumingMemoryBound(to: Float.self)
        }
        return UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64).bindMemory(
            to: Float.self, capacity: bytes / MemoryLayout<Float>.stride)
    }

    func give(_ base: UnsafeMutablePointer<Float>, floats: Int) {
        let bytes = Self.classBytes(floats: floats)
        state.withLock { state in
            state.live -= bytes
            state.retained += bytes
            state.free[bytes, default: []].append(UInt(bitPattern: base))
        }
    }
}
