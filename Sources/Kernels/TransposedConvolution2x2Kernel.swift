public import Tensors

// y[2i + ky, 2j + kx, o] = act(b[o] + sum_c x[i, j, c] W[c, o, ky, kx]),  ky, kx in {0, 1}
// dx[i, j, c]            = sum_{ky, kx, o} dy[2i + ky, 2j + kx, o] W[c, o, ky, kx]
//
// Kernel and stride are both 2, so every output pixel has one source pixel and nothing overlaps. With W packed as
// [Cin, (ky, kx, o)], the outputs of one input row for one ky are 2 Cout adjacent floats per pixel: exactly one row of
// y. So each (input row, ky) is one product straight into place, and backward is two products per input row. There is
// no scratch. Because rows are independent, B images stacked along the height ([B H, W, C]) are one call.

/// The transposed convolution with kernel 2 and stride 2, which doubles a map's height and width, channel-last.
public enum TransposedConvolution2x2Kernel {
    /// The weights as `forward` and `backwardInput` read them.
    ///
    /// - Parameter weight: PyTorch's layout. // [Cin, Cout, 2, 2]
    /// - Returns: Tap-major, channel-last. // [Cin, 4 Cout]
    public static func pack(_ weight: Tensor) -> Tensor {
        let (inputs, outputs) = (weight.shape[0], weight.shape[1])
        precondition(weight.shape == [inputs, outputs, 2, 2], "a transposed 2x2 weight, not \(weight.shape)")
        var packed = Tensor(uninitialized: [inputs, 4 * outputs])
        let (source, destination) = (weight.pointer, packed.mutablePointer)
        for c in 0..<inputs {
            for o in 0..<outputs {
                for tap in 0..<4 {
                    destination[(c * 4 + tap) * outputs + o] = source[(c * outputs + o) * 4 + tap]
                }
            }
        }
        return packed
    }

    /// y = activation(convT(x) + b).
    ///
    /// - Parameters:
    ///   - x: Input. // [H, W, Cin]
    ///   - weight: From `pack`. // [Cin, 4 Cout]
    ///   - bias: Bias, if there is one. // [Cout]
    ///   - y: Output. // [2H, 2W, Cout]
    public static func forward(
        _ x: Tensor, weight: Tensor, bias: Tensor?, activation: LinearKernel.Activation = .none, into y: inout Tensor,
        in workspace: Workspace
    ) {
        let geometry = Geometry(x.shape, y.shape, weight: weight, bias: bias)
        let (source, matrix, shift, output) = (x.pointer, weight.pointer, bias?.pointer, y.mutablePointer)
        workspace.pool.parallelFor(geometry.height) { row, _ in
            geometry.multiply(source, matrix, into: output, row: row)
            for pixel in geometry.pixels(of: row) {
                LinearKernel.finishRow(
                    output + pixel * geometry.outputs, bias: shift, residual: nil, activation: activation,
                    count: geometry.outputs)
            }
        }
    }

    /// h = convT(x) + b and y = GELU(h) in one pass, keeping h for backward; shapes as in `forward`.
    public static func forwardKeepingPreActivation(
        _ x: Tensor, weight: Tensor, bias: Tensor?, preActivation h: inout Tensor, into y: inout Tensor,
        in workspace: Workspace
    ) {
        let geometry = Geometry(x.shape, y.shape, weight: weight, bias: bias)
        precondition(h.count == y.count)
        let (source, matrix, shift) = (x.pointer, weight.pointer, bias?.pointer)
        let (before, after) = (h.mutablePointer, y.mutablePointer)
        workspace.pool.parallelFor(geometry.height) { row, _ in
            geometry.multiply(source, matrix, into: before, row: row)
            for pixel in geometry.pixels(of: row) {
                let start = pixel * geometry.outputs
                LinearKernel.finishRow(
                    before + start, bias: shift, residual: nil, activation: .none, count: geometry.outputs)
                GELUKernel.apply(before + start, after + start, count: geometry.outputs)
            }
        }
    }

    /// dX from dY (the gradient at the pre-activation).
    ///
    /// - Parameters:
    ///   - dY: Output gradient. // [2H, 2W, Cout]
    ///   - weight: From `pack`. // [Cin, 4 Cout]
    ///   - dX: Input gradient. // [H, W, Cin]
    public static func backwardInput(
        _ dY: Tensor, weight: Tensor, into dX: inout Tensor, in workspace: Workspace
    ) {
        let geometry = Geometry(dX.shape, dY.shape, weight: weight, bias: nil)
        let (gradient, matrix, output) = (dY.pointer, weight.pointer, dX.mutablePointer)
        let (inputs, pair) = (geometry.inputs, 2 * geometry.outputs)
        workspace.pool.parallelFor(geometry.height) { row, _ in
            for ky in 0..<2 {
                MatrixProduct.multiply(
                    m: geometry.width, n: inputs, k: pair,
                    a: gradient + (2 * row + ky) * geometry.width * pair, lda: pair, b: matrix + ky * pair,
                    ldb: 2 * pair, transposeB: true, c: output + row * geometry.width * inputs, ldc: inputs,
                    beta: ky == 0 ? 0 : 1)
            }
        }
    }

    private struct Geometry {
        let height, width, inputs, outputs: Int

        init(_ x: Shape, _ y: Shape, weight: Tensor, bias: Tensor?) {
            (height, width, inputs, outputs) = (x[0], x[1], x[2], y[2])
            precondition(y == [2 * height, 2 * width, outputs], "transposed convolution of \(x) into \(y)")
            precondition(weight.count == 4 * inputs * outputs && bias.map { $0.count == outputs } ?? true)
        }

        /// The products of one input row: two rows of y.
        func multiply(
            _ x: UnsafePointer<Float>, _ weight: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, row: Int
        ) {
            let pair = 2 * outputs
            for ky in 0..<2 {
                MatrixProduct.multiply(
                    m: width, n: pair, k: inputs, a: x + row * width * inputs, lda: inputs, b: weight + ky * pair,
                    ldb: 2 * pair, c: y + (2 * row + ky) * width * pair, ldc: pair)
            }
        }

        /// The output pixels of one input row.
        func pixels(of row: Int) -> Range<Int> { 4 * width * row..<4 * width * (row + 1) }
    }
}
