import Machine
public import Tensors

// A low-rank update of some columns of a product (Hu et al. 2021, without a scaling factor):
//   u[T, r] = x A^T,   y[:, c ..< c + N] += u B^T                      A [r, D], B [N, r]
// Backward, with g = dy[:, c ..< c + N]:
//   v = g B,   dA = v^T x,   dB = g^T u,   dx += v A
//
// dA and dB are sums over tokens: each band of rows has its own partial sum and the bands are added in order, so the
// bits do not depend on the thread count.

/// The products of a LoRA pair.
public enum LowRankKernel {
    /// Adds the update to columns of y and keeps u for backward.
    ///
    /// - Parameters:
    ///   - x: Input tokens. // [T, D]
    ///   - down: A. // [r, D]
    ///   - up: B. // [N, r]
    ///   - column: First column of y that is updated.
    ///   - projected: u. // [T, r]
    ///   - y: // [T, M], M >= column + N
    public static func forward(
        _ x: Tensor, down: Tensor, up: Tensor, column: Int, projected u: inout Tensor, into y: inout Tensor,
        in workspace: Workspace
    ) {
        let (rank, d, n) = (down.shape[0], down.shape[1], up.shape[0])
        let rows = x.count / d
        let stride = y.count / rows
        precondition(u.count == rows * rank && column + n <= stride && up.shape[1] == rank)
        let (source, a, b, projection) = (x.pointer, down.pointer, up.pointer, u.mutablePointer)
        let destination = y.mutablePointer + column
        workspace.pool.parallelFor(MatrixProduct.bands(rows)) { band, _ in
            let range = MatrixProduct.band(band, of: rows)
            let local = projection + range.lowerBound * rank
            MatrixProduct.multiply(
                m: range.count, n: rank, k: d, a: source + range.lowerBound * d, lda: d, b: a, ldb: d,
                transposeB: true, c: local, ldc: rank)
            MatrixProduct.multiply(
                m: range.count, n: n, k: rank, a: local, lda: rank, b: b, ldb: rank, transposeB: true,
                c: destination + range.lowerBound * stride, ldc: stride, beta: 1)
        }
    }

    /// Gradients of both matrices, and dx += v A unless `dX` is nil.
    ///
    /// - Parameters:
    ///   - dY: // [T, M]
    ///   - dDown: dA, written. // [r, D]
    ///   - dUp: dB, written. // [N, r]
    public static func backward(
        _ dY: Tensor, input x: Tensor, projected u: Tensor, down: Tensor, up: Tensor, column: Int,
        dDown: inout Tensor, dUp: inout Tensor, addingTo dX: inout Tensor?, in workspace: Workspace
    ) {
        let (rank, d, n) = (down.shape[0], down.shape[1], up.shape[0])
        let rows = x.count / d
        let stride = dY.count / rows
        precondition(u.count == rows * rank && dDown.count == down.count && dUp.count == up.count)
        let (source, a, b, projection) = (x.pointer, down.pointer, up.pointer, u.pointer)
        let gradient = dY.pointer + column
        let inputGradient = dX?.mutablePointer
        let bands = MatrixProduct.bands(rows)
        let part = rank * (d + n)
        let partial = workspace.jointScratch(floats: bands * part)
        workspace.pool.parallelFor(bands) { band, worker in
            let range = MatrixProduct.band(band, of: rows)
            let local = gradient + range.lowerBound * stride
            let v = workspace.scratch(worker: worker, slot: 0, floats: range.count * rank)
            MatrixProduct.multiply(
                m: range.count, n: rank, k: n, a: local, lda: stride, b: b, ldb: rank, c: v, ldc: rank)
            MatrixProduct.multiply(
                m: rank, n: d, k: range.count, a: v, lda: rank, transposeA: true, b: source + range.lowerBound * d,
                ldb: d, c: partial + band * part, ldc: d)
            MatrixProduct.multiply(
                m: n, n: rank, k: range.count, a: local, lda: stride, transposeA: true,
                b: projection + range.lowerBound * rank, ldb: rank, c: partial + band * part + rank * d, ldc: rank)
            if let inputGradient {
                MatrixProduct.multiply(
                    m: range.count, n: d, k: rank, a: v, lda: rank, b: a, ldb: d,
                    c: inputGradient + range.lowerBound * d, ldc: d, beta: 1)
            }
        }
        sumBands(partial, bands: bands, stride: part, into: dDown.mutablePointer, count: rank * d)
        sumBands(partial + rank * d, bands: bands, stride: part, into: dUp.mutablePointer, count: n * rank)
    }

    private static func sumBands(
        _ partial: UnsafePointer<Float>, bands: Int, stride: Int, into sum: UnsafeMutablePointer<Float>, count: Int
    ) {
        sum.update(repeating: 0, count: count)
        for band in 0..<bands {
            for i in 0..<count { sum[i] += partial[band * stride + i] }
        }
    }
}
