import Foundation
public import Machine

/// The reference for all other rates: what `cblas_sgemm` reaches on this machine.
public enum MatrixRate {
    /// The timed product: tokens by the first layer of ViT-B's MLP, weights stored `[out, in]`.
    private static let (rows, columns, depth) = (1024, 3072, 768)

    /// Floating-point operations per second (two per multiply-add) summed over the threads of a pool, each repeating
    /// its own product for at least `seconds`.
    public static func measure(pool: ThreadPool, seconds: Double = 0.2) -> Double {
        let a = [Float](repeating: 0.5, count: rows * depth)
        let b = [Float](repeating: 0.25, count: columns * depth)
        let rates = UnsafeMutablePointer<Double>.allocate(capacity: pool.threads)
        defer { rates.deallocate() }
        rates.update(repeating: 0, count: pool.threads)
        let arrived = Arrivals(pool.threads)
        pool.parallelFor(pool.threads) { task, _ in
            arrived.wait()
            rates[task] = run(a, b, seconds: seconds)
        }
        return (0..<pool.threads).reduce(0) { $0 + rates[$1] }
    }

    private static func run(_ a: [Float], _ b: [Float], seconds: Double) -> Double {
        let c = UnsafeMutablePointer<Float>.allocate(capacity: rows * columns)
        defer { c.deallocate() }
        c.update(repeating: 0, count: rows * columns)
        var calls = 0
        let start = ContinuousClock.now
        while true {
            a.withUnsafeBufferPointer { a in
                b.withUnsafeBufferPointer { b in
                    guard let left = a.baseAddress, let right = b.baseAddress else { return }
                    MatrixProduct.multiply(
                        m: rows, n: columns, k: depth, a: left, lda: depth, b: right, ldb: depth, transposeB: true,
                        c: c, ldc: columns)
                }
            }
            calls += 1
            let spent = (ContinuousClock.now - start) / .seconds(1)
            if spent >= seconds { return Double(2 * rows * columns * depth * calls) / spent }
        }
    }

    /// Blocks every thread until all have arrived: with fewer running, the rate of one would be too high.
    private final class Arrivals: @unchecked Sendable {
        private let condition = NSCondition()
        private var missing: Int

        init(_ count: Int) { missing = count }

        func wait() {
            condition.lock()
            missing -= 1
            if missing == 0 { condition.broadcast() }
            while missing > 0 { condition.wait() }
            condition.unlock()
        }
    }
}
