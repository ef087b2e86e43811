import Kernels
import Layers
import Tensors

// On the upscaled pixels U in raster order, [4 h, 4 w, C / 8]:
//   F(U) = conv3x3(GELU(LayerNorm2d(conv3x3(U))))                                      C / 8 -> C / 4 -> C / 8
// Pixels arrive and leave in position order (see SubpixelKernel).

/// The mask-feature branch of HQ-SAM's decoder (`embedding_maskfeature` in sam-hq's mask_decoder_hq.py).
struct MaskFeatureBranch: Sendable {
    private let first: Convolution3x3
    private let norm: LayerNorm
    private let second: Convolution3x3

    /// Requests the convolutions `0` and `3` and the norm `1` from a source.
    ///
    /// - Parameter width: C / 8, channels of the upscaled pixels.
    init(_ source: some ParameterSource, width: Int) {
        first = Convolution3x3(source.scoped("0"), from: width, to: 2 * width)
        norm = LayerNorm(source.scoped("1"), width: 2 * width, epsilon: 1e-6)
        second = Convolution3x3(source.scoped("3"), from: 2 * width, to: width)
    }

    /// The tensors backward needs, all in raster order.
    struct Residuals {
        let raster: Tensor  // [4 h, 4 w, C / 8]
        let convolved: Tensor  // [4 h, 4 w, C / 4]
        let normal: Tensor  // [4 h, 4 w, C / 4]
        let statistics: LayerNorm.Residuals
        let active: Tensor  // [4 h, 4 w, C / 4]
    }

    /// F(U) and its residuals. // [16 T, C / 8] -> [16 T, C / 8]
    func forward(_ pixels: Tensor, in context: PassContext) -> (Tensor, Residuals) {
        let side = Self.gridSide(pixels)
        let raster = SubpixelKernel.rasterRows(pixels, height: side, width: side)
        let convolved = first(raster, in: context)
        let (normal, statistics) = norm.forward(convolved, in: context)
        var active = Tensor(uninitialized: normal.shape)
        GELUKernel.forward(normal, into: &active, in: context.workspace)
        let features = second(active, in: context)
        return (
            SubpixelKernel.positionRows(features, height: side, width: side),
            Residuals(raster: raster, convolved: convolved, normal: normal, statistics: statistics, active: active)
        )
    }

    /// The gradient of U; adds those of the trained parameters. // [16 T, C / 8] -> [16 T, C / 8]
    func backward(
        _ dFeatures: Tensor, _ saved: Residuals, gradients: inout GradientBuffer, in context: PassContext
    ) -> Tensor {
        let side = Self.gridSide(dFeatures)
        let dRaster = SubpixelKernel.rasterRows(dFeatures, height: side, width: side)
        second.backwardParameters(dRaster, input: saved.active, gradients: &gradients, in: context)
        var dActive = second.backwardInput(dRaster, in: context)
        GELUKernel.backward(&dActive, preActivation: saved.normal, in: context.workspace)
        norm.backwardParameters(dActive, input: saved.convolved, saved.statistics, gradients: &gradients, in: context)
        let dConvolved = norm.backward(dActive, input: saved.convolved, saved.statistics, in: context)
        first.backwardParameters(dConvolved, input: saved.raster, gradients: &gradients, in: context)
        return SubpixelKernel.positionRows(first.backwardInput(dConvolved, in: context), height: side, width: side)
    }

    /// Side of the square grid of positions, each of 4 x 4 pixels.
    private static func gridSide(_ pixels: Tensor) -> Int {
        let side = Int(Double(pixels.shape[0] / 16).squareRoot().rounded())
        precondition(16 * side * side == pixels.shape[0], "\(pixels.shape[0]) pixels are no square")
        return side
    }
}
