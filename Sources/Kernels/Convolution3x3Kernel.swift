import Machine
public import Tensors

// y[i, j, o] = act(b[o] + sum_{ky, kx, c} W[o, c, ky, kx] x[s i + ky - 1, s j + kx - 1, c]),  x = 0 outside, s = 1 or 2
//
// Forward: the nine neighbours of an output pixel, channel-last, form one row of a matrix ("im2col"). For one ky the three
// neighbours are 3 Cin adjacent floats of the input, so a row is three copies. A band of output rows is unfolded into
// scratch and multiplied by W packed as [Cout, (ky, kx, c)]: one product per band.
//
// Backward, with V packed as [Cin, (8 - tap, o)] (channels exchanged, taps reversed):
//   s = 1: dx is the 3x3 convolution of dy with V.
//   s = 2: dx[h, w] takes the taps with h + 1 - ky and w + 1 - kx even. Even h: ky = 1 of row h/2. Odd h: ky = 2 of
//          row (h-1)/2 and ky = 0 of row (h+1)/2, if there is one. The same for columns. For one row and one
//          column parity each tap is a product straight from a row of dy to every second pixel of dx.

/// The 3x3 convolution with padding 1 and stride 1 or 2, channel-last.
public enum Convolution3x3Kernel {
    /// Unfolded input of one band: it fits one core's share of the last-level cache (2 MiB or more), and with
    /// 256 channels it holds four rows of 64 pixels, which keeps packing the weights under 5 % of the product.
    static let bandBytes = 5 << 19
    /// Every image is cut into at least this many bands (or single rows), so that many threads have work.
    static let minimumBands = 16

    /// The output height or width for an input height or width.
    public static func outputExtent(_ extent: Int, stride: Int) -> Int { (extent - 1) / stride + 1 }

    /// The weights in the layout of `forward`.
    ///
    /// - Parameter weight: PyTorch's layout. // [Cout, Cin, 3, 3]
    /// - Returns: Tap-major, channel-last. // [Cout, 9 Cin]
    public static func pack(_ weight: Tensor) -> Tensor {
        let (outputs, inputs) = (weight.shape[0], weight.shape[1])
        precondition(weight.shape == [outputs, inputs, 3, 3], "a 3x3 convolution weight, not \(weight.shape)")
        var packed = Tensor(uninitialized: [outputs, 9 * inputs])
        let (source, destination) = (weight.pointer, packed.mutablePointer)
        for o in 0..<outputs {
            for c in 0..<inputs {
                for tap in 0..<9 {
                    destination[(o * 9 + tap) * inputs + c] = source[(o * inputs + c) * 9 + tap]
                }
            }
        }
        return packed
    }

    /// The inverse of `pack`. // [Cout, 9 Cin] -> [Cout, Cin, 3, 3]
    public static func unpack(_ packed: Tensor) -> Tensor {
        let (outputs, inputs) = (packed.shape[0], packed.shape[1] / 9)
        var weight = Tensor(uninitialized: [outputs, inputs, 3, 3])
        unpack(packed.pointer, to: weight.mutablePointer, outputs: outputs, inputs: inputs)
        return weight
    }

    /// From tap-major rows to PyTorch's order.
    static func unpack(
        _ packed: UnsafePointer<Float>, to weight: UnsafeMutablePointer<Float>, outputs: Int, inputs: Int
    ) {
        for o in 0..<outputs {
            for c in 0..<inputs {
                for tap in 0..<9 { weight[(o * inputs + c) * 9 + tap] = packed[(o * 9 + tap) * inputs + c] }
            }
        }
    }

    /// The weights in the layout of `backwardInput`, for either stride.
    ///
    /// - Parameter weight: PyTorch's layout. // [Cout, Cin, 3, 3]
    /// - Returns: Channels exchanged, taps reversed. // [Cin, 9 Cout]
    public static func packForBackward(_ weight: Tensor) -> Tensor {
        let (outputs, inputs) = (weight.shape[0], weight.shape[1])
        precondition(weight.shape == [outputs, inputs, 3, 3], "a 3x3 convolution weight, not \(weight.shape)")
        var packed = Tensor(uninitialized: [inputs, 9 * outputs])
        let (source, destination) = (weight.pointer, packed.mutablePointer)
        for c in 0..<inputs {
            for tap in 0..<9 {
                for o in 0..<outputs {
                    destination[(c * 9 + tap) * outputs + o] = source[(o * inputs + c) * 9 + 8 - tap]
                }
            }
        }
        return packed
    }

    /// y = activation(conv(x) + b).
    ///
    /// - Parameters:
    ///   - x: Input. // [H, W, Cin]
    ///   - weight: From `pack`. // [Cout, 9 Cin]
    ///   - bias: Bias, if there is one. // [Cout]
    ///   - stride: 1 or 2.
    ///   - y: Output. // [(H-1)/stride + 1, (W-1)/stride + 1, Cout]
    public static func forward(
        _ x: Tensor, weight: FrozenMatrix, bias: Tensor?, stride: Int = 1, activation: LinearKernel.Activation = .none,
        into y: inout Tensor, in workspace: Workspace
    ) {
        let geometry = UnfoldedConvolution(x.shape, y.shape, stride: stride)
        precondition(
            weight.count == geometry.outputs * geometry.depth,
            "weight [\(weight.rows), \(weight.columns)] for \(x.shape)")
        precondition(bias.map { $0.count == geometry.outputs } ?? true)
        let (source, matrix, shift, output) = (x.pointer, weight.operand, bias?.pointer, y.mutablePointer)
        workspace.pool.parallelFor(geometry.bands) { band, worker in
            let range = geometry.multiply(source, matrix, into: output, band: band, in: workspace, worker: worker)
            for pixel in range {
                LinearKernel.finishRow(
                    output + pixel * geometry.outputs, bias: shift, residual: nil, activation: activation,
                    count: geometry.outputs)
            }
        }
    }

    /// h = conv(x) + b and y = GELU(h) in one pass, keeping h for backward; shapes as in `forward`.
    public static func forwardKeepingPreActivation(
        _ x: Tensor, weight: FrozenMatrix, bias: Tensor?, stride: Int = 1, preActivation h: inout Tensor,
        into y: inout Tensor, in workspace: Workspace
    ) {
        let geometry = UnfoldedConvolution(x.shape, y.shape, stride: stride)
        precondition(
            weight.count == geometry.outputs * geometry.depth,
            "weight [\(weight.rows), \(weight.columns)] for \(x.shape)")
        precondition(bias.map { $0.count == geometry.outputs } ?? true && h.count == y.count)
        let (source, matrix, shift) = (x.pointer, weight.operand, bias?.pointer)
        let (before, after) = (h.mutablePointer, y.mutablePointer)
        workspace.pool.parallelFor(geometry.bands) { band, worker in
            let range = geometry.multiply(source, matrix, into: before, band: band, in: workspace, worker: worker)
            for pixel in range {
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
    ///   - dY: Output gradient. // [(H-1)/stride + 1, (W-1)/stride + 1, Cout]
    ///   - weight: From `packForBackward`. // [Cin, 9 Cout]
    ///   - dX: Input gradient. // [H, W, Cin]
    public static func backwardInput(
        _ dY: Tensor, weight: FrozenMatrix, stride: Int = 1, into dX: inout Tensor, in workspace: Workspace
    ) {
        precondition(
            weight.count == 9 * dY.shape[2] * dX.shape[2], "weight [\(weight.rows), \(weight.columns)] for \(dY.shape)")
        if stride == 1 {
            forward(dY, weight: weight, bias: nil, into: &dX, in: workspace)
            return
        }
        let geometry = UnfoldedConvolution(dX.shape, dY.shape, stride: stride)
        let (gradient, matrix, output) = (dY.pointer, weight.operand, dX.mutablePointer)
        workspace.pool.parallelFor(geometry.height) { row, _ in
            let products = StridedAdjoint(geometry: geometry, gradient: gradient, matrix: matrix, output: output)
            if row % 2 == 0 {
                products.row(row, from: row / 2, ky: 1, beta: 0)
            } else {
                products.row(row, from: (row - 1) / 2, ky: 2, beta: 0)
                if (row + 1) / 2 < geometry.outputHeight { products.row(row, from: (row + 1) / 2, ky: 0, beta: 1) }
            }
        }
    }
}

/// The extents of one 3x3 convolution and its cut into bands.
struct UnfoldedConvolution {
    let height, width, inputs: Int
    let outputHeight, outputWidth, outputs: Int
    let stride, bandRows: Int

    init(_ x: Shape, _ y: Shape, stride: Int) {
        precondition(x.rank == 3 && y.rank == 3 && (stride == 1 || stride == 2), "3x3 convolution of \(x) by \(stride)")
        (height, width, inputs) = (x[0], x[1], x[2])
        (outputHeight, outputWidth, outputs) = (y[0], y[1], y[2])
        self.stride = stride
        precondition(
            outputHeight == Convolution3x3Kernel.outputExtent(height, stride: stride)
                && outputWidth == Convolution3x3Kernel.outputExtent(width, stride: stride),
            "3x3 convolution of \(x) with stride \(stride) does not give \(y)")
        let rowBytes = outputWidth * 9 * inputs * MemoryLayout<Float>.stride
        let shares = (outputHeight + Convolution3x3Kernel.minimumBands - 1) / Convolution3x3Kernel.minimumBands
        bandRows = max(1, min(Convolution3x3Kernel.bandBytes / max(rowBytes, 1), shares))
    }

    /// The inner extent of the product.
    var depth: Int { 9 * inputs }
    var bands: Int { (outputHeight + bandRows - 1) / bandRows }

    /// Unfolds and multiplies one band; returns the output pixels it wrote.
    func multiply(
        _ x: UnsafePointer<Float>, _ weight: MatrixOperand, into y: UnsafeMutablePointer<Float>, band: Int,
        in workspace: Workspace, worker: Int
    ) -> Range<Int> {
        let (unfolded, pixels) = unfold(x, band: band, in: workspace, worker: worker)
        MatrixProduct.multiply(
            m: pixels.count, n: outputs, k: depth, a: unfolded, lda: depth, b: weight, ldb: depth, transposeB: true,
            c: y + pixels.lowerBound * outputs, ldc: outputs)
        return pixels
    }

    /// The neighbours of one band's output pixels, in the worker's scratch. // [pixels, 9 Cin]
    func unfold(
        _ x: UnsafePointer<Float>, band: Int, in workspace: Workspace, worker: Int
    ) -> (unfolded: UnsafePointer<Float>, pixels: Range<Int>) {
        let rows = band * bandRows..<min((band + 1) * bandRows, outputHeight)
        let unfolded = workspace.scratch(worker: worker, slot: 0, floats: bandRows * outputWidth * depth)
        for row in rows { unfold(x, row: row, into: unfolded + (row - rows.lowerBound) * outputWidth * depth) }
        return (UnsafePointer(unfolded), rows.lowerBound * outputWidth..<rows.upperBound * outputWidth)
    }

    /// The neighbours of one output row. // [Wout, 9 Cin]
    private func unfold(_ x: UnsafePointer<Float>, row: Int, into unfolded: UnsafeMutablePointer<Float>) {
        let run = 3 * inputs
        for ky in 0..<3 {
            let inputRow = row * stride + ky - 1
            var destination = unfolded + ky * run
            guard inputRow >= 0 && inputRow < height else {
                for _ in 0..<outputWidth {
                    destination.update(repeating: 0, count: run)
                    destination += depth
                }
                continue
            }
            let source = x + inputRow * width * inputs
            for column in 0..<outputWidth {
                let first = column * stride - 1
                let (lower, upper) = (max(first, 0), min(first + 3, width))
                if first < 0 { destination.update(repeating: 0, count: inputs) }
                (destination + (lower - first) * inputs).update(
                    from: source + lower * inputs, count: (upper - lower) * inputs)
                if upper < first + 3 {
                    (destination + (upper - first) * inputs).update(
                        repeating: 0, count: (first + 3 - upper) * inputs)
                }
                destination += depth
            }
        }
    }
}

/// The products of one row of the input gradient of a convolution with stride 2.
private struct StridedAdjoint {
    let geometry: UnfoldedConvolution
    let gradient: UnsafePointer<Float>
    let matrix: MatrixOperand
    let output: UnsafeMutablePointer<Float>

    /// Adds (or, with beta 0, writes) the contribution of row `source` of dY to one row of dX through one ky's taps.
    func row(_ row: Int, from source: Int, ky: Int, beta: Float) {
        let evens = (geometry.width + 1) / 2
        let odds = geometry.width / 2
        tap(row, parity: 0, source, first: 0, count: evens, ky, kx: 1, beta: beta)
        tap(row, parity: 1, source, first: 0, count: odds, ky, kx: 2, beta: beta)
        tap(row, parity: 1, source, first: 1, count: min(odds, geometry.outputWidth - 1), ky, kx: 0, beta: 1)
    }

    private func tap(
        _ row: Int, parity: Int, _ source: Int, first: Int, count: Int, _ ky: Int, kx: Int, beta: Float
    ) {
        let (inputs, outputs) = (geometry.inputs, geometry.outputs)
        let reversed = 8 - (ky * 3 + kx)
        MatrixProduct.multiply(
            m: count, n: inputs, k: outputs, a: gradient + (source * geometry.outputWidth + first) * outputs,
            lda: outputs, b: matrix, offset: reversed * outputs, ldb: 9 * outputs, transposeB: true,
            c: output + (row * geometry.width + parity) * inputs, ldc: 2 * inputs, beta: beta)
    }
}
