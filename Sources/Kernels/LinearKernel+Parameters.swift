public import Tensors

// With y[T, N] = x[T, K] W[N, K]^T + b[N]:
//   dW = dy^T x = sum over tokens t of dy[t]^T x[t],   db = sum over t of dy[t]
//
// dW is cut into tiles, each one OpenBLAS product, and the tokens into bands where dW is too small to make enough tiles:
// a dW of one row still has 64 bands at 65,536 tokens. Partial sums of the bands take at most `partialFloats` or one
// dW; a dW of that size or more has one band and is written directly. For db, a band is `MatrixProduct.bandRows` rows,
// added in 16 lanes along the row. All cuts depend on the shape alone; bands are added in order (see BandSums).
//
// Within a band OpenBLAS adds the tokens in blocks of a few hundred, or, where dW has a single row or column, one after
// the other: hence bands of 1,024 tokens there, whose rounding error stays below 1e-6 of the gradient's norm.

extension LinearKernel {
    /// Outputs in a tile of dW: packing the factors of a whole tile costs about 1 % of its operations.
    static let tileRows = 128
    /// Inputs in a tile of dW.
    static let tileColumns = 256
    /// The fewest tokens in a band of dW, unless there is one band.
    static let weightBandRows = 1024
    /// Floats that the partial sums of dW may take: 4 MiB.
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
            let (tokens, outputs, inputs) = cut.task(task)
            MatrixProduct.multiply(
                m: outputs.count, n: inputs.count, k: tokens.count,
                a: gradient + tokens.lowerBound * n + outputs.lowerBound, lda: n, transposeA: true,
                b: source + tokens.lowerBound * k + inputs.lowerBound, ldb: k,
                c: partial + (task / cut.tiles * n + outputs.lowerBound) * k + inputs.lowerBound, ldc: k)
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

    /// How dW is cut into tasks: bands of tokens, and tiles of outputs by inputs.
    private struct WeightCut {
        let rows: Int
        let outputs: Int
        let inputs: Int
        let bandRows: Int
        /// Bands of tokens; none where there is no token.
        let bands: Int
        let tileColumns: Int
        /// Tiles in one band.
        let tiles: Int

        init(rows: Int, outputs: Int, inputs: Int) {
            (self.rows, self.outputs, self.inputs) = (rows, outputs, inputs)
            let most = max(LinearKernel.partialFloats / max(outputs * inputs, 1), 1)
            bandRows = max((rows + most - 1) / most, LinearKernel.weightBandRows)
            bands = (rows + bandRows - 1) / bandRows
            tileColumns = (inputs + LinearKernel.tileColumns - 1) / LinearKernel.tileColumns
            tiles = (outputs + LinearKernel.tileRows - 1) / LinearKernel.tileRows * tileColumns
        }

        /// The tokens, outputs and inputs of one task.
        func task(_ index: Int) -> (tokens: Range<Int>, outputs: Range<Int>, inputs: Range<Int>) {
            let (band, tile) = index.quotientAndRemainder(dividingBy: tiles)
            let (row, column) = tile.quotientAndRemainder(dividingBy: tileColumns)
            return (
                Self.part(band, bandRows, of: rows), Self.part(row, LinearKernel.tileRows, of: outputs),
                Self.part(column, LinearKernel.tileColumns, of: inputs)
            )
        }

        private static func part(_ index: Int, _ size: Int, of count: Int) -> Range<Int> {
            index * size..<min((index + 1) * size, count)
        }
    }
}
