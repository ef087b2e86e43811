import Machine
public import Tensors

// h[i, j, c]  = b[c] + sum_{ky, kx} w[ky, kx, c] x[s i + ky - 1, s j + kx - 1, c],  x = 0 outside, s = 1 or 2;  y = act(h)
// dx[p, q, c] = sum w[ky, kx, c] dy[i, j, c] over s i + ky - 1 = p, s j + kx - 1 = q
//
// Nine multiply-adds per number read and written: memory is the limit, so each input is read from memory once. The
// image is cut into tiles of `tileRows` rows and as many columns as `tileBytes` allows. Down a tile, the three input
// rows stay in L2; along a row, blocks of four pixels run over the channels, eight at a time: 18 inputs (stride 1) and
// 9 weights are loaded for 36 vector multiply-adds. Blocks with all nine neighbours inside the image need no bounds
// checks; the image's border goes through `edge`, which clips the taps. Both add taps in the same order, so a pixel's
// bits do not depend on its path. Tried, each with a gain of at most 10 %: blocks of four by two pixels, prefetching
// the next row, clearing the output row first, tiles half or twice as wide.
//
// Backward with stride 1 is the same loop with the taps read in reverse order. With stride 2, row p of dx takes ky = 1 of
// row p/2 (even p), or ky = 2 of row (p-1)/2 and ky = 0 of row (p+1)/2 (odd p), and the same for columns: pixels
// (2j, 2j+1) of dx need only pixels j and j+1 of dy.

/// The depthwise 3x3 convolution with padding 1 and stride 1 or 2, channel-last.
public enum DepthwiseConvolution3x3Kernel {
    /// Three input rows and one output row of a tile: half of a 512 KiB L2.
    static let tileBytes = 1 << 18
    /// The most output rows of a tile; two more input rows are read than used, 12 % from the last-level cache.
    static let tileRows = 16
    /// Tiles are lower when the image would have fewer than this many, so that many threads have work.
    static let minimumBands = 16

    /// The output height or width for an input height or width.
    public static func outputExtent(_ extent: Int, stride: Int) -> Int { (extent - 1) / stride + 1 }

    /// The weights in the layout of `forward` and `backwardInput`.
    ///
    /// - Parameter weight: PyTorch's layout. // [C, 1, 3, 3]
    /// - Returns: Tap-major, channel-last. // [9, C]
    public static func pack(_ weight: Tensor) -> Tensor {
        let channels = weight.shape[0]
        precondition(weight.shape == [channels, 1, 3, 3], "a depthwise 3x3 weight, not \(weight.shape)")
        var packed = Tensor(uninitialized: [9, channels])
        let (source, destination) = (weight.pointer, packed.mutablePointer)
        for c in 0..<channels {
            for tap in 0..<9 { destination[tap * channels + c] = source[c * 9 + tap] }
        }
        return packed
    }

    /// y = activation(conv(x) + b).
    ///
    /// - Parameters:
    ///   - x: Input. // [H, W, C]
    ///   - weight: From `pack`. // [9, C]
    ///   - bias: Bias, if there is one. // [C]
    ///   - stride: 1 or 2.
    ///   - y: Output. // [(H-1)/stride + 1, (W-1)/stride + 1, C]
    public static func forward(
        _ x: Tensor, weight: Tensor, bias: Tensor?, stride: Int = 1, activation: LinearKernel.Activation = .none,
        into y: inout Tensor, in workspace: Workspace
    ) {
        let tiles = DepthwiseTiles(x.shape, y.shape, stride: stride, weight: weight, bias: bias)
        let taps = DepthwiseTaps(weight: weight.pointer, channels: tiles.channels, reversed: false, bias: bias?.pointer)
        let (source, output) = (x.pointer, y.mutablePointer)
        workspace.pool.parallelFor(tiles.count) { tile, _ in
            tiles.forEachSegment(of: tile) { row, columns in
                let start = tiles.run(source, taps, row: row, columns: columns, into: output)
                LinearKernel.finishRow(
                    output + start, bias: nil, residual: nil, activation: activation,
                    count: columns.count * tiles.channels)
            }
        }
    }

    /// h = conv(x) + b and y = GELU(h) in one pass, keeping h for backward; shapes as in `forward`.
    public static func forwardKeepingPreActivation(
        _ x: Tensor, weight: Tensor, bias: Tensor?, stride: Int = 1, preActivation h: inout Tensor,
        into y: inout Tensor, in workspace: Workspace
    ) {
        precondition(h.count == y.count)
        let tiles = DepthwiseTiles(x.shape, y.shape, stride: stride, weight: weight, bias: bias)
        let taps = DepthwiseTaps(weight: weight.pointer, channels: tiles.channels, reversed: false, bias: bias?.pointer)
        let (source, before, after) = (x.pointer, h.mutablePointer, y.mutablePointer)
        workspace.pool.parallelFor(tiles.count) { tile, _ in
            tiles.forEachSegment(of: tile) { row, columns in
                let start = tiles.run(source, taps, row: row, columns: columns, into: before)
                GELUKernel.apply(before + start, after + start, count: columns.count * tiles.channels)
            }
        }
    }

    /// dX from dY (the gradient at the pre-activation).
    ///
    /// - Parameters:
    ///   - dY: Output gradient. // [(H-1)/stride + 1, (W-1)/stride + 1, C]
    ///   - weight: From `pack`. // [9, C]
    ///   - dX: Input gradient. // [H, W, C]
    public static func backwardInput(
        _ dY: Tensor, weight: Tensor, stride: Int = 1, into dX: inout Tensor, in workspace: Workspace
    ) {
        let (gradient, output) = (dY.pointer, dX.mutablePointer)
        if stride == 1 {
            let tiles = DepthwiseTiles(dY.shape, dX.shape, stride: 1, weight: weight, bias: nil)
            let taps = DepthwiseTaps(weight: weight.pointer, channels: tiles.channels, reversed: true, bias: nil)
            workspace.pool.parallelFor(tiles.count) { tile, _ in
                tiles.forEachSegment(of: tile) { row, columns in
                    _ = tiles.run(gradient, taps, row: row, columns: columns, into: output)
                }
            }
            return
        }
        let tiles = DepthwiseTiles(dX.shape, dY.shape, stride: stride, weight: weight, bias: nil)
        let adjoint = DepthwiseStridedAdjoint(
            width: tiles.width, channels: tiles.channels, outputHeight: tiles.outputHeight,
            outputWidth: tiles.outputWidth, gradient: gradient, weight: weight.pointer, output: output)
        let bands = (tiles.height + tileRows - 1) / tileRows
        workspace.pool.parallelFor(bands) { band, _ in
            for row in band * tileRows..<min((band + 1) * tileRows, tiles.height) { adjoint.row(row) }
        }
    }
}
