public import Kernels
public import Tensors

/// The MLP half of an encoder block: x + lin2(GELU(lin1(norm(x)))).
public struct FeedForward: Sendable {
    let norm: LayerNorm
    let expand: Linear
    let contract: Linear

    /// What backward needs: with the usual fourfold width 5 D + 2 floats per token, or D when the hidden layer is made
    /// again.
    public struct Residuals: Sendable {
        let x: Tensor  // [T, D]
        let hidden: Hidden?

        /// Residuals of which backward makes the hidden layer again.
        public init(x: Tensor) { (self.x, hidden) = (x, nil) }

        fileprivate init(x: Tensor, hidden: Hidden) { (self.x, self.hidden) = (x, hidden) }
    }

    /// The way to the activation.
    struct Hidden: Sendable {
        let statistics: LayerNorm.Residuals  // [T, 2]
        let preActivation: Tensor  // [T, 4 D]
    }

    /// Puts the half block together.
    public init(norm: LayerNorm, expand: Linear, contract: Linear) {
        (self.norm, self.expand, self.contract) = (norm, expand, contract)
    }

    /// The block half without anything kept. // [T, D] -> [T, D]
    public func callAsFunction(_ x: Tensor, in workspace: Workspace) -> Tensor {
        let hidden = expand(norm(x, in: workspace), activation: .gelu, in: workspace)
        return contract(hidden, residual: x, in: workspace)
    }

    /// The block half and its residuals.
    public func forward(_ x: Tensor, in workspace: Workspace) -> (Tensor, Residuals) {
        let (normal, statistics) = norm.forward(x, in: workspace)
        let tokens = x.count / expand.inputs
        var preActivation = Tensor(uninitialized: [tokens, expand.outputs])
        var hidden = Tensor(uninitialized: [tokens, expand.outputs])
        LinearKernel.forwardKeepingPreActivation(
            normal, weight: expand.weight, bias: expand.bias, preActivation: &preActivation, into: &hidden,
            in: workspace)
        let y = contract(hidden, residual: x, in: workspace)
        return (y, Residuals(x: x, hidden: Hidden(statistics: statistics, preActivation: preActivation)))
    }

    /// The block half and its residuals, of which all levels but `none` leave out the hidden layer.
    public func forward(_ x: Tensor, recompute: RecomputeLevel, in workspace: Workspace) -> (Tensor, Residuals) {
        recompute == .none ? forward(x, in: workspace) : (self(x, in: workspace), Residuals(x: x))
    }

    /// dX = dY + norm'(lin1'(GELU'(lin2'(dY)))).
    public func backward(_ dY: Tensor, _ saved: Residuals, in workspace: Workspace) -> Tensor {
        var dHidden = contract.backwardInput(dY, in: workspace)
        let statistics: LayerNorm.Residuals
        do {  // the hidden layer is let go before the next product
            let hidden = saved.hidden ?? makeHidden(saved.x, in: workspace)
            GELUKernel.backward(&dHidden, preActivation: hidden.preActivation, in: workspace)
            statistics = hidden.statistics
        }
        let dNormal = expand.backwardInput(dHidden, in: workspace)
        var dX = dY
        norm.backward(dNormal, input: saved.x, statistics, addingTo: &dX, in: workspace)
        return dX
    }

    private func makeHidden(_ x: Tensor, in workspace: Workspace) -> Hidden {
        let (normal, statistics) = norm.forward(x, in: workspace)
        return Hidden(statistics: statistics, preActivation: expand(normal, in: workspace))
    }
}
