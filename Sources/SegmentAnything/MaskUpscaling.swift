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
    private let first: TransposedConvolution2x2  // C -> C / 4
    private let norm: LayerNorm
    private let second: TransposedConvolution2x2  // C / 4 -> C / 8

    /// Requests `output_upscaling.0`, `.1` and `.3` from a source.
    init(_ source: some ParameterSource, width: Int) {
        first = TransposedConvolution2x2(source.scoped("0"), from: width, to: width / 4)
        norm = LayerNorm(source.scoped("1"), width: width / 4, epsilon: 1e-6)
        second = TransposedConvolution2x2(source.scoped("3"), from: width / 4, to: width / 8)
    }

    /// Its parameters.
    var parameters: [Parameter] { first.parameters + norm.parameters + second.parameters }

    /// The products of one pass, for all its prompts.
    struct Products {
        let first: SubpixelProduct
        let second: SubpixelProduct
    }

    func products(in context: PassContext) -> Products {
        Products(first: first.product(in: context), second: second.product(in: context))
    }

    /// The upscaled pixels U of one prompt in position order. // [T, C] -> [16 T, C / 8]
    func callAsFunction(_ image: Tensor, _ products: Products, in context: PassContext) -> Tensor {
        let workspace = context.workspace
        let normal = norm(pixels(products.first(image, in: workspace), norm.width), in: context)
        var active = Tensor(uninitialized: normal.shape)
        GELUKernel.forward(normal, into: &active, in: workspace)
        let upscaled = products.second(active, activation: .gelu, in: workspace)
        return pixels(upscaled, norm.width / 2)
    }

    /// The mask logits of upscaled pixels. // [16 T, C / 8], [m, C / 8] -> [16 T, m]
    static func logits(_ pixels: Tensor, hyper: Tensor, in workspace: Workspace) -> Tensor {
        FrozenMatrix(hyper).applied(to: pixels, in: workspace)
    }

    /// The tensors that backward recomputes for one prompt.
    struct Remade {
        let before: Tensor  // [4 T, C / 4]
        let normal: Tensor  // [4 T, C / 4]
        let statistics: LayerNorm.Residuals
        let active: Tensor  // [4 T, C / 4]
        let preActivation: Tensor  // [4 T, C / 2]
        /// U. // [16 T, C / 8]
        let pixels: Tensor
    }

    /// Recomputes U and its intermediate results from a prompt's image.
    func remake(_ image: Tensor, _ products: Products, in context: PassContext) -> Remade {
        let workspace = context.workspace
        let before = pixels(products.first(image, in: workspace), norm.width)
        let (normal, statistics) = norm.forward(before, in: context)
        var active = Tensor(uninitialized: normal.shape)
        GELUKernel.forward(normal, into: &active, in: workspace)
        let preActivation = products.second(active, in: workspace)
        var upscaled = Tensor(uninitialized: preActivation.shape)
        GELUKernel.forward(preActivation, into: &upscaled, in: workspace)
        return Remade(
            before: before, normal: normal, statistics: statistics, active: active, preActivation: preActivation,
            pixels: pixels(upscaled, norm.width / 2))
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
        _ dPixels: inout Tensor, image: Tensor, _ remade: Remade, _ products: Products,
        gradients: inout GradientBuffer, in context: PassContext
    ) -> Tensor {
        let workspace = context.workspace
        GELUKernel.backward(&dPixels, preActivation: remade.preActivation, in: workspace)
        second.backwardParameters(dPixels, input: remade.active, gradients: &gradients, in: context)
        var dActive = products.second.backwardInput(dPixels, in: workspace)
        GELUKernel.backward(&dActive, preActivation: remade.normal, in: workspace)
        norm.backwardParameters(
            dActive, input: remade.before, remade.statistics, gradients: &gradients, in: context)
        let dBefore = norm.backward(dActive, input: remade.before, remade.statistics, in: context)
        first.backwardParameters(dBefore, input: image, gradients: &gradients, in: context)
        return products.first.backwardInput(dBefore, in: workspace)
    }

    private func pixels(_ x: Tensor, _ channels: Int) -> Tensor { x.reshaped([x.count / channels, channels]) }
}
