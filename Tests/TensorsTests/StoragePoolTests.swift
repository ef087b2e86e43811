import Tensors
import Testing

@Suite struct StoragePoolTests {
    private let mebibyte = 1 << 18  // floats

    @Test func aFreedBlockServesTheNextTensorOfAboutItsSize() {
        let pool = StoragePool()
        let first = pool.take(floats: 4 * mebibyte)
        pool.give(first)
        let second = pool.take(floats: 4 * mebibyte - 1000)
        #expect(second.start == first.start && pool.figures.retained == 0)
        pool.give(second)
        let small = pool.take(floats: 2 * mebibyte)
        #expect(small.start != first.start, "half of a block would be wasted")
        pool.give(small)
        pool.trim()
        #expect(pool.figures.retained == 0 && pool.figures.live == 0)
    }

    /// A sequence of large tensors needs the memory of the largest, not their sum.
    @Test func theFootprintIsTheLargestAmountInUse() {
        let pool = StoragePool()
        for size in [16, 7, 30, 11, 3, 22, 5, 30, 16] { pool.give(pool.take(floats: size * mebibyte)) }
        #expect(pool.figures.peakLive == 30 << 20)
        #expect(pool.figures.peak == 30 << 20 && pool.figures.live == 0)
        pool.trim()
    }

    /// Threads that take and give concurrently leave nothing behind, and large blocks start at a huge page.
    @Test func threadsShareAPool() async {
        let pool = StoragePool()
        await withTaskGroup(of: Void.self) { group in
            for thread in 0..<4 {
                group.addTask {
                    var generator = SeededGenerator(seed: UInt64(thread), purpose: "pool threads")
                    for _ in 0..<300 {
                        let block = pool.take(floats: 1 + generator.index(below: 3 * (1 << 18)))
                        if block.bytes >= 2 << 20 { #expect(UInt(bitPattern: block.start) % (2 << 20) == 0) }
                        block.start.assumingMemoryBound(to: Int.self).pointee = thread
                        #expect(block.start.assumingMemoryBound(to: Int.self).pointee == thread)
                        pool.give(block)
                    }
                }
            }
        }
        #expect(pool.figures.live == 0 && pool.figures.peak >= pool.figures.peakLive)
        pool.trim()
    }

    /// Random requests never share memory, and written values persist.
    @Test func blocksAreApartAndAligned() {
        let pool = StoragePool()
        var generator = SeededGenerator(seed: 3, purpose: "pool")
        var held: [(StoragePool.Block, Int, Float)] = []
        for turn in 0..<400 {
            if !held.isEmpty && generator.index(below: 2) == 0 {
                let (block, floats, value) = held.remove(at: generator.index(below: held.count))
                let numbers = block.start.assumingMemoryBound(to: Float.self)
                #expect(numbers[0] == value && numbers[floats - 1] == value)
                pool.give(block)
            } else {
                let floats = 1 + generator.index(below: turn % 3 == 0 ? 2 * mebibyte : 5000)
                let block = pool.take(floats: floats)
                #expect(UInt(bitPattern: block.start) % 64 == 0 && block.bytes >= 4 * floats)
                let numbers = block.start.assumingMemoryBound(to: Float.self)
                numbers[0] = Float(turn)
                numbers[floats - 1] = Float(turn)
                held.append((block, floats, Float(turn)))
            }
            #expect(pool.figures.live == held.reduce(0) { $0 + $1.0.bytes })
        }
        for (block, _, _) in held { pool.give(block) }
        #expect(pool.figures.live == 0)
        pool.trim()
    }
}
