import Machine
public import Tensors

// Over the last axis, C wide, of x[T, C] (biased variance; Ba et al. 2016):
//   mu = sum x / C,   r = 1 / sqrt(sum (x - mu)^2 / C + eps),   xhat = (x - mu) r,   y = xhat g + b
//   dx = r (dyg - mean(dyg) - xhat mean(dyg xhat)),   dyg = dy g
//
// SAM's LayerNorm2d normalises over channels at each pixel: in channel-last layout that is this kernel too.
// Sums run in 16 lanes, then over the lanes; two passes, because x fits in L1.

/// Layer normalisation over the last axis.
public enum LayerNormKernel {
    /// Rows per task.
    static let block = 64

    /// y = xhat g + b; writes (mu, r) of each row to `statistics` unless it is nil.
    ///
    /// - Parameters:
    ///   - x: Input. // [T, C]
    ///   - scale: g. // [C]
    ///   - shift: b. // [C]
    ///   - statistics: mean and reciprocal deviation of each row, for backward. // [T, 2]
    public static func forward(
        _ x: Tensor, scale: Tensor, shift: Tensor, epsilon: Float, into y: inout Tensor, statistics: inout Tensor?,
        in workspace: Workspace
    ) {
        let width = scale.count
        let rows = x.count / width
        precondition(x.count == rows * width && y.count >= x.count && shift.count == width)
        let (source, g, b, destination) = (x.pointer, scale.pointer, shift.pointer, y.mutablePointer)
        precondition(statistics.map { $0.count == rows * 2 } ?? true)
        let saved = statistics?.mutablePointer
        workspace.pool.parallelFor((rows + block - 1) / block) { task, _ in
            for row in task * block..<min((task + 1) * block, rows) {
                let input = source + row * width
                let mean = sum(width) { Vector(loading: input + $0, count: $1) } / Float(width)
                let variance =
                    sum(width) { i, lanes in
                        let centred = Vector(loading: input + i, count: lanes) - mean
                        let square = centred * centred
                        return lanes == Vector.scalarCount ? square : masked(square, lanes)
                    } / Float(width)
                let reciprocal = 1 / (variance + epsilon).squareRoot()
                if let saved {
                    saved[2 * row] = mean
                    saved[2 * row + 1] = reciprocal
                }
                let output = destination + row * width
                for i in stride(from: 0, to: width, by: Vector.scalarCount) {
                    let lanes = min(Vector.scalarCount, width - i)
                    let normal = (Vector(loading: input + i, count: lanes) - mean) * reciprocal
                    let value = normal.times(
                        Vector(loading: g + i, count: lanes), plus: Vector(loading: b + i, count: lanes))
                    value.store(output + i, count: lanes)
                }
            }
        }
    }

    /// dX from dY, the input and the saved statistics; added to dX when `accumulating`.
    public static func backward(
        _ dY: Tensor, input x: Tensor, scale: Tensor, statistics: Tensor, into dX: inout Tensor, accumulating: Bool,
        in workspace: Workspace
    ) {
        let width = scale.count
        let rows = x.count / width
        precondition(dY.count >= x.count && dX.count == x.count && statistics.count == rows * 2)
        let (gradient, source, g, saved) = (dY.pointer, x.pointer, scale.pointer, statistics.pointer)
        let destination = dX.mutablePointer
        workspace.pool.parallelFor((rows + block - 1) / block) { task, _ in
            for row in task * block..<min((task + 1) * block, rows) {
                let (dOutput, input) = (gradient + row * width, source + row * width)
                let (mean, reciprocal) = (saved[2 * row], saved[2 * row + 1])
                var meanGradient = Vector(repeating: 0)
                var meanProduct = Vector(repeating: 0)
                for i in stride(from: 0, to: width, by: Vector.scalarCount) {
                    let lanes = min(Vector.scalarCount, width - i)
                    let scaled = Vector(loading: dOutput + i, count: lanes) * Vector(loading: g + i, count: lanes)
                    let normal = (Vector(loading: input + i, count: lanes) - mean) * reciprocal
                    meanGradient += scaled
                    meanProduct.addProduct(scaled, normal)
                }
                let first = meanGradient.sum() / Float(width)
                let second = meanProduct.sum() / Float(width)
                let output = destination + row * width
                for i in stride(from: 0, to: width, by: Vector.scalarCount) {
                    let lanes = min(Vector.scalarCount, width - i)
                    let scaled = Vector(loading: dOutput + i, count: lanes) * Vector(loading: g + i, count: lanes)
                    let normal = (Vector(loading: input + i, count: lanes) - mean) * reciprocal
                    var value = (scaled - first - normal * second) * reciprocal
                    if accumulating { value += Vector(loading: output + i, count: lanes) }
                    value.store(output + i, count: lanes)
                }
            }
        }
    }

    @inline(__always) private static func sum(_ count: Int, _ term: (Int, Int) -> Vector) -> Float {
        var total = Vector(repeating: 0)
        for i in stride(from: 0, to: count, by: Vector.scalarCount) {
            total += term(i, min(Vector.scalarCount, count - i))
        }
        return total.sum()
    }

    @inline(__always) private static func masked(_ value: Vector, _ lanes: Int) -> Vector {
        var result = value
        for lane in lanes..<Vector.scalarCount { result[lane] = 0 }
        return result
    }
}
