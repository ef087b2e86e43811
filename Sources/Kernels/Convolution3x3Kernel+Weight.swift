import Machine
public import Tensors

// With the input unfolded as in forward, u[p, (ky, kx, c)] for output pixel p:
//   dW[o, (ky, kx, c)] = sum over p of dy[p, o] u[p, (ky, kx, c)]
// One product per band of output rows, whose sums are added in the order of the bands (see BandSums). Bands are those of
// forward, so the unfolded input fits a core's cache; they depend on the shape alone.

extension Convolution3x3Kernel {
    /// Gradient of the weight.
    ///
    /// - Parameters:
    ///   - dY: Gradient of the output before its activation. // [(H-1)/stride + 1, (W-1)/stride + 1, Cout]
    ///   - x: Input of forward. // [H, W, Cin]
    ///   - dW: Written, in PyTorch's layout. // [Cout, Cin, 3, 3]
    public static func backwardWeight(
        _ dY: Tensor, input x: Tensor, stride: Int = 1, into dW: inout Tensor, in workspace: Workspace
    ) {
        let geometry = UnfoldedConvolution(x.shape, dY.shape, stride: stride)
        let (inputs, outputs, count) = (geometry.inputs, geometry.outputs, geometry.outputs * geometry.depth)
        precondition(dW.shape == [outputs, inputs, 3, 3], "a 3x3 convolution weight, not \(dW.shape)")
        let (source, gradient) = (x.pointer, dY.pointer)
        let partial = workspace.jointScratch(floats: (geometry.bands + 1) * count)
        workspace.pool.parallelFor(geometry.bands) { band, worker in
            let (unfolded, pixels) = geometry.unfold(source, band: band, in: workspace, worker: worker)
            MatrixProduct.multiply(
                m: outputs, n: geometry.depth, k: pixels.count, a: gradient + pixels.lowerBound * outputs,
                lda: outputs, transposeA: true, b: unfolded, ldb: geometry.depth, c: partial + band * count,
                ldc: geometry.depth)
        }
        let packed = partial + geometry.bands * count
        BandSums.add(partial, bands: geometry.bands, stride: count, into: packed, count: count, in: workspace)
        unpack(packed, to: dW.mutablePointer, outputs: outputs, inputs: inputs)
    }
}
