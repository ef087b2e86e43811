import Machine
public import Tensors

// GELU with the exact error function (Hendrycks and Gimpel 2016; torch.nn.GELU's default):
//   y  = x Phi(x),                 Phi(x) = (1 + erf(x / sqrt 2)) / 2
//   dx = dy (Phi(x) + x phi(x)),   phi(x) = exp(-x^2 / 2) / sqrt(2 pi)

/// The exact GELU and its derivative, element by element.
public enum GELUKernel {
    /// Elements per task: 64 KiB in and out, inside L2.
    static let block = 16_384

    /// y = x Phi(x).
    public static func forward(_ x: Tensor, into y: inout Tensor, in workspace: Workspace) {
        precondition(x.count == y.count)
        let count = x.count
        let source = x.pointer
        let destination = y.mutablePointer
        workspace.pool.parallelFor((count + block - 1) / block) { task, _ in
            let start = task * block
            apply(source + start, destination + start, count: min(block, count - start))
        }
    }

    /// dX = dY (Phi(x) + x phi(x)), written over dY.
    public static func backward(_ dY: inout Tensor, preActivation x: Tensor, in workspace: Workspace) {
        precondition(x.count == dY.count)
        let count = x.count
        let source = x.pointer
        let gradient = dY.mutablePointer
        workspace.pool.parallelFor((count + block - 1) / block) { task, _ in
            let start = task * block
            applyDerivative(source + start, gradient + start, count: min(block, count - start))
        }
    }

    /// y = x Phi(x) for one run of floats; `source` and `destination` may be the same.
    @inline(__always)
    static func apply(_ source: UnsafePointer<Float>, _ destination: UnsafeMutablePointer<Float>, count: Int) {
        mapVectors(source, destination, count: count) { evaluate($0) }
    }

    /// x Phi(x).
    @inline(__always) static func evaluate(_ x: Vector) -> Vector {
        let half = x * 0.5
        return half.addingProduct(half, VectorMath.erf(x * 0.707_106_781))
    }

    /// gradient *= Phi(x) + x phi(x).
    @inline(__always)
    static func applyDerivative(_ x: UnsafePointer<Float>, _ gradient: UnsafeMutablePointer<Float>, count: Int) {
        let width = Vector.scalarCount
        var i = 0
        while i + width <= count {
            let slope = derivative(Vector(loading: x + i))
            (Vector(loading: gradient + i) * slope).store(gradient + i)
            i += width
        }
        if i < count {
            let slope = derivative(Vector(loading: x + i, count: count - i))
            for lane in 0..<(count - i) { gradient[i + lane] *= slope[lane] }
        }
    }

    @inline(__always) private static func derivative(_ x: Vector) -> Vector {
        let cumulative = VectorMath.erf(x * 0.707_106_781).times(Vector(repeating: 0.5), plus: 0.5)
        let density = VectorMath.exp(x * x * -0.5) * 0.398_942_28
        return cumulative.addingProduct(x, density)
    }
}
