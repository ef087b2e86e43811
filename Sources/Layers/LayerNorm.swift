public import Kernels
public import Tensors

/// Layer normalisation over channels with a frozen scale and shift (torch.nn.LayerNorm; SAM's LayerNorm2d on
/// channel-last activations).
public struct LayerNorm: Sendable {
    /// // [C]
    public let scale: Tensor
    /// // [C]
    public let shift: Tensor
    /// Added to the variance: 1e-6 in SAM's encoder and LayerNorm2d, 1e-5 in its decoder and in TinyViT.
    public let epsilon: Float

    /// Mean and reciprocal deviation of each row. // [T, 2]
    public typealias Residuals = Tensor

    /// Asks a source for `weight` and `bias`.
    public init(_ source: some ParameterSource, width: Int, epsilon: Float) {
        scale = source.tensor("weight", [width])
        shift = source.tensor("bias", [width])
        self.epsilon = epsilon
    }

    /// The normalised rows. // [T, C] -> [T, C]
    public func callAsFunction(_ x: Tensor, in workspace: Workspace) -> Tensor {
        var y = Tensor(uninitialized: x.shape)
        var nothing: Tensor?
        LayerNormKernel.forward(
            x, scale: scale, shift: shift, epsilon: epsilon, into: &y, statistics: &nothing, in: workspace)
        return y
    }

    /// The normalised rows and their statistics.
    public func forward(_ x: Tensor, in workspace: Workspace) -> (Tensor, Residuals) {
        var y = Tensor(uninitialized: x.shape)
        let statistics = forward(x, into: &y, in: workspace)
        return (y, statistics)
    }

    /// The normalised rows into the first rows of y, which may have more.
    public func forward(_ x: Tensor, into y: inout Tensor, in workspace: Workspace) -> Residuals {
        var statistics: Tensor? = Tensor(uninitialized: [x.count / scale.count, 2])
        LayerNormKernel.forward(
            x, scale: scale, shift: shift, epsilon: epsilon, into: &y, statistics: &statistics, in: workspace)
        return statistics ?? Tensor(zeros: [0])
    }

    /// dX from dY, whose rows beyond those of the input are ignored.
    public func backward(_ dY: Tensor, input x: Tensor, _ saved: Residuals, in workspace: Workspace) -> Tensor {
        var dX = Tensor(uninitialized: x.shape)
        LayerNormKernel.backward(
            dY, input: x, scale: scale, statistics: saved, into: &dX, accumulating: false, in: workspace)
        return dX
    }

    /// dX += the gradient from dY.
    public func backward(
        _ dY: Tensor, input x: Tensor, _ saved: Residuals, addingTo dX: inout Tensor, in workspace: Workspace
    ) {
        LayerNormKernel.backward(
            dY, input: x, scale: scale, statistics: saved, into: &dX, accumulating: true, in: workspace)
    }
}
