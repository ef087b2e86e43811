import Kernels
public import Tensors

/// The MLP half of an encoder block: x + lin2(GELU(lin1(norm(x)))). Its own weights are frozen.
public struct FeedForward: Sendable {
    let norm: LayerNorm
    let expand: Linear
    let contract: Linear

    /// The tensors backward needs: with the usual fourfold width 5 D + 2 floats per token, or D when the hidden layer
    /// is recomputed.
    public struct Residuals: Sendable {
        let x: Tensor  // [T, D]
        let hidden: Hidden?

        /// Residuals without the hidden layer, which backward recomputes.
        public init(x: Tensor) { (self.x, hidden) = (x, nil) }

        fileprivate init(x: Tensor, hidden: Hidden) { (self.x, self.hidden) = (x, hidden) }
    }

    /// The intermediate results up to the activation.
    struct Hidden: Sendable {
        let statistics: LayerNorm.Residuals  // [T, 2]
        let preActivation: Tensor  // [T, 4 D]
    }

    /// Creates the half block from its layers.
    public init(norm: LayerNorm, expand: Linear, contract: Linear) {
        (self.norm, self.expand, self.contract) = (norm, expand, contract)
    }

    /// The half block without residuals. // [T, D] -> [T, D]
    public func callAsFunction(_ x: Tensor, in context: PassContext) -> Tensor {
        let hidden = expand(norm(x, in: context), activation: .gelu, in: context)
        return contract(hidden, residual: x, in: context)
    }

    /// The half block and its residuals, without the hidden layer if backward recomputes it.
    public func forward(_ x: Tensor, in context: PassContext) -> (Tensor, Residuals) {
        guard context.recompute == .none else { return (self(x, in: context), Residuals(x: x)) }
        let (normal, statistics) = norm.forward(x, in: context)
        let (hidden, preActivation) = expand.forwardKeepingPreActivation(normal, in: context)
        let y = contract(hidden, residual: x, in: context)
        return (y, Residuals(x: x, hidden: Hidden(statistics: statistics, preActivation: preActivation)))
    }

    /// dX = dY + norm'(lin1'(GELU'(lin2'(dY)))).
    public func backward(_ dY: Tensor, _ saved: Residuals, in context: PassContext) -> Tensor {
        var dHidden = contract.backwardInput(dY, in: context)
        let statistics: LayerNorm.Residuals
        do {  // the hidden layer is released before the next product
            let hidden = saved.hidden ?? makeHidden(saved.x, in: context)
            GELUKernel.backward(&dHidden, preActivation: hidden.preActivation, in: context.workspace)
            statistics = hidden.statistics
        }
        let dNormal = expand.backwardInput(dHidden, in: context)
        var dX = dY
        norm.backward(dNormal, input: saved.x, statistics, addingTo: &dX, in: context)
        return dX
    }

    private func makeHidden(_ x: Tensor, in context: PassContext) -> Hidden {
        let (normal, statistics) = norm.forward(x, in: context)
        return Hidden(statistics: statistics, preActivation: expand(normal, in: context))
    }
}
