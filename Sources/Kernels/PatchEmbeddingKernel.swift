import Machine
public import Tensors

// y[i, j, d] = b[d] + e[i, j, d] + sum_{ky, kx, c} W[d, c, ky, kx] x[P i + ky, P j + kx, c],  P = 16 in SAM
//
// Patches do not overlap. For one ky a patch holds P C adjacent floats of the image, so a patch becomes one row of
// the left factor by P copies. A band of patch rows is gathered into scratch and multiplied in one call.
//
// The image is data and has no gradient. With u[p] the row of patch p, dW[d] = sum over p of dy[p, d] u[p], a product of
// two matrices once all rows stand side by side (`patches`).

/// The convolution with a kernel as large as its stride, which turns an image into patch tokens.
public enum PatchEmbeddingKernel {
    /// Gathered patches of one band: 1 MiB is in L2 or close to it and holds five rows of 64 patches of 16 x 16 x 3.
    static let bandBytes = 1 << 20

    /// The weights in the layout of `forward`.
    ///
    /// - Parameter weight: PyTorch's layout. // [D, C, P, P]
    /// - Returns: Channel-last. // [D, P P C]
    public static func pack(_ weight: Tensor) -> Tensor {
        precondition(weight.shape.rank == 4 && weight.shape[2] == weight.shape[3], "patches in \(weight.shape)")
        let (outputs, channels, taps) = (weight.shape[0], weight.shape[1], weight.shape[2] * weight.shape[3])
        var packed = Tensor(uninitialized: [outputs, taps * channels])
        let (source, destination) = (weight.pointer, packed.mutablePointer)
        for d in 0..<outputs {
            for c in 0..<channels {
                for tap in 0..<taps {
                    destination[(d * taps + tap) * channels + c] = source[(d * channels + c) * taps + tap]
                }
            }
        }
        return packed
    }

    /// The inverse of `pack`. // [D, P P C] -> [D, C, P, P]
    public static func unpack(_ packed: Tensor, channels: Int, patchSize: Int) -> Tensor {
        let (outputs, taps) = (packed.shape[0], patchSize * patchSize)
        precondition(packed.count == outputs * taps * channels, "patches of \(patchSize) in \(packed.shape)")
        var weight = Tensor(uninitialized: [outputs, channels, patchSize, patchSize])
        let (source, destination) = (packed.pointer, weight.mutablePointer)
        for d in 0..<outputs {
            for c in 0..<channels {
                for tap in 0..<taps {
                    destination[(d * channels + c) * taps + tap] = source[(d * taps + tap) * channels + c]
                }
            }
        }
        return weight
    }

    /// Every patch of an image as one row, for the gradient of the weight. // [H, W, C] -> [H/P W/P, P P C]
    public static func patches(_ x: Tensor, patchSize: Int, in workspace: Workspace) -> Tensor {
        let (height, width, channels) = (x.shape[0], x.shape[1], x.shape[2])
        let (rows, columns, run) = (height / patchSize, width / patchSize, patchSize * channels)
        var patches = Tensor(uninitialized: [rows * columns, patchSize * run])
        let (source, destination) = (x.pointer, patches.mutablePointer)
        workspace.pool.parallelFor(rows) { row, _ in
            gather(
                source + row * patchSize * width * channels, lines: patchSize, patchSize: patchSize,
                columns: columns, run: run, to: destination + row * columns * patchSize * run)
        }
        return patches
    }

    /// Copies lines of the image to the rows of their patches.
    @inline(__always)
    private static func gather(
        _ source: UnsafePointer<Float>, lines: Int, patchSize: Int, columns: Int, run: Int,
        to patches: UnsafeMutablePointer<Float>
    ) {
        let depth = patchSize * run
        for line in 0..<lines {
            let pixels = source + line * columns * run
            var patch = patches + line / patchSize * columns * depth + line % patchSize * run
            for column in 0..<columns {
                patch.update(from: pixels + column * run, count: run)
                patch += depth
            }
        }
    }

    /// y = patches(x) W^T + b + e.
    ///
    /// - Parameters:
    ///   - x: Image; H and W are multiples of the patch size. // [H, W, C]
    ///   - weight: From `pack`. // [D, P P C]
    ///   - bias: Bias. // [D]
    ///   - positionEmbedding: Added to the tokens, if there is one. // [H/P, W/P, D]
    ///   - patchSize: P, in pixels.
    ///   - y: Tokens. // [H/P, W/P, D]
    public static func forward(
        _ x: Tensor, weight: FrozenMatrix, bias: Tensor?, positionEmbedding: Tensor? = nil, patchSize: Int = 16,
        into y: inout Tensor, in workspace: Workspace
    ) {
        let (height, width, channels) = (x.shape[0], x.shape[1], x.shape[2])
        let (rows, columns) = (height / patchSize, width / patchSize)
        let (outputs, depth) = (weight.rows, weight.columns)
        precondition(rows * patchSize == height && columns * patchSize == width, "patch \(patchSize) in \(x.shape)")
        precondition(
            depth == patchSize * patchSize * channels, "weight [\(outputs), \(depth)] for patches of \(x.shape)")
        precondition(y.count == rows * columns * outputs && bias.map { $0.count == outputs } ?? true)
        precondition(positionEmbedding.map { $0.count == y.count } ?? true)
        let bandRows = max(1, bandBytes / max(columns * depth * MemoryLayout<Float>.stride, 1))
        let (source, matrix, output) = (x.pointer, weight.operand, y.mutablePointer)
        let (shift, position) = (bias?.pointer, positionEmbedding?.pointer)
        let run = patchSize * channels
        workspace.pool.parallelFor((rows + bandRows - 1) / bandRows) { band, worker in
            let range = band * bandRows..<min((band + 1) * bandRows, rows)
            let patches = workspace.scratch(worker: worker, slot: 0, floats: bandRows * columns * depth)
            gather(
                source + range.lowerBound * patchSize * width * channels, lines: range.count * patchSize,
                patchSize: patchSize, columns: columns, run: run, to: patches)
            let tokens = range.lowerBound * columns..<range.upperBound * columns
            MatrixProduct.multiply(
                m: tokens.count, n: outputs, k: depth, a: patches, lda: depth, b: matrix, ldb: depth,
                transposeB: true, c: output + tokens.lowerBound * outputs, ldc: outputs)
            for token in tokens {
                LinearKernel.finishRow(
                    output + token * outputs, bias: shift, residual: position.map { $0 + token * outputs },
                    activation: .none, count: outputs)
            }
        }
    }
}
