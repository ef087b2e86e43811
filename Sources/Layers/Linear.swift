public import Kernels
public import Tensors

/// y = x W^T + b with frozen weights (torch.nn.Linear; also a convolution of kernel 1 on channel-last activations).
public struct Linear: Sendable {
    /// // [out, in]
    public let weight: Tensor
    /// // [out]
    public let bias: Tensor?

    /// Takes weights as stored.
    public init(weight: Tensor, bias: Tensor?) { (self.weight, self.bias) = (weight, bias) }

    /// Asks a source for `weight` and `bias`.
    public init(_ source: some ParameterSource, in inputs: Int, out outputs: Int, bias: Bool = true) {
        weight = source.tensor("weight", [outputs, inputs])
        self.bias = bias ? source.tensor("bias", [outputs]) : nil
    }

    /// Width of the output.
    public var outputs: Int { weight.shape[0] }
    /// Width of the input.
    public var inputs: Int { weight.shape[1] }

    /// activation(x W^T + b) + residual. // [T, in] -> [T, out]
    public func callAsFunction(
        _ x: Tensor, activation: LinearKernel.Activation = .none, residual: Tensor? = nil, in workspace: Workspace
    ) -> Tensor {
        var y = Tensor(uninitialized: [x.count / inputs, outputs])
        LinearKernel.forward(
            x, weight: weight, bias: bias, activation: activation, residual: residual, into: &y, in: workspace)
        return y
    }

    /// GELU(h) and h = x W^T + b, which backward needs. // [T, in] -> 2 x [T, out]
    public func forwardKeepingPreActivation(
        _ x: Tensor, in workspace: Workspace
    ) -> (y: Tensor, preActivation: Tensor) {
        var y = Tensor(uninitialized: [x.count / inputs, outputs])
        var preActivation = Tensor(uninitialized: y.shape)
        LinearKernel.forwardKeepingPreActivation(
            x, weight: weight, bias: bias, preActivation: &preActivation, into: &y, in: workspace)
        return (y, preActivation)
    }

    /// dX = dY W. // [T, out] -> [T, in]
    public func backwardInput(_ dY: Tensor, in workspace: Workspace) -> Tensor {
        var dX = Tensor(uninitialized: [dY.count / outputs, inputs])
        LinearKernel.backwardInput(dY, weight: weight, into: &dX, in: workspace)
        return dX
    }

    /// dX += dY W.
    public func backwardInput(_ dY: Tensor, addingTo dX: inout Tensor, in workspace: Workspace) {
        LinearKernel.backwardInput(dY, weight: weight, into: &dX, accumulating: true, in: workspace)
    }
}
