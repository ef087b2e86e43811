public import Tensors

// y[i, j, o] = b[o] + sum_{ky, kx, c} W[o, c, ky, kx] x[2i + ky, 2j + kx, c],  ky, kx in {0, 1}
//
// Kernel and stride are both 2. For one ky the two neighbours of an output pixel are 2 Cin adjacent floats of the input,
// and those of the next pixel follow at once: the input row itself is a [W/2, 2 Cin] matrix. So each output row is two
// products from the input in place. An odd last row or column is left out, as PyTorch does. B images of even height
// stacked along the height are one call.
//
// There is no backward: it is used on prompt masks, which are data for the frozen prompt encoder.

/// The convolution with kernel 2 and stride 2, which halves a map's height and width, channel-last.
public enum Convolution2x2Kernel {
    /// The weights as `forward` reads them.
    ///
    /// - Parameter weight: PyTorch's layout. // [Cout, Cin, 2, 2]
    /// - Returns: Tap-major, channel-last. // [Cout, 4 Cin]
    public static func pack(_ weight: Tensor) -> Tensor {
        let (outputs, inputs) = (weight.shape[0], weight.shape[1])
        precondition(weight.shape == [outputs, inputs, 2, 2], "a 2x2 convolution weight, not \(weight.shape)")
        var packed = Tensor(uninitialized: [outputs, 4 * inputs])
        let (source, destination) = (weight.pointer, packed.mutablePointer)
        for o in 0..<outputs {
            for c in 0..<inputs {
                for tap in 0..<4 {
                    destination[(o * 4 + tap) * inputs + c] = source[(o * inputs + c) * 4 + tap]
                }
            }
        }
        return packed
    }

    /// y = activation(conv(x) + b).
    ///
    /// - Parameters:
    ///   - x: Input. // [H, W, Cin]
    ///   - weight: From `pack`. // [Cout, 4 Cin]
    ///   - bias: Bias, if there is one. // [Cout]
    ///   - y: Output. // [H/2, W/2, Cout]
    public static func forward(
        _ x: Tensor, weight: Tensor, bias: Tensor?, activation: LinearKernel.Activation = .none, into y: inout Tensor,
        in workspace: Workspace
    ) {
        let (height, width, inputs, outputs) = (x.shape[0], x.shape[1], x.shape[2], y.shape[2])
        let columns = width / 2
        precondition(y.shape == [height / 2, columns, outputs], "2x2 convolution of \(x.shape) into \(y.shape)")
        precondition(weight.count == 4 * inputs * outputs && bias.map { $0.count == outputs } ?? true)
        let (source, matrix, shift, output) = (x.pointer, weight.pointer, bias?.pointer, y.mutablePointer)
        workspace.pool.parallelFor(height / 2) { row, _ in
            let destination = output + row * columns * outputs
            for ky in 0..<2 {
                MatrixProduct.multiply(
                    m: columns, n: outputs, k: 2 * inputs, a: source + (2 * row + ky) * width * inputs,
                    lda: 2 * inputs, b: matrix + ky * 2 * inputs, ldb: 4 * inputs, transposeB: true, c: destination,
                    ldc: outputs, beta: ky == 0 ? 0 : 1)
            }
            for column in 0..<columns {
                LinearKernel.finishRow(
                    destination + column * outputs, bias: shift, residual: nil, activation: activation, count: outputs)
            }
        }
    }
}
