import Kernels
public import Tensors

// With n = norm(x), h = n W1^T + b1, a = GELU(h), y = x + a W2^T + b2:
//   da = dy W2,   dh = da GELU'(h),   dn = dh W1,   dx = dy + norm'(dn)
//   dW2 = dy^T a,   dW1 = dh^T n;   of these, n and a are computed again where weights train

/// The MLP half of an encoder block: x + lin2(GELU(lin1(norm(x)))).
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

    /// Its parameters.
    public var parameters: [Parameter] { norm.parameters + expand.parameters + contract.parameters }

    /// dX = dY + norm'(lin1'(GELU'(lin2'(dY)))), and the gradients of the weights if they train.
    public func backward(
        _ dY: Tensor, _ saved: Residuals, gradients: inout GradientBuffer, in context: PassContext
    ) -> Tensor {
        var dHidden = contract.backwardInput(dY, in: context)
        let statistics: LayerNorm.Residuals
        do {  // the hidden layer is released before the next product
            let hidden = saved.hidden ?? makeHidden(saved.x, in: context)
            addContraction(dY, hidden, &gradients, in: context)
            GELUKernel.backward(&dHidden, preActivation: hidden.preActivation, in: context.workspace)
            statistics = hidden.statistics
        }
        if context.trains(any: expand.parameters) {
            expand.backwardParameters(
                dHidden, input: norm(saved.x, in: context), gradients: &gradients, in: context)
        }
        let dNormal = expand.backwardInput(dHidden, in: context)
        norm.backwardParameters(dNormal, input: saved.x, statistics, gradients: &gradients, in: context)
        var dX = dY
        norm.backward(dNormal, input: saved.x, statistics, addingTo: &dX, in: context)
        return dX
    }

    /// The gradients of the second layer, if it trains.
    private func addContraction(
        _ dY: Tensor, _ hidden: Hidden, _ gradients: inout GradientBuffer, in context: PassContext
    ) {
        guard context.trains(any: contract.parameters) else { return }
        var activated = Tensor(uninitialized: hidden.preActivation.shape)
        GELUKernel.forward(hidden.preActivation, into: &activated, in: context.workspace)
        contract.backwardParameters(dY, input: activated, gradients: &gradients, in: context)
    }

    private func makeHidden(_ x: Tensor, in context: PassContext) -> Hidden {
        let (normal, statistics) = norm.forward(x, in: context)
        return Hidden(statistics: statistics, preActivation: expand(normal, in: context))
    }
}
