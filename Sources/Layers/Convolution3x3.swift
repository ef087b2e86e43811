import Kernels
public import Tensors

// y[i, j, o] = b[o] + sum_{ky, kx, c} W[o, c, ky, kx] x[i + ky - 1, j + kx - 1, c],  x = 0 outside
// dx is the convolution of dy with the taps reversed,   dW[o, c, ky, kx] = sum_{i, j} dy[i, j, o] x[i + ky - 1, j + kx - 1, c]
//
// Packed weights are made anew for every pass that trains them, at negligible cost beside the product.

/// A 3x3 convolution of stride 1 and padding 1 whose weights can train (torch.nn.Conv2d), channel-last.
public struct Convolution3x3: Sendable {
    /// // [out, in, 3, 3]
    public let weight: Parameter
    /// // [out]
    public let bias: Parameter

    /// Requests `weight` and `bias` from a source.
    public init(_ source: some ParameterSource, from inputs: Int, to outputs: Int) {
        weight = source.parameter("weight", [outputs, inputs, 3, 3])
        bias = source.parameter("bias", [outputs])
    }

    /// Its parameters.
    public var parameters: [Parameter] { [weight, bias] }
    private var inputs: Int { weight.shape[1] }
    private var outputs: Int { weight.shape[0] }

    /// The convolution of an image. // [H, W, in] -> [H, W, out]
    public func callAsFunction(_ x: Tensor, in context: PassContext) -> Tensor {
        var y = Tensor(uninitialized: [x.shape[0], x.shape[1], outputs])
        Convolution3x3Kernel.forward(
            x, weight: FrozenMatrix(Convolution3x3Kernel.pack(context.value(of: weight))),
            bias: context.value(of: bias), into: &y, in: context.workspace)
        return y
    }

    /// dX from dY. // [H, W, out] -> [H, W, in]
    public func backwardInput(_ dY: Tensor, in context: PassContext) -> Tensor {
        var dX = Tensor(uninitialized: [dY.shape[0], dY.shape[1], inputs])
        Convolution3x3Kernel.backwardInput(
            dY, weight: FrozenMatrix(Convolution3x3Kernel.packForBackward(context.value(of: weight))), into: &dX,
            in: context.workspace)
        return dX
    }

    /// Adds dW and db if they train. // dY [H, W, out], x [H, W, in]
    public func backwardParameters(
        _ dY: Tensor, input x: Tensor, gradients: inout GradientBuffer, in context: PassContext
    ) {
        if let slot = context.slot(of: weight) {
            var dWeight = Tensor(uninitialized: weight.shape)
            Convolution3x3Kernel.backwardWeight(dY, input: x, into: &dWeight, in: context.workspace)
            gradients.add(dWeight, at: slot)
        }
        if let slot = context.slot(of: bias) {
            var dBias = Tensor(uninitialized: bias.shape)
            LinearKernel.backwardBias(dY, into: &dBias, in: context.workspace)
            gradients.add(dBias, at: slot)
        }
    }
}
