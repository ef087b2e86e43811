import Machine
public import Tensors

/// Sums and copies that are not fused into a product.
public enum ElementwiseKernel {
    /// Elements per task: 64 KiB of each operand.
    static let block = 16_384

    /// y += x.
    public static func accumulate(_ x: Tensor, into y: inout Tensor, in workspace: Workspace) {
        precondition(x.count == y.count)
        let (source, destination) = (x.pointer, y.mutablePointer)
        forEachBlock(x.count, workspace) { start, count in
            for i in stride(from: start, to: start + count, by: Vector.scalarCount) {
                let lanes = min(Vector.scalarCount, start + count - i)
                let sum = Vector(loading: destination + i, count: lanes) + Vector(loading: source + i, count: lanes)
                sum.store(destination + i, count: lanes)
            }
        }
    }

    /// z = x + y.
    public static func add(_ x: Tensor, _ y: Tensor, into z: inout Tensor, in workspace: Workspace) {
        precondition(x.count == y.count && x.count == z.count)
        let (first, second, destination) = (x.pointer, y.pointer, z.mutablePointer)
        forEachBlock(x.count, workspace) { start, count in
            for i in stride(from: start, to: start + count, by: Vector.scalarCount) {
                let lanes = min(Vector.scalarCount, start + count - i)
                let sum = Vector(loading: first + i, count: lanes) + Vector(loading: second + i, count: lanes)
                sum.store(destination + i, count: lanes)
            }
        }
    }

    /// z = y - x.
    public static func subtract(_ x: Tensor, from y: Tensor, into z: inout Tensor, in workspace: Workspace) {
        precondition(x.count == y.count && x.count == z.count)
        let (subtrahend, minuend, destination) = (x.pointer, y.pointer, z.mutablePointer)
        forEachBlock(x.count, workspace) { start, count in
            for i in start..<start + count { destination[i] = minuend[i] - subtrahend[i] }
        }
    }

    /// dX = dY where y > 0, else 0 (y = max(x, 0)), written over dY.
    public static func backwardReLU(_ dY: inout Tensor, output y: Tensor, in workspace: Workspace) {
        precondition(dY.count == y.count)
        let (output, gradient) = (y.pointer, dY.mutablePointer)
        forEachBlock(y.count, workspace) { start, count in
            for i in start..<start + count where !(output[i] > 0) { gradient[i] = 0 }
        }
    }

    /// y[C, R] = x[R, C] transposed: between channel-first files and channel-last activations.
    public static func transpose(_ x: Tensor, rows: Int, columns: Int) -> Tensor {
        precondition(x.count == rows * columns)
        var y = Tensor(uninitialized: [columns, rows])
        let (source, destination) = (x.pointer, y.mutablePointer)
        for row in 0..<rows {
            for column in 0..<columns { destination[column * rows + row] = source[row * columns + column] }
        }
        return y
    }

    @inline(__always)
    private static func forEachBlock(_ count: Int, _ workspace: Workspace, _ body: (Int, Int) -> Void) {
        workspace.pool.parallelFor((count + block - 1) / block) { task, _ in
            body(task * block, min(block, count - task * block))
        }
    }
}
