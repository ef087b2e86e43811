import Kernels
import Layers
import Tensors

// For one prompt, from its image X [T, C] and the rows hyper[m, C / 8] of the wanted masks:
//   transposed convolution C -> C/4 (2 x 2, stride 2), LayerNorm2d, GELU, transposed convolution C/4 -> C/8, GELU: U
//   logit[m, pixel] = hyper[m] . U[pixel]
// A transposed convolution whose stride is its kernel's side is a product per position, W'[(a, b, out), in] x; its pixels
// stay in position order (see SubpixelKernel), and only the logits are brought into raster order.
//
// Nothing of 16 T pixels is kept for backward: U and what leads to it are made again from X, one prompt at a time.

/// The mask decoder's way from an image at 1/16 scale to mask logits at 1/4.
struct MaskUpscaling: Sendable {
    private let first: Linear  // [4 C/4, C]
    private let norm: LayerNorm
    private let second: Linear  // [4 C/8, C/4]

    /// Asks a source for `output_upscaling.0`, `.1` and `.3`.
    init(_ source: some ParameterSource, width: Int) {
        first = Self.transposedConvolution(source.scoped("0"), from: width, to: width / 4)
        norm = LayerNorm(source.scoped("1"), width: width / 4, epsilon: 1e-6)
        second = Self.transposedConvolution(source.scoped("3"), from: width / 4, to: width / 8)
    }

    /// Reorders a transposed convolution's weight [in, out, a, b] into that of a product, [(a, b, out), in].
    private static func transposedConvolution(
        _ source: some ParameterSource, from inputs: Int, to outputs: Int
    ) -> Linear {
        let weight = source.derived("product", [4 * outputs, inputs]) {
            let stored = source.tensor("weight", [inputs, outputs, 2, 2])
            var weight = Tensor(uninitialized: [4 * outputs, inputs])
            let (from, to) = (stored.pointer, weight.mutablePointer)
            for input in 0..<inputs {
                for output in 0..<outputs {
                    for part in 0..<4 {
                        to[(part * outputs + output) * inputs + input] = from[(input * outputs + output) * 4 + part]
                    }
                }
            }
            return weight
        }
        let bias = source.derived("repeated_bias", [4 * outputs]) {
            let bias = source.tensor("bias", [outputs])
            return Tensor((0..<4).flatMap { _ in bias.elements }, [4 * outputs])
        }
        return Linear(weight: weight, bias: bias)
    }

    /// The mask logits of one prompt in position order. // [T, C], [m, C / 8] -> [16 T, m]
    func callAsFunction(_ image: Tensor, hyper: Tensor, in workspace: Workspace) -> Tensor {
        let normal = norm(pixels(first(image, in: workspace), norm.scale.count), in: workspace)
        var active = Tensor(uninitialized: normal.shape)
        GELUKernel.forward(normal, into: &active, in: workspace)
        let upscaled = second(active, activation: .gelu, in: workspace)
        return Linear(weight: hyper, bias: nil)(pixels(upscaled, hyper.shape[1]), in: workspace)
    }

    /// The gradients of one prompt's image and hypernetwork rows.
    ///
    /// - Parameter dLogits: One mask, in position order. // [1, 16 T]
    /// - Returns: // [T, C], [1, C / 8]
    func backward(
        _ dLogits: Tensor, image: Tensor, hyper: Tensor, in workspace: Workspace
    ) -> (dImage: Tensor, dHyper: Tensor) {
        let before = pixels(first(image, in: workspace), norm.scale.count)
        let (normal, statistics) = norm.forward(before, in: workspace)
        var active = Tensor(uninitialized: normal.shape)
        GELUKernel.forward(normal, into: &active, in: workspace)
        let preActivation = second(active, in: workspace)
        var upscaled = Tensor(uninitialized: preActivation.shape)
        GELUKernel.forward(preActivation, into: &upscaled, in: workspace)

        let count = hyper.shape[1]
        let dHyper = Linear(weight: pixels(upscaled, count), bias: nil).backwardInput(dLogits, in: workspace)
        var gradient = Linear(weight: hyper, bias: nil).backwardInput(
            dLogits.reshaped([dLogits.count, 1]), in: workspace)
        GELUKernel.backward(&gradient, preActivation: preActivation, in: workspace)
        var dActive = second.backwardInput(gradient, in: workspace)
        GELUKernel.backward(&dActive, preActivation: normal, in: workspace)
        let dBefore = norm.backward(dActive, input: before, statistics, in: workspace)
        return (first.backwardInput(dBefore, in: workspace), dHyper)
    }

    private func pixels(_ x: Tensor, _ channels: Int) -> Tensor { x.reshaped([x.count / channels, channels]) }
}
