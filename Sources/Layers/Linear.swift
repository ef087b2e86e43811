public import Kernels
public import Tensors

// y = x W^T + b
// dx = dy W,   dW = dy^T x,   db = sum of dy over rows

/// y = x W^T + b (torch.nn.Linear; also a convolution of kernel 1 on channel-last activations).
public struct Linear: Sendable {
    /// // [out, in]
    public let weight: Parameter
    /// // [out]
    public let bias: Parameter?
    private let frozen: FrozenMatrix

    /// Creates a layer from a weight of two dimensions and an optional bias.
    public init(weight: Parameter, bias: Parameter?) {
        precondition(weight.shape.rank == 2, "a weight of two dimensions, not \(weight.shape)")
        (self.weight, self.bias) = (weight, bias)
        frozen = FrozenMatrix(weight.frozen)
    }

    /// Creates a layer from values that never train.
    public init(weight: Tensor, bias: Tensor?) {
        self.init(weight: Parameter(weight), bias: bias.map { Parameter($0) })
    }

    /// Requests `weight` and `bias` from a source.
    public init(_ source: some ParameterSource, in inputs: Int, out outputs: Int, bias: Bool = true) {
        self.init(
            weight: source.parameter("weight", [outputs, inputs]),
            bias: bias ? source.parameter("bias", [outputs]) : nil)
    }

    /// Width of the output.
    public var outputs: Int { frozen.rows }
    /// Width of the input.
    public var inputs: Int { frozen.columns }

    /// The same weight without the bias.
    public var withoutBias: Linear { Linear(weight: weight, bias: nil) }

    /// Its parameters.
    public var parameters: [Parameter] { [weight] + (bias.map { [$0] } ?? []) }

    /// The weight in this pass, in the form that products read. // [out, in]
    public func matrix(in context: PassContext) -> FrozenMatrix {
        context.trains(weight) ? FrozenMatrix(context.value(of: weight)) : frozen
    }

    /// The bias in this pass. // [out]
    public func shift(in context: PassContext) -> Tensor? { bias.map { context.value(of: $0) } }

    /// activation(x W^T + b) + residual. // [T, in] -> [T, out]
    public func callAsFunction(
        _ x: Tensor, activation: LinearKernel.Activation = .none, residual: Tensor? = nil, in context: PassContext
    ) -> Tensor {
        var y = Tensor(uninitialized: [x.count / inputs, outputs])
        LinearKernel.forward(
            x, weight: matrix(in: context), bias: shift(in: context), activation: activation, residual: residual,
            into: &y, in: context.workspace)
        return y
    }

    /// GELU(h) and h = x W^T + b, which backward needs. // [T, in] -> 2 x [T, out]
    public func forwardKeepingPreActivation(
        _ x: Tensor, in context: PassContext
    ) -> (y: Tensor, preActivation: Tensor) {
        var preActivation = Tensor(uninitialized: [x.count / inputs, outputs])
        var y = Tensor(uninitialized: preActivation.shape)
        LinearKernel.forwardKeepingPreActivation(
            x, weight: matrix(in: context), bias: shift(in: context), preActivation: &preActivation, into: &y,
            in: context.workspace)
        return (y, preActivation)
    }

    /// dX = dY W. // [T, out] -> [T, in]
    public func backwardInput(_ dY: Tensor, in context: PassContext) -> Tensor {
        matrix(in: context).pulledBack(dY, in: context.workspace)
    }

    /// dX += dY W.
    public func backwardInput(_ dY: Tensor, addingTo dX: inout Tensor, in context: PassContext) {
        LinearKernel.backwardInput(
            dY, weight: matrix(in: context), into: &dX, accumulating: true, in: context.workspace)
    }

    /// Adds dW and db if they train.
    ///
    /// - Parameters:
    ///   - dY: Gradient before any activation. // [T, out]
    ///   - x: Input of the forward pass. // [T, in]
    public func backwardParameters(
        _ dY: Tensor, input x: Tensor, gradients: inout GradientBuffer, in context: PassContext
    ) {
        if let slot = context.slot(of: weight) {
            var dWeight = Tensor(uninitialized: [outputs, inputs])
            LinearKernel.backwardWeight(dY, input: x, into: &dWeight, in: context.workspace)
            gradients.add(dWeight, at: slot)
        }
        if let bias, let slot = context.slot(of: bias) {
            var dBias = Tensor(uninitialized: [outputs])
            LinearKernel.backwardBias(dY, into: &dBias, in: context.workspace)
            gradients.add(dBias, at: slot)
        }
    }
}

extension FrozenMatrix {
    /// x W^T, with this matrix as W. // [T, columns] -> [T, rows]
    public func applied(to x: Tensor, in workspace: Workspace) -> Tensor {
        var y = Tensor(uninitialized: [x.count / columns, rows])
        LinearKernel.forward(x, weight: self, bias: nil, into: &y, in: workspace)
        return y
    }

    /// y W, with this matrix as W. // [T, rows] -> [T, columns]
    public func pulledBack(_ y: Tensor, in workspace: Workspace) -> Tensor {
        var x = Tensor(uninitialized: [y.count / rows, columns])
        LinearKernel.backwardInput(y, weight: self, into: &x, in: workspace)
        return x
    }
}
