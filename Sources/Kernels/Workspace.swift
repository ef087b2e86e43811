import Glibc
public import Machine

/// What every kernel gets: the threads to use and scratch memory that is already there.
///
/// One workspace serves one training thread; two threads never share one. Scratch is addressed by (worker, slot), grows
/// to the largest size requested, and is not cleared.
public final class Workspace: @unchecked Sendable {
    /// The threads that kernels spread their tasks over.
    public let pool: ThreadPool

    private struct Block {
        var base: UnsafeMutablePointer<Float>
        var floats: Int
    }
    /// Slots a kernel may use simultaneously in one worker.
    static let slots = 16
    private let blocks: UnsafeMutablePointer<Block>
    private var joint: Block
    private let filling: Float?

    /// Creates a workspace whose threads all run and have the memory to call the BLAS.
    ///
    /// Throws `ResourceShortage` if the system refuses a thread or its buffers.
    public static func start(threads: Int) throws(ResourceShortage) -> Workspace {
        try BLASEnvironment.reserveBuffers(threads: threads)
        let workspace = Workspace(threads: threads)
        if let shortage = workspace.pool.shortage { throw shortage }
        return workspace
    }

    /// Creates a workspace with its own threads; where the system refuses some, the others do their work.
    public convenience init(threads: Int) { self.init(threads: threads, fillingScratchWith: nil) }

    /// Creates a workspace for a rehearsal: kernels allocate as usual and skip their tasks.
    ///
    /// A rehearsed step takes and returns the same tensors as a real one, in the same order, without touching most of
    /// their pages, so `StoragePool.figures` afterwards is what the step will need. Its results are meaningless.
    public convenience init(rehearsing threads: Int) {
        self.init(pool: ThreadPool(threads: threads, isRehearsal: true), fillingScratchWith: nil)
    }

    /// Creates a workspace whose scratch is initialised to `filling`: tests use it to show that no kernel depends on
    /// leftovers in its scratch. Nil leaves the memory as the system provides it.
    package convenience init(threads: Int, fillingScratchWith filling: Float?) {
        self.init(pool: ThreadPool(threads: threads), fillingScratchWith: filling)
    }

    /// Restricts OpenBLAS to one thread, once: a product split by OpenBLAS has other bits.
    private static let holdsBLASToOneThread: Void = BLASEnvironment.useSingleThread()

    private init(pool: ThreadPool, fillingScratchWith filling: Float?) {
        Self.holdsBLASToOneThread
        (self.pool, self.filling) = (pool, filling)
        let count = pool.threads * Self.slots
        blocks = .allocate(capacity: count)
        for index in 0..<count { blocks[index] = Block(base: Self.allocate(16, filling), floats: 16) }
        joint = Block(base: Self.allocate(16, filling), floats: 16)
    }

    deinit {
        let count = pool.threads * Self.slots
        for index in 0..<count { blocks[index].base.deallocate() }
        blocks.deallocate()
        joint.base.deallocate()
    }

    /// Scratch shared by all workers of one kernel call; valid until the next request. Not for use inside a task.
    func jointScratch(floats: Int) -> UnsafeMutablePointer<Float> {
        if joint.floats < floats {
            joint.base.deallocate()
            joint = Block(base: Self.allocate(floats, filling), floats: floats)
        }
        return joint.base
    }

    /// Scratch of one worker, 64-byte aligned; valid until the same worker requests the same slot again.
    func scratch(worker: Int, slot: Int, floats: Int) -> UnsafeMutablePointer<Float> {
        assert(slot < Self.slots && worker < pool.threads)
        let block = blocks + (worker * Self.slots + slot)
        if block.pointee.floats < floats {
            block.pointee.base.deallocate()
            block.pointee = Block(base: Self.allocate(floats, filling), floats: floats)
        }
        return block.pointee.base
    }

    private static func allocate(_ floats: Int, _ filling: Float?) -> UnsafeMutablePointer<Float> {
        // One vector more than requested, so that a kernel may store whole vectors at the end.
        let bytes = (floats + Vector.scalarCount) * MemoryLayout<Float>.stride
        guard let start = aligned_alloc(64, (bytes + 63) / 64 * 64) else { MemoryExhaustion.end(bytes: bytes) }
        let base = start.bindMemory(to: Float.self, capacity: bytes / MemoryLayout<Float>.stride)
        if let filling { base.update(repeating: filling, count: bytes / MemoryLayout<Float>.stride) }
        return base
    }
}
