import Kernels
public import Layers
public import Tensors

// With W x = x W^T + b for each projection:
//   y = W_o attention(W_q q, W_k k, W_v v)
// Backward of a projection is that of Linear. The key's bias adds the same to all scores of a query, which leaves
// softmax unchanged: its gradient is zero and is not computed.

/// Attention of SAM's mask decoder: separate projections of queries, keys and values to an internal width, heads side by
/// side, and a projection back.
public struct TokenAttention: Sendable {
    let query: Linear
    let key: Linear
    let value: Linear
    let output: Linear
    let heads: Int

    /// Width of the projected queries, keys and values.
    var internalWidth: Int { query.outputs }

    /// Requests `q_proj`, `k_proj`, `v_proj` and `out_proj` from a source.
    ///
    /// - Parameters:
    ///   - width: Width of the inputs and the output.
    ///   - internalWidth: Width of all heads together: `width` between tokens, half of it towards the image.
    public init(_ source: some ParameterSource, width: Int, internalWidth: Int, heads: Int) {
        query = Linear(source.scoped("q_proj"), in: width, out: internalWidth)
        key = Linear(source.scoped("k_proj"), in: width, out: internalWidth)
        value = Linear(source.scoped("v_proj"), in: width, out: internalWidth)
        output = Linear(source.scoped("out_proj"), in: internalWidth, out: width)
        self.heads = heads
    }

    /// Its parameters.
    public var parameters: [Parameter] { query.parameters + key.parameters + value.parameters + output.parameters }

    /// The inputs.
    public struct Inputs: Sendable {
        let query: Tensor  // [groups * queries, C]
        let key: Tensor  // [groups * keys, C]
        let value: Tensor  // [groups * keys, C]

        /// Creates inputs.
        public init(query: Tensor, key: Tensor, value: Tensor) {
            (self.query, self.key, self.value) = (query, key, value)
        }
    }

    /// The tensors backward needs: the projections and their results.
    public struct Residuals: Sendable {
        let geometry: AttentionGeometry
        let query: Tensor  // [groups * queries, D]
        let key: Tensor  // [groups * keys, D]
        let value: Tensor  // [groups * keys, D]
        let attended: Tensor  // [groups * queries, D]
        let logSumExp: Tensor  // [groups * heads, queries]
    }

    /// Attention in `groups` that do not attend to each other.
    ///
    /// - Parameters:
    ///   - q: // [groups * queries, C]
    ///   - k: // [groups * keys, C]
    ///   - v: // [groups * keys, C]
    ///   - residual: Added to the result, if any. // [groups * queries, C]
    /// - Returns: // [groups * queries, C]
    public func forward(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, groups: Int, residual: Tensor?, in context: PassContext
    ) -> (Tensor, Residuals) {
        let geometry = AttentionGeometry(
            heads: heads, headDimension: internalWidth / heads, groups: groups, queries: q.shape[0] / groups,
            keys: k.shape[0] / groups)
        let (projectedQuery, projectedKey) = (query(q, in: context), key(k, in: context))
        let projectedValue = value(v, in: context)
        var attended = Tensor(uninitialized: projectedQuery.shape)
        var logSumExp: Tensor? = Tensor(uninitialized: [groups * heads, geometry.queries])
        AttentionKernel.forward(
            query: projectedQuery, key: projectedKey, value: projectedValue, geometry: geometry, into: &attended,
            logSumExp: &logSumExp, in: context.workspace)
        let y = output(attended, residual: residual, in: context)
        let saved = Residuals(
            geometry: geometry, query: projectedQuery, key: projectedKey, value: projectedValue, attended: attended,
            logSumExp: logSumExp ?? Tensor(zeros: [0]))
        return (y, saved)
    }

    /// The gradients of q, k and v (not of `residual`, whose gradient is dY); adds those of the trained parameters.
    ///
    /// - Parameter inputs: Recomputes the inputs; called only if a projection trains.
    public func backward(
        _ dY: Tensor, _ saved: Residuals, inputs: () -> Inputs, gradients: inout GradientBuffer,
        in context: PassContext
    ) -> (dQuery: Tensor, dKey: Tensor, dValue: Tensor) {
        output.backwardParameters(dY, input: saved.attended, gradients: &gradients, in: context)
        let dAttended = output.backwardInput(dY, in: context)
        var dQuery = Tensor(uninitialized: saved.query.shape)
        var dKey = Tensor(uninitialized: saved.key.shape)
        var dValue = Tensor(uninitialized: saved.value.shape)
        AttentionKernel.backward(
            dOutput: dAttended, output: saved.attended, logSumExp: saved.logSumExp, query: saved.query, key: saved.key,
            value: saved.value, geometry: saved.geometry, dQuery: &dQuery, dKey: &dKey, dValue: &dValue,
            in: context.workspace)
        if context.trains(any: query.parameters + [key.weight] + value.parameters) {
            let inputs = inputs()
            query.backwardParameters(dQuery, input: inputs.query, gradients: &gradients, in: context)
            key.withoutBias.backwardParameters(dKey, input: inputs.key, gradients: &gradients, in: context)
            value.backwardParameters(dValue, input: inputs.value, gradients: &gradients, in: context)
        }
        return (
            query.backwardInput(dQuery, in: context), key.backwardInput(dKey, in: context),
            value.backwardInput(dValue, in: context)
        )
    }
}
