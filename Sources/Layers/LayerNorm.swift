import Kernels
public import Tensors

// xhat = (x - mean) / sqrt(variance + eps),   y = xhat g + b
// dg = sum of dy xhat over rows,   db = sum of dy over rows;   dx in LayerNormKernel

/// Layer normalisation over channels (torch.nn.LayerNorm; SAM's LayerNorm2d on channel-last activations).
public struct LayerNorm: Sendable {
    /// // [C]
    public let scale: Parameter
    /// // [C]
    public let shift: Parameter
    /// Added to the variance: 1e-6 in SAM's encoder and LayerNorm2d, 1e-5 in its decoder and in TinyViT.
    public let epsilon: Float

    /// Mean and reciprocal deviation of each row. // [T, 2]
    public typealias Residuals = Tensor

    /// Requests `weight` and `bias` from a source.
    public init(_ source: some ParameterSource, width: Int, epsilon: Float) {
        scale = source.parameter("weight", [width])
        shift = source.parameter("bias", [width])
        self.epsilon = epsilon
    }

    /// Its parameters.
    public var parameters: [Parameter] { [scale, shift] }

    /// Channels C.
    public var width: Int { scale.count }

    /// The normalised rows. // [T, C] -> [T, C]
    public func callAsFunction(_ x: Tensor, in context: PassContext) -> Tensor {
        var y = Tensor(uninitialized: x.shape)
        var nothing: Tensor?
        LayerNormKernel.forward(
            x, scale: context.value(of: scale), shift: context.value(of: shift), epsilon: epsilon, into: &y,
            statistics: &nothing, in: context.workspace)
        return y
    }

    /// The normalised rows and their statistics.
    public func forward(_ x: Tensor, in context: PassContext) -> (Tensor, Residuals) {
        var y = Tensor(uninitialized: x.shape)
        let statistics = forward(x, into: &y, in: context)
        return (y, statistics)
    }

    /// Writes the normalised rows to the first rows of y, which may have more.
    public func forward(_ x: Tensor, into y: inout Tensor, in context: PassContext) -> Residuals {
        var statistics: Tensor? = Tensor(uninitialized: [x.count / width, 2])
        LayerNormKernel.forward(
            x, scale: context.value(of: scale), shift: context.value(of: shift), epsilon: epsilon, into: &y,
            statistics: &statistics, in: context.workspace)
        return statistics ?? Tensor(zeros: [0])
    }

    /// dX from dY, whose rows beyond those of the input are ignored.
    public func backward(_ dY: Tensor, input x: Tensor, _ saved: Residuals, in context: PassContext) -> Tensor {
        var dX = Tensor(uninitialized: x.shape)
        LayerNormKernel.backward(
            dY, input: x, scale: context.value(of: scale), statistics: saved, into: &dX, accumulating: false,
            in: context.workspace)
        return dX
    }

    /// dX += the gradient for dY.
    public func backward(
        _ dY: Tensor, input x: Tensor, _ saved: Residuals, addingTo dX: inout Tensor, in context: PassContext
    ) {
        LayerNormKernel.backward(
            dY, input: x, scale: context.value(of: scale), statistics: saved, into: &dX, accumulating: true,
            in: context.workspace)
    }

    /// Adds dg and db if they train.
    public func backwardParameters(
        _ dY: Tensor, input x: Tensor, _ saved: Residuals, gradients: inout GradientBuffer, in context: PassContext
    ) {
        let (scaleSlot, shiftSlot) = (context.slot(of: scale), context.slot(of: shift))
        guard scaleSlot != nil || shiftSlot != nil else { return }
        var (dScale, dShift) = (Tensor(uninitialized: [width]), Tensor(uninitialized: [width]))
        LayerNormKernel.backwardParameters(
            dY, input: x, statistics: saved, scale: &dScale, shift: &dShift, in: context.workspace)
        if let scaleSlot { gradients.add(dScale, at: scaleSlot) }
        if let shiftSlot { gradients.add(dShift, at: shiftSlot) }
    }
}
