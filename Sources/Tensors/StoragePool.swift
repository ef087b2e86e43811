import Glibc
import Machine
import Synchronization

/// The memory of all tensors of a process: freed blocks are reused by later tensors, and the footprint stays at the
/// maximum ever in use simultaneously.
///
/// Small blocks are kept by size for ever. Large ones are mapped from the system in multiples of the page size, advised
/// to use huge pages; a request takes the smallest free block that is at most a quarter larger. If there is none, free
/// blocks are returned to the system until the new one fits below the high-water mark of the bytes in use. So a
/// repeated step needs no more memory than its peak, and mostly touches pages it has touched before.
public final class StoragePool: Sendable {
    /// The pool of this process.
    public static let shared = StoragePool()
    /// If set, the pool of tensors created by the current task, instead of the shared one; for rehearsals.
    @TaskLocal package static var rehearsal: StoragePool?

    /// A block of the pool's memory.
    package struct Block: @unchecked Sendable {
        package let start: UnsafeMutableRawPointer
        package let bytes: Int
    }

    /// The memory of a pool, in bytes.
    public struct Figures: Sendable, Equatable {
        /// In blocks held by tensors.
        public internal(set) var live = 0
        /// In free blocks.
        public internal(set) var retained = 0
        /// The largest value of `live` so far.
        public internal(set) var peakLive = 0
        /// The largest sum of `live` and `retained` so far: the process's need for tensors.
        public internal(set) var peak = 0
    }

    fileprivate struct State: ~Copyable {
        var figures = Figures()
        /// Free small blocks by size.
        var small: [Int: [UInt]] = [:]
        /// Free large blocks, ascending by size.
        var large: [(bytes: Int, address: UInt)] = []
    }
    private let state = Mutex(State())

    /// Blocks of at least this size are mapped individually and can be returned to the system.
    static let largeBytes = 1 << 18
    private static let hugePage = 2 << 20

    /// Creates an empty pool.
    package init() {}

    /// Returns all blocks; every tensor holds its pool, so none is in use.
    deinit {
        trim()
        state.withLock { state in
            for address in state.small.values.joined() { UnsafeMutableRawPointer(bitPattern: address)?.deallocate() }
        }
    }

    /// The memory held now and the peaks so far.
    public var figures: Figures { state.withLock { $0.figures } }

    /// Restarts both peaks from the memory held now.
    public func resetPeaks() {
        state.withLock {
            $0.figures.peakLive = $0.figures.live
            $0.figures.peak = $0.figures.live + $0.figures.retained
        }
    }

    /// Returns all free large blocks to the system.
    public func trim() {
        let blocks = state.withLock { state in
            defer { state.large = [] }
            for block in state.large { state.figures.retained -= block.bytes }
            return state.large
        }
        blocks.forEach(Self.unmap)
    }

    /// A block for `floats` numbers; its contents are undefined.
    package func take(floats: Int) -> Block {
        let bytes = Self.blockBytes(floats: floats)
        guard bytes >= Self.largeBytes else { return takeSmall(bytes) }
        let (reused, evicted) = state.withLock { state in
            let reused = state.reuseLarge(bytes)
            let evicted = reused == nil ? state.evict(for: bytes) : []
            state.count(reused?.bytes ?? bytes)
            return (reused, evicted)
        }
        evicted.forEach(Self.unmap)
        if let reused, let start = UnsafeMutableRawPointer(bitPattern: reused.address) {
            return Block(start: start, bytes: reused.bytes)
        }
        return Block(start: map(bytes), bytes: bytes)
    }

    /// Returns a block to the pool.
    package func give(_ block: Block) {
        state.withLock { state in
            state.figures.live -= block.bytes
            state.figures.retained += block.bytes
            let address = UInt(bitPattern: block.start)
            if block.bytes < Self.largeBytes {
                state.small[block.bytes, default: []].append(address)
            } else {
                state.large.insert((block.bytes, address), at: state.firstLarge(atLeast: block.bytes))
            }
        }
    }

    private func takeSmall(_ bytes: Int) -> Block {
        let reused = state.withLock { state -> UInt? in
            let address = state.small[bytes]?.popLast()
            if address != nil { state.figures.retained -= bytes }
            state.count(bytes)
            return address
        }
        if let reused, let start = UnsafeMutableRawPointer(bitPattern: reused) {
            return Block(start: start, bytes: bytes)
        }
        return Block(start: .allocate(byteCount: bytes, alignment: 64), bytes: bytes)
    }

    /// The bytes reserved for `floats` numbers: one of eight sizes per power of two (at most 12.5 % more), whole pages
    /// for large blocks.
    static func blockBytes(floats: Int) -> Int {
        let bytes = max(floats * MemoryLayout<Float>.stride, 64)
        let step = max((1 << (Int.bitWidth - 1 - bytes.leadingZeroBitCount)) / 8, 64)
        return (bytes + step - 1) / step * step
    }

    /// Fresh memory from the system. Running out ends the process, like any failed allocation in Swift.
    private func map(_ bytes: Int) -> UnsafeMutableRawPointer {
        if let block = Self.mapped(bytes) { return block }
        trim()
        if let block = Self.mapped(bytes) { return block }
        MemoryExhaustion.end(bytes: bytes)
    }

    private static func mapped(_ bytes: Int) -> UnsafeMutableRawPointer? {
        // Huge pages back only whole aligned ones, so large blocks start at a huge-page boundary.
        let alignment = bytes >= hugePage ? hugePage : 4096
        guard
            let reserved = mmap(
                nil, bytes + alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
            reserved != MAP_FAILED
        else { return nil }
        let head = (alignment - Int(bitPattern: reserved) % alignment) % alignment
        let start = reserved + head
        if head > 0 { munmap(reserved, head) }
        if alignment > head { munmap(start + bytes, alignment - head) }
        if bytes >= hugePage { madvise(start, bytes, MADV_HUGEPAGE) }
        return start
    }

    private static func unmap(_ block: (bytes: Int, address: UInt)) {
        if let start = UnsafeMutableRawPointer(bitPattern: block.address) { munmap(start, block.bytes) }
    }
}

extension StoragePool.State {
    /// Counts a block that has just been taken.
    mutating func count(_ bytes: Int) {
        figures.live += bytes
        figures.peakLive = max(figures.peakLive, figures.live)
        figures.peak = max(figures.peak, figures.live + figures.retained)
    }

    /// The index of the first free large block of at least this size.
    func firstLarge(atLeast bytes: Int) -> Int {
        var (low, high) = (0, large.count)
        while low < high {
            let middle = (low + high) / 2
            if large[middle].bytes < bytes { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The smallest free block that fits and wastes at most a fifth of itself.
    mutating func reuseLarge(_ bytes: Int) -> (bytes: Int, address: UInt)? {
        let place = firstLarge(atLeast: bytes)
        guard place < large.count, large[place].bytes <= bytes + bytes / 4 else { return nil }
        figures.retained -= large[place].bytes
        return large.remove(at: place)
    }

    /// Free blocks to return to the system so that a new block stays below the high-water mark of the bytes in use.
    mutating func evict(for bytes: Int) -> [(bytes: Int, address: UInt)] {
        let limit = max(figures.peakLive, figures.live + bytes)
        var evicted: [(bytes: Int, address: UInt)] = []
        while !large.isEmpty, figures.live + figures.retained + bytes > limit {
            // The smallest sufficient block, else the largest one and then another.
            let excess = figures.live + figures.retained + bytes - limit
            let block = large.remove(at: min(firstLarge(atLeast: excess), large.count - 1))
            figures.retained -= block.bytes
            evicted.append(block)
        }
        return evicted
    }
}
