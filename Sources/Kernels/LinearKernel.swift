import Machine
public import Tensors

// y[T, N] = epilogue(x[T, K] W[N, K]^T + b[N]) (+ residual[T, N])
// dx[T, K] = dy[T, N] W[N, K]
// dW[N, K] = dy^T x: only for trained weights.
//
// The token axis is cut into bands of `MatrixProduct.bandRows`; a band is one OpenBLAS call followed by its epilogue,
// while the band is still in cache.

/// Matrix products with a weight stored as PyTorch does, `[out, in]`.
public enum LinearKernel {
    /// The function applied to product and bias.
    public enum Activation: Sendable {
        /// Nothing.
        case none
        /// max(x, 0).
        case relu
        /// The exact GELU.
        case gelu
    }

    /// y = activation(x W^T + b) + residual.
    ///
    /// - Parameters:
    ///   - x: Input tokens. // [T, K]
    ///   - weight: Weight. // [N, K]
    ///   - bias: Bias, if there is one. // [N]
    ///   - residual: Added last, if there is one. // [T, N]
    ///   - y: Output. // [T, N]
    public static func forward(
        _ x: Tensor, weight: FrozenMatrix, bias: Tensor?, activation: Activation = .none, residual: Tensor? = nil,
        into y: inout Tensor, in workspace: Workspace
    ) {
        let (k, n) = (weight.columns, weight.rows)
        let rows = x.count / k
        precondition(
            x.count == rows * k && y.count == rows * n, "linear: \(x.shape) by [\(n), \(k)] into \(y.shape)")
        precondition(bias.map { $0.count == n } ?? true && residual.map { $0.count == y.count } ?? true)
        let (source, matrix, destination) = (x.pointer, weight.operand, y.mutablePointer)
        let (shift, added) = (bias?.pointer, residual?.pointer)
        workspace.pool.parallelFor(MatrixProduct.bands(rows)) { band, _ in
            let range = MatrixProduct.band(band, of: rows)
            let output = destination + range.lowerBound * n
            MatrixProduct.multiply(
                m: range.count, n: n, k: k, a: source + range.lowerBound * k, lda: k, b: matrix, ldb: k,
                transposeB: true, c: output, ldc: n)
            for row in 0..<range.count {
                finishRow(
                    output + row * n, bias: shift, residual: added.map { $0 + (range.lowerBound + row) * n },
                    activation: activation, count: n)
            }
        }
    }

    /// h = x W^T + b and y = GELU(h) in one pass, keeping h for backward.
    public static func forwardKeepingPreActivation(
        _ x: Tensor, weight: FrozenMatrix, bias: Tensor?, preActivation h: inout Tensor, into y: inout Tensor,
        in workspace: Workspace
    ) {
        let (k, n) = (weight.columns, weight.rows)
        let rows = x.count / k
        precondition(x.count == rows * k && y.count == rows * n && h.count == y.count)
        let (source, matrix, before, after) = (x.pointer, weight.operand, h.mutablePointer, y.mutablePointer)
        let shift = bias?.pointer
        workspace.pool.parallelFor(MatrixProduct.bands(rows)) { band, _ in
            let range = MatrixProduct.band(band, of: rows)
            let start = range.lowerBound * n
            MatrixProduct.multiply(
                m: range.count, n: n, k: k, a: source + range.lowerBound * k, lda: k, b: matrix, ldb: k,
                transposeB: true, c: before + start, ldc: n)
            for row in 0..<range.count {
                let output = before + start + row * n
                finishRow(output, bias: shift, residual: nil, activation: .none, count: n)
                GELUKernel.apply(output, after + start + row * n, count: n)
            }
        }
    }

    /// dX = dY W, or dX += dY W when `accumulating`.
    public static func backwardInput(
        _ dY: Tensor, weight: FrozenMatrix, into dX: inout Tensor, accumulating: Bool = false, in workspace: Workspace
    ) {
        let (k, n) = (weight.columns, weight.rows)
        let rows = dY.count / n
        precondition(dY.count == rows * n && dX.count == rows * k)
        let (gradient, matrix, destination) = (dY.pointer, weight.operand, dX.mutablePointer)
        workspace.pool.parallelFor(MatrixProduct.bands(rows)) { band, _ in
            let range = MatrixProduct.band(band, of: rows)
            MatrixProduct.multiply(
                m: range.count, n: k, k: n, a: gradient + range.lowerBound * n, lda: n, b: matrix, ldb: k,
                c: destination + range.lowerBound * k, ldc: k, beta: accumulating ? 1 : 0)
        }
    }

    @inline(__always)
    static func finishRow(
        _ row: UnsafeMutablePointer<Float>, bias: UnsafePointer<Float>?, residual: UnsafePointer<Float>?,
        activation: Activation, count: Int
    ) {
        switch activation {
        case .none:
            if bias == nil && residual == nil { return }
            combine(row, bias, residual, count: count) { $0 }
        case .relu: combine(row, bias, residual, count: count) { $0.maximum(Vector(repeating: 0)) }
        case .gelu: combine(row, bias, residual, count: count) { GELUKernel.evaluate($0) }
        }
    }

    /// row = activation(row + bias) + residual.
    @inline(__always)
    private static func combine(
        _ row: UnsafeMutablePointer<Float>, _ bias: UnsafePointer<Float>?, _ residual: UnsafePointer<Float>?,
        count: Int, _ activation: (Vector) -> Vector
    ) {
        let width = Vector.scalarCount
        var i = 0
        while i < count {
            let lanes = min(width, count - i)
            var value = Vector(loading: row + i, count: lanes)
            if let bias { value += Vector(loading: bias + i, count: lanes) }
            value = activation(value)
            if let residual { value += Vector(loading: residual + i, count: lanes) }
            value.store(row + i, count: lanes)
            i += width
        }
    }
}
