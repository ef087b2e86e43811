import Machine
public import Tensors

// torch.nn.functional.normalize on rows: y = x / max(|x|, eps),
//   dx = (dy - y (y . dy)) / |x|   where |x| > eps,   dx = dy / eps   otherwise

/// Rows scaled to unit length, and the backward pass.
public enum UnitNormKernel {
    /// The minimum length a row is divided by, as in PyTorch.
    public static let epsilon: Float = 1e-12
    /// Rows per task.
    static let bandRows = 256

    /// y = x / max(|x|, eps), row by row.
    ///
    /// - Parameters:
    ///   - x: Rows. // [T, C]
    ///   - y: Rows of length one. // [T, C]
    ///   - scale: 1 / max(|x|, eps), for backward. // [T]
    public static func forward(_ x: Tensor, into y: inout Tensor, scale: inout Tensor, in workspace: Workspace) {
        let (rows, width) = (x.shape[0], x.shape[1])
        precondition(y.count == x.count && scale.count == rows)
        let (source, destination, factors) = (x.pointer, y.mutablePointer, scale.mutablePointer)
        workspace.pool.parallelFor((rows + bandRows - 1) / bandRows) { band, _ in
            for row in band * bandRows..<min((band + 1) * bandRows, rows) {
                let input = source + row * width
                let length = dot(input, input, width).squareRoot()
                let factor = 1 / (length > epsilon ? length : epsilon)
                factors[row] = factor
                mapVectors(input, destination + row * width, count: width) { $0 * factor }
            }
        }
    }

    /// dX += the gradient of x for a gradient of y.
    ///
    /// - Parameters:
    ///   - dY: Gradient of y. // [T, C]
    ///   - y: Output of `forward`. // [T, C]
    ///   - scale: Output of `forward`. // [T]
    public static func backward(
        _ dY: Tensor, output y: Tensor, scale: Tensor, addingTo dX: inout Tensor, in workspace: Workspace
    ) {
        let (rows, width) = (y.shape[0], y.shape[1])
        precondition(dY.count == y.count && dX.count == y.count && scale.count == rows)
        let (gradient, output, factors, destination) = (dY.pointer, y.pointer, scale.pointer, dX.mutablePointer)
        workspace.pool.parallelFor((rows + bandRows - 1) / bandRows) { band, _ in
            for row in band * bandRows..<min((band + 1) * bandRows, rows) {
                let (g, unit, sum) = (gradient + row * width, output + row * width, destination + row * width)
                let isHeld = factors[row] >= 1 / epsilon
                let along = isHeld ? 0 : dot(unit, g, width)
                for i in stride(from: 0, to: width, by: Vector.scalarCount) {
                    let lanes = min(Vector.scalarCount, width - i)
                    let across = Vector(loading: g + i, count: lanes) - Vector(loading: unit + i, count: lanes) * along
                    (Vector(loading: sum + i, count: lanes) + across * factors[row]).store(sum + i, count: lanes)
                }
            }
        }
    }

    @inline(__always)
    private static func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Float {
        var sum = Vector(repeating: 0)
        for i in stride(from: 0, to: count, by: Vector.scalarCount) {
            let lanes = min(Vector.scalarCount, count - i)
            sum.addProduct(Vector(loading: a + i, count: lanes), Vector(loading: b + i, count: lanes))
        }
        return sum.sum()
    }
}
