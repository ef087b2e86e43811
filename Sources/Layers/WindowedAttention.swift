public import Kernels
public import Tensors

/// The attention half of an encoder block: x + proj(attention(qkv(norm(x)))), in windows or over the whole grid.
///
/// Windows need no copies of the tokens: the projection runs over the T tokens of the image, and attention reads its
/// rows through a table. All positions outside the image have the same projection, so they share one extra token row.
/// SAM pads after the norm (that row is zero), TinyViT before it (that row is the norm's shift).
public struct WindowedAttention: Sendable {
    /// The value that fills window positions outside the image.
    public enum Padding: Sendable {
        /// Zeros after the norm (SAM's ViT).
        case afterNorm
        /// Zeros before the norm (TinyViT), which the norm turns into its shift.
        case beforeNorm
    }

    let norm: LayerNorm
    let qkv: Linear
    let projection: Linear
    let geometry: AttentionGeometry
    private let fixedBias: AttentionBias
    private let positions: RelativePositions?
    let padding: Padding
    /// The site where adapters may change q and v.
    public let site: ProjectionSite

    /// The tensors backward needs: 7 D + 8 floats per token.
    public struct Residuals: Sendable {
        let x: Tensor  // [T, D]
        let statistics: LayerNorm.Residuals  // [T, 2]
        let qkv: Tensor  // [T (+1), 3 D]
        let attended: Tensor  // [T, D]
        let logSumExp: Tensor  // [groups * heads, queries]
        /// The residuals of each adapter active here.
        let adapters: [[Tensor]]
    }

    /// Creates the half block; `qkv`'s output columns are [q | k | v], each with its heads side by side.
    ///
    /// - Parameters:
    ///   - bias: What is added to the scores, if it never trains.
    ///   - positions: Relative positions in its place.
    public init(
        norm: LayerNorm, qkv: Linear, projection: Linear, geometry: AttentionGeometry, bias: AttentionBias = .none,
        positions: RelativePositions? = nil, padding: Padding, site: ProjectionSite
    ) {
        (self.norm, self.qkv, self.projection) = (norm, qkv, projection)
        (self.geometry, fixedBias, self.positions) = (geometry, bias, positions)
        (self.padding, self.site) = (padding, site)
    }

    /// Whether weights of its own have places among the trained values.
    public var canTrain: Bool {
        (norm.parameters + qkv.parameters + projection.parameters).contains { $0.slot != nil }
            || positions?.canTrain == true
    }

    /// What is added to the scores in this pass.
    private func bias(in context: PassContext) -> AttentionBias { positions?.bias(in: context) ?? fixedBias }

    /// The same weights over one sequence of `rows` tokens, which all attend to each other, without relative positions.
    public func overSequence(of rows: Int) -> WindowedAttention {
        WindowedAttention(
            norm: norm, qkv: qkv, projection: projection,
            geometry: AttentionGeometry(
                heads: geometry.heads, headDimension: geometry.headDimension, groups: 1, queries: rows, keys: rows),
            padding: padding, site: site)
    }

    /// The half block without residuals.
    public func callAsFunction(_ x: Tensor, in context: PassContext) -> Tensor {
        let (normal, _) = normalise(x, in: context)
        let (projected, _) = project(normal, in: context)
        var attended = Tensor(uninitialized: [x.count / geometry.width, geometry.width])
        var nothing: Tensor?
        AttentionKernel.forward(
            qkv: projected, geometry: geometry, bias: bias(in: context), into: &attended, logSumExp: &nothing,
            in: context.workspace)
        return projection(attended, residual: x, in: context)
    }

    /// The half block and its residuals. // [T, D] -> [T, D]
    public func forward(
        _ x: Tensor, in context: PassContext
    ) -> (Tensor, Residuals) {
        let (normal, statistics) = normalise(x, in: context)
        let (projected, saved) = project(normal, in: context)
        var attended = Tensor(uninitialized: [x.count / geometry.width, geometry.width])
        var logSumExp: Tensor? = Tensor(uninitialized: [geometry.groups * geometry.heads, geometry.queries])
        AttentionKernel.forward(
            qkv: projected, geometry: geometry, bias: bias(in: context), into: &attended, logSumExp: &logSumExp,
            in: context.workspace)
        let y = projection(attended, residual: x, in: context)
        let residuals = Residuals(
            x: x, statistics: statistics, qkv: projected, attended: attended,
            logSumExp: logSumExp ?? Tensor(zeros: [0]), adapters: saved)
        return (y, residuals)
    }

    /// The gradient of the input, or nil when `inputNeeded` is false (the lowest adapted block).
    ///
    /// Adds the gradients of adapters, and those of its own weights if they train.
    public func backward(
        _ dY: Tensor, _ saved: Residuals, gradients: inout GradientBuffer,
        inputNeeded: Bool, in context: PassContext
    ) -> Tensor? {
        let dAttended = projection.backwardInput(dY, in: context)
        projection.backwardParameters(dY, input: saved.attended, gradients: &gradients, in: context)
        var dQKV = Tensor(uninitialized: saved.qkv.shape)
        var dPositions = positions?.room(in: context)
        AttentionKernel.backward(
            dOutput: dAttended, output: saved.attended, logSumExp: saved.logSumExp, qkv: saved.qkv,
            geometry: geometry, bias: bias(in: context), into: &dQKV, positions: &dPositions, in: context.workspace)
        if let dPositions { positions?.add(dPositions, to: &gradients, in: context) }
        var dNormal: Tensor? = inputNeeded ? qkv.backwardInput(dQKV, in: context) : nil
        if !saved.adapters.isEmpty || context.trains(any: qkv.parameters) {
            let (normal, _) = normalise(saved.x, in: context)
            qkv.backwardParameters(dQKV, input: normal, gradients: &gradients, in: context)
            for (adapter, own) in zip(adapters(in: context), saved.adapters) {
                adapter.backward(
                    at: site, dQKV, input: normal, saved: own, addingTo: &dNormal, gradients: &gradients, in: context)
            }
        }
        guard let dNormal else { return nil }
        norm.backwardParameters(dNormal, input: saved.x, saved.statistics, gradients: &gradients, in: context)
        if padding == .beforeNorm, let padRow = geometry.padRow, let slot = context.slot(of: norm.shift) {
            gradients.add(dNormal.rows(padRow..<padRow + 1).reshaped([qkv.inputs]), at: slot)
        }
        var dX = dY
        norm.backward(dNormal, input: saved.x, saved.statistics, addingTo: &dX, in: context)
        return dX
    }

    /// The normalised tokens and, if there are positions outside the image, the row that stands for them.
    private func normalise(_ x: Tensor, in context: PassContext) -> (Tensor, LayerNorm.Residuals) {
        let width = qkv.inputs
        let tokens = x.count / width
        var normal = Tensor(uninitialized: [tokens + (geometry.padRow == nil ? 0 : 1), width])
        let statistics = norm.forward(x, into: &normal, in: context)
        if geometry.padRow != nil {
            let row = normal.mutablePointer + tokens * width
            let shift = context.value(of: norm.shift)
            switch padding {
            case .afterNorm: row.update(repeating: 0, count: width)
            case .beforeNorm: row.update(from: shift.pointer, count: width)
            }
        }
        return (normal, statistics)
    }

    private func project(
        _ normal: Tensor, in context: PassContext
    ) -> (Tensor, [[Tensor]]) {
        var projected = qkv(normal, in: context)
        let saved = adapters(in: context).map { $0.forward(at: site, normal, addingTo: &projected, in: context) }
        return (projected, saved)
    }

    private func adapters(in context: PassContext) -> [any ProjectionAdapter] {
        context.adapters.projections.filter { $0.acts(at: site) }
    }
}
