import Machine
public import Tensors

// With y[T, N] = x[T, K] W[N, K]^T + b[N]:
//   dW = dy^T x = sum over tokens t of dy[t]^T x[t],   db = sum over t of dy[t]
//
// dW is cut into tiles of whole rows, each one OpenBLAS product, and the tokens into bands where dW is too small for
// enough tiles: a dW of one row still has 128 bands at 65,536 tokens. Partial sums of the bands take at most
// `partialFloats`; a larger dW has one band and is written directly. For db, a band is `MatrixProduct.bandRows` rows,
// accumulated in 16 lanes along the row. All cuts depend on the shape alone; bands are added in order (see BandSums).
//
// Within a band OpenBLAS adds the tokens in blocks of a few hundred, or, where dW has a single row or column, one by
// one: hence bands of 512 tokens there, whose rounding error stays below 1e-6 of the gradient's norm.

extension LinearKernel {
    /// Outputs in a tile of dW. Every tile packs all of x, which costs about a tenth of the time at 128 rows; tiles
    /// that also cut the inputs, 256 at a time, were a tenth slower.
    static let tileRows = 128
    /// Minimum tokens in a band of dW, unless there is only one band.
    static let weightBandRows = 512
    /// Maximum floats of dW's partial sums: 4 MiB.
    static let partialFloats = 1 << 20

    /// Gradient of the weight: dW = dY^T x.
    ///
    /// - Parameters:
    ///   - dY: Gradient of the output before its activation. // [T, N]
    ///   - x: Input tokens of forward. // [T, K]
    ///   - dW: Written. // [N, K]
    public static func backwardWeight(
        _ dY: Tensor, input x: Tensor, into dW: inout Tensor, in workspace: Workspace
    ) {
        let (n, k) = (dW.shape[0], dW.shape[1])
        let rows = x.count / k
        precondition(
            x.count == rows * k && dY.count == rows * n, "linear: \(dY.shape) and \(x.shape) give no \(dW.shape)")
        let cut = WeightCut(rows: rows, outputs: n, inputs: k)
        let (gradient, source, destination) = (dY.pointer, x.pointer, dW.mutablePointer)
        let partial = cut.bands == 1 ? destination : workspace.jointScratch(floats: cut.bands * n * k)
        workspace.pool.parallelFor(cut.bands * cut.tiles) { task, _ in
            let (tokens, outputs) = cut.task(task)
            MatrixProduct.multiply(
                m: outputs.count, n: k, k: tokens.count, a: gradient + tokens.lowerBound * n + outputs.lowerBound,
                lda: n, transposeA: true, b: source + tokens.lowerBound * k, ldb: k,
                c: partial + (task / cut.tiles * n + outputs.lowerBound) * k, ldc: k)
        }
        if cut.bands != 1 {
            BandSums.add(partial, bands: cut.bands, stride: n * k, into: destination, count: n * k, in: workspace)
        }
    }

    /// Gradient of the bias: db = sum over rows of dY.
    ///
    /// - Parameters:
    ///   - dY: Gradient of the output before its activation. // [T, N]
    ///   - db: Written. // [N]
    public static func backwardBias(_ dY: Tensor, into db: inout Tensor, in workspace: Workspace) {
        let n = db.count
        let rows = dY.count / n
        precondition(dY.count == rows * n, "linear: \(dY.shape) gives no bias \(db.shape)")
        let bands = MatrixProduct.bands(rows)
        let (gradient, destination) = (dY.pointer, db.mutablePointer)
        let partial = workspace.jointScratch(floats: bands * n)
        workspace.pool.parallelFor(bands) { band, _ in
            let sum = partial + band * n
            sum.update(repeating: 0, count: n)
            for row in MatrixProduct.band(band, of: rows) {
                BandSums.accumulate(gradient + row * n, into: sum, count: n)
            }
        }
        BandSums.add(partial, bands: bands, stride: n, into: destination, count: n, in: workspace)
    }

    /// How dW is cut into tasks: bands of tokens by tiles of outputs.
    private struct WeightCut {
        let rows: Int
        let outputs: Int
        let bandRows: Int
        /// Bands of tokens; 0 without tokens.
        let bands: Int
        /// Tiles in one band.
        let tiles: Int

        init(rows: Int, outputs: Int, inputs: Int) {
            (self.rows, self.outputs) = (rows, outputs)
            let most = max(LinearKernel.partialFloats / max(outputs * inputs, 1), 1)
            bandRows = max((rows + most - 1) / most, LinearKernel.weightBandRows)
            bands = (rows + bandRows - 1) / bandRows
            tiles = (outputs + LinearKernel.tileRows - 1) / LinearKernel.tileRows
        }

        /// The tokens and outputs of one task.
        func task(_ index: Int) -> (tokens: Range<Int>, outputs: Range<Int>) {
            let (band, tile) = index.quotientAndRemainder(dividingBy: tiles)
            let height = LinearKernel.tileRows
            return (
                band * bandRows..<min((band + 1) * bandRows, rows), tile * height..<min((tile + 1) * height, outputs)
            )
        }
    }
}
