import Kernels
import Layers
import Tensors

// For one prompt, from its image X [T, C] and the rows hyper[m, C / 8] of the requested masks:
//   transposed convolution C -> C/4 (2 x 2, stride 2), LayerNorm2d, GELU, transposed convolution C/4 -> C/8, GELU: U
//   logit[m, pixel] = hyper[m] . U[pixel]
// A transposed convolution whose stride is its kernel's side is a product per position, W'[(a, b, out), in] x; its pixels
// stay in position order (see SubpixelKernel), and only the logits are converted to raster order.
//
// Nothing of 16 T pixels is kept for backward: U and its intermediate results are recomputed from X, prompt by prompt.

/// The upscaling part of the mask decoder: from an image at 1/16 scale to mask logits at 1/4.
struct MaskUpscaling: Sendable {
    private let layers: SubpixelUpscaling

    /// Requests `output_upscaling.0`, `.1` and `.3` from a source.
    init(_ source: some ParameterSource, width: Int) {
        layers = SubpixelUpscaling(source, from: width, through: width / 4, to: width / 8)
    }

    /// Its parameters.
    var parameters: [Parameter] { layers.parameters }

    /// The products of one pass, for all its prompts.
    func products(in context: PassContext) -> SubpixelUpscaling.Products { layers.products(in: context) }

    /// The upscaled pixels U of one prompt in position order. // [T, C] -> [16 T, C / 8]
    func callAsFunction(
        _ image: Tensor, _ products: SubpixelUpscaling.Products, in context: PassContext
    ) -> Tensor {
        layers(image, products, activation: .gelu, in: context)
    }

    /// The mask logits of upscaled pixels. // [16 T, C / 8], [m, C / 8] -> [16 T, m]
    static func logits(_ pixels: Tensor, hyper: Tensor, in workspace: Workspace) -> Tensor {
        FrozenMatrix(hyper).applied(to: pixels, in: workspace)
    }

    /// The tensors that backward recomputes for one prompt.
    struct Remade {
        let residuals: SubpixelUpscaling.Residuals
        let preActivation: Tensor  // [16 T, C / 8]
        /// U. // [16 T, C / 8]
        let pixels: Tensor
    }

    /// Recomputes U and its intermediate results from a prompt's image.
    func remake(_ image: Tensor, _ products: SubpixelUpscaling.Products, in context: PassContext) -> Remade {
        let (preActivation, residuals) = layers.forward(image, products, in: context)
        var pixels = Tensor(uninitialized: preActivation.shape)
        GELUKernel.forward(preActivation, into: &pixels, in: context.workspace)
        return Remade(residuals: residuals, preActivation: preActivation, pixels: pixels)
    }

    /// The gradient of U from that of the logits in position order. // [m, 16 T], [m, C / 8] -> [16 T, C / 8]
    static func backwardPixels(_ dLogits: Tensor, hyper: Tensor, in workspace: Workspace) -> Tensor {
        let (masks, count) = (dLogits.shape[0], dLogits.shape[1])
        let columns =
            masks == 1
            ? dLogits.reshaped([count, 1]) : ElementwiseKernel.transpose(dLogits, rows: masks, columns: count)
        return FrozenMatrix(hyper).pulledBack(columns, in: workspace)
    }

    /// The gradient of the hypernetwork rows. // [m, 16 T], [16 T, C / 8] -> [m, C / 8]
    static func backwardHyper(_ dLogits: Tensor, pixels: Tensor, in workspace: Workspace) -> Tensor {
        FrozenMatrix(pixels).pulledBack(dLogits, in: workspace)
    }

    /// The gradient of a prompt's image from that of U, which is overwritten; adds those of the trained parameters.
    /// // [16 T, C / 8] -> [T, C]
    func backward(
        _ dPixels: inout Tensor, image: Tensor, _ remade: Remade, _ products: SubpixelUpscaling.Products,
        gradients: inout GradientBuffer, in context: PassContext
    ) -> Tensor {
        GELUKernel.backward(&dPixels, preActivation: remade.preActivation, in: context.workspace)
        let dImage = layers.backward(
            dPixels, input: image, remade.residuals, products, gradients: &gradients, in: context)
        guard let dImage else { preconditionFailure("the gradient of the image was asked for") }
        return dImage
    }
}
