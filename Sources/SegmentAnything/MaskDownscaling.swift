import Kernels
import Layers
import Tensors

// From mask prompts M, pixels in position order, with u = convolution 2x2 of stride 2, n = LayerNorm2d(u), a = GELU(n):
//   M -> u1, n1, a1 (C' / 4 channels) -> u2, n2, a2 (C' channels) -> a2 W^T + b (C channels)
// Backward recomputes all of it; masks are data and have no gradient.

/// The dense embedding of mask prompts (`mask_downscaling` in prompt_encoder.py).
struct MaskDownscaling: Sendable {
    private let first: StridedConvolution2x2  // 1 -> c / 4
    private let firstNorm: LayerNorm
    private let second: StridedConvolution2x2  // c / 4 -> c
    private let secondNorm: LayerNorm
    private let last: Linear  // [C, c]

    /// Requests `0`, `1`, `3`, `4` and `6` from a source.
    init(_ source: some ParameterSource, channels: Int, width: Int) {
        first = StridedConvolution2x2(source.scoped("0"), from: 1, to: channels / 4)
        firstNorm = LayerNorm(source.scoped("1"), width: channels / 4, epsilon: 1e-6)
        second = StridedConvolution2x2(source.scoped("3"), from: channels / 4, to: channels)
        secondNorm = LayerNorm(source.scoped("4"), width: channels, epsilon: 1e-6)
        last = Linear(
            weight: source.parameter("6.weight", [width, channels, 1, 1]).reshaped([width, channels]),
            bias: source.parameter("6.bias", [width]))
    }

    /// Its parameters.
    var parameters: [Parameter] {
        first.parameters + firstNorm.parameters + second.parameters + secondNorm.parameters + last.parameters
    }

    /// // [n, 4 h, 4 w] -> [n, h * w, C]
    func callAsFunction(_ masks: Tensor, side: Int, in context: PassContext) -> Tensor {
        let workspace = context.workspace
        let ordered = SubpixelKernel.positionOrder(masks, height: side, width: side)
        let halved = activate(first.product(in: context)(ordered, in: workspace), firstNorm, in: context)
        let quartered = activate(second.product(in: context)(halved, in: workspace), secondNorm, in: context)
        return last(quartered, in: context).reshaped([masks.shape[0], side * side, last.outputs])
    }

    /// Adds the gradients of the trained parameters. // dY [n, h * w, C], masks [n, 4 h, 4 w]
    func backward(
        _ dY: Tensor, masks: Tensor, side: Int, gradients: inout GradientBuffer, in context: PassContext
    ) {
        guard context.trains(any: parameters) else { return }
        let workspace = context.workspace
        let ordered = SubpixelKernel.positionOrder(masks, height: side, width: side)
        let before1 = first.product(in: context)(ordered, in: workspace)
        let (normal1, statistics1) = firstNorm.forward(before1, in: context)
        var active1 = Tensor(uninitialized: normal1.shape)
        GELUKernel.forward(normal1, into: &active1, in: workspace)
        let product2 = second.product(in: context)
        let before2 = product2(active1, in: workspace)
        let (normal2, statistics2) = secondNorm.forward(before2, in: context)
        var active2 = Tensor(uninitialized: normal2.shape)
        GELUKernel.forward(normal2, into: &active2, in: workspace)

        last.backwardParameters(dY, input: active2, gradients: &gradients, in: context)
        var dNormal2 = last.backwardInput(dY, in: context)
        GELUKernel.backward(&dNormal2, preActivation: normal2, in: workspace)
        secondNorm.backwardParameters(dNormal2, input: before2, statistics2, gradients: &gradients, in: context)
        let dBefore2 = secondNorm.backward(dNormal2, input: before2, statistics2, in: context)
        second.backwardParameters(dBefore2, input: active1, gradients: &gradients, in: context)
        var dNormal1 = product2.backwardInput(dBefore2, in: workspace)
        GELUKernel.backward(&dNormal1, preActivation: normal1, in: workspace)
        firstNorm.backwardParameters(dNormal1, input: before1, statistics1, gradients: &gradients, in: context)
        let dBefore1 = firstNorm.backward(dNormal1, input: before1, statistics1, in: context)
        first.backwardParameters(dBefore1, input: ordered, gradients: &gradients, in: context)
    }

    private func activate(_ x: Tensor, _ norm: LayerNorm, in context: PassContext) -> Tensor {
        let normal = norm(x, in: context)
        var y = Tensor(uninitialized: normal.shape)
        GELUKernel.forward(normal, into: &y, in: context.workspace)
        return y
    }
}
