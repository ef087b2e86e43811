import Machine
public import Tensors

// With y = xhat g + b over the rows of x[T, C], xhat = (x - mu) r (Ba et al. 2016):
//   dg = sum over rows t of dy[t] xhat[t],   db = sum over rows t of dy[t]
//
// A band of `MatrixProduct.bandRows` rows accumulates both sums in 16 lanes along the row; bands are added in order
// (see BandSums).

extension LayerNormKernel {
    /// Gradients of scale and shift: dg = sum over rows of dY xhat, db = sum over rows of dY.
    ///
    /// - Parameters:
    ///   - dY: Gradient of the output; rows beyond those of x are ignored. // [>= T, C]
    ///   - x: Input of forward. // [T, C]
    ///   - statistics: Mean and reciprocal deviation of each row, as saved by forward. // [T, 2]
    ///   - dScale: dg, written. // [C]
    ///   - dShift: db, written. // [C]
    public static func backwardParameters(
        _ dY: Tensor, input x: Tensor, statistics: Tensor, scale dScale: inout Tensor, shift dShift: inout Tensor,
        in workspace: Workspace
    ) {
        let width = dScale.count
        let rows = x.count / width
        precondition(
            x.count == rows * width && dY.count >= x.count && dShift.count == width && statistics.count == rows * 2,
            "layer norm: \(dY.shape), \(x.shape), \(statistics.shape) give no \(dScale.shape), \(dShift.shape)")
        let bands = MatrixProduct.bands(rows)
        let (gradient, source, saved) = (dY.pointer, x.pointer, statistics.pointer)
        let (scale, shift) = (dScale.mutablePointer, dShift.mutablePointer)
        let partial = workspace.jointScratch(floats: bands * 2 * width)
        workspace.pool.parallelFor(bands) { band, _ in
            let (ofScale, ofShift) = (partial + 2 * band * width, partial + (2 * band + 1) * width)
            ofScale.update(repeating: 0, count: 2 * width)
            for row in MatrixProduct.band(band, of: rows) {
                addRow(
                    gradient + row * width, source + row * width, mean: saved[2 * row],
                    reciprocal: saved[2 * row + 1], scale: ofScale, shift: ofShift, count: width)
            }
        }
        BandSums.add(partial, bands: bands, stride: 2 * width, into: scale, count: width, in: workspace)
        BandSums.add(partial + width, bands: bands, stride: 2 * width, into: shift, count: width, in: workspace)
    }

    /// scale += dy xhat, shift += dy.
    @inline(__always)
    private static func addRow(
        _ dOutput: UnsafePointer<Float>, _ input: UnsafePointer<Float>, mean: Float, reciprocal: Float,
        scale: UnsafeMutablePointer<Float>, shift: UnsafeMutablePointer<Float>, count: Int
    ) {
        for i in stride(from: 0, to: count, by: Vector.scalarCount) {
            let lanes = min(Vector.scalarCount, count - i)
            let slope = Vector(loading: dOutput + i, count: lanes)
            let normal = (Vector(loading: input + i, count: lanes) - mean) * reciprocal
            slope.times(normal, plus: Vector(loading: scale + i, count: lanes)).store(scale + i, count: lanes)
            (Vector(loading: shift + i, count: lanes) + slope).store(shift + i, count: lanes)
        }
    }
}
