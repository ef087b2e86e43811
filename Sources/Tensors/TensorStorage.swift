/// A block of floats shared by tensors: owned by a `StoragePool`, or borrowed from another owner's memory.
///
/// Blocks start at 64-byte boundaries. A borrowed block (a mapped file, a shared window) is read-only.
public final class TensorStorage: @unchecked Sendable {
    let base: UnsafeMutablePointer<Float>
    let count: Int
    let isReadOnly: Bool
    private let release: (() -> Void)?
    private let block: (memory: StoragePool.Block, pool: StoragePool)?

    /// Takes a block of `count` floats from the pool; its contents are undefined.
    init(count: Int) {
        let pool = StoragePool.rehearsal ?? StoragePool.shared
        let memory = pool.take(floats: count)
        (self.count, block) = (count, (memory, pool))
        base = memory.start.assumingMemoryBound(to: Float.self)
        isReadOnly = false
        release = nil
    }

    /// Borrows memory that stays valid until `deinit` calls `release`.
    public init(borrowing base: UnsafePointer<Float>, count: Int, release: @escaping @Sendable () -> Void) {
        self.base = UnsafeMutablePointer(mutating: base)
        self.count = count
        isReadOnly = true
        (self.release, block) = (release, nil)
    }

    deinit {
        release?()
        if let block { block.pool.give(block.memory) }
    }
}
