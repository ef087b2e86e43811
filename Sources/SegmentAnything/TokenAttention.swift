public import Kernels
public import Layers
public import Tensors

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

    /// Asks a source for `q_proj`, `k_proj`, `v_proj` and `out_proj`.
    ///
    /// - Parameters:
    ///   - width: Width of what comes in and goes out.
    ///   - internalWidth: Width of all heads together: `width` among tokens, half of it towards the image.
    public init(_ source: some ParameterSource, width: Int, internalWidth: Int, heads: Int) {
        query = Linear(source.scoped("q_proj"), in: width, out: internalWidth)
        key = Linear(source.scoped("k_proj"), in: width, out: internalWidth)
        value = Linear(source.scoped("v_proj"), in: width, out: internalWidth)
        output = Linear(source.scoped("out_proj"), in: internalWidth, out: width)
        self.heads = heads
    }

    /// What backward needs: the projections and what came of them.
    public struct Residuals: Sendable {
        let geometry: AttentionGeometry
        let query: Tensor  // [groups * queries, D]
        let key: Tensor  // [groups * keys, D]
        let value: Tensor  // [groups * keys, D]
        let attended: Tensor  // [groups * queries, D]
        let logSumExp: Tensor  // [groups * heads, queries]
    }

    /// Attention in `groups` that do not see each other.
    ///
    /// - Parameters:
    ///   - q: // [groups * queries, C]
    ///   - k: // [groups * keys, C]
    ///   - v: // [groups * keys, C]
    ///   - residual: Added to the result, if given. // [groups * queries, C]
    /// - Returns: // [groups * queries, C]
    public func forward(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, groups: Int, residual: Tensor?, in workspace: Workspace
    ) -> (Tensor, Residuals) {
        let geometry = AttentionGeometry(
            heads: heads, headDimension: internalWidth / heads, groups: groups, queries: q.shape[0] / groups,
            keys: k.shape[0] / groups)
        let (projectedQuery, projectedKey) = (query(q, in: workspace), key(k, in: workspace))
        let projectedValue = value(v, in: workspace)
        var attended = Tensor(uninitialized: projectedQuery.shape)
        var logSumExp: Tensor? = Tensor(uninitialized: [groups * heads, geometry.queries])
        AttentionKernel.forward(
            query: projectedQuery, key: projectedKey, value: projectedValue, geometry: geometry, into: &attended,
            logSumExp: &logSumExp, in: workspace)
        let y = output(attended, residual: residual, in: workspace)
        let saved = Residuals(
            geometry: geometry, query: projectedQuery, key: projectedKey, value: projectedValue, attended: attended,
            logSumExp: logSumExp ?? Tensor(zeros: [0]))
        return (y, saved)
    }

    /// The gradients of q, k and v (not of `residual`, which passes dY on).
    public func backward(
        _ dY: Tensor, _ saved: Residuals, in workspace: Workspace
    ) -> (dQuery: Tensor, dKey: Tensor, dValue: Tensor) {
        let dAttended = output.backwardInput(dY, in: workspace)
        var dQuery = Tensor(uninitialized: saved.query.shape)
        var dKey = Tensor(uninitialized: saved.key.shape)
        var dValue = Tensor(uninitialized: saved.value.shape)
        AttentionKernel.backward(
            dOutput: dAttended, output: saved.attended, logSumExp: saved.logSumExp, query: saved.query, key: saved.key,
            value: saved.value, geometry: saved.geometry, dQuery: &dQuery, dKey: &dKey, dValue: &dValue, in: workspace)
        return (
            query.backwardInput(dQuery, in: workspace), key.backwardInput(dKey, in: workspace),
            value.backwardInput(dValue, in: workspace)
        )
    }
}
