import COpenBLAS

/// Row-major matrix products by OpenBLAS, each on one thread.
///
/// `C[M, N] = alpha op(A) op(B) + beta C`. A product is always a single-threaded call: kernels cut large ones into row
/// bands of a height that depends on the shape alone, because OpenBLAS picks its inner kernel by size and another cut
/// may round differently.
enum MatrixProduct {
    /// One product. Leading dimensions are the distances between stored rows.
    @inline(__always)
    static func multiply(
        m: Int, n: Int, k: Int, a: UnsafePointer<Float>, lda: Int, transposeA: Bool = false, b: UnsafePointer<Float>,
        ldb: Int, transposeB: Bool = false, c: UnsafeMutablePointer<Float>, ldc: Int, alpha: Float = 1, beta: Float = 0
    ) {
        if m == 0 || n == 0 { return }
        cblas_sgemm(
            CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans, Int32(m),
            Int32(n), Int32(k), alpha, a, Int32(lda), b, Int32(ldb), beta, c, Int32(ldc))
    }

    /// One product whose right factor is frozen; reading starts at `offset` elements.
    @inline(__always)
    static func multiply(
        m: Int, n: Int, k: Int, a: UnsafePointer<Float>, lda: Int, transposeA: Bool = false, b: MatrixOperand,
        offset: Int = 0, ldb: Int, transposeB: Bool = false, c: UnsafeMutablePointer<Float>, ldc: Int, alpha: Float = 1,
        beta: Float = 0
    ) {
        switch b {
        case .float32(let matrix):
            multiply(
                m: m, n: n, k: k, a: a, lda: lda, transposeA: transposeA, b: matrix + offset, ldb: ldb,
                transposeB: transposeB, c: c, ldc: ldc, alpha: alpha, beta: beta)
        }
    }

    /// Rows in one band of a product over tokens: with up to 1024 columns of input and output a band is 2 MiB, in L2 or
    /// close to it, and packing the other factor costs under 1 % of the band's work.
    static let bandRows = 256

    /// The number of bands that cover `rows`.
    static func bands(_ rows: Int) -> Int { (rows + bandRows - 1) / bandRows }

    /// The rows of one band.
    static func band(_ index: Int, of rows: Int) -> Range<Int> {
        index * bandRows..<min((index + 1) * bandRows, rows)
    }
}
