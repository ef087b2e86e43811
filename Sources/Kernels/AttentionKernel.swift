import Machine
public import Tensors

// For one group and head, with q [Nq, d], k and v [Nk, d]:
//   s_ij = scale q_i . k_j + bias_ij,   l_i = log sum_j exp s_ij,   o_i = sum_j exp(s_ij - l_i) v_j
//
// Tiling: a task is one tile of up to 256 queries of one group and head. It loops over tiles of up to 512 keys, holds
// one tile of scores (512 KiB, in L2) and keeps a running maximum m and sum z per query (Milakov and Gimelshein 2018):
//   m' = max(m, max_j s_ij),   z' = z e^{m - m'} + sum_j e^{s_ij - m'},   o' = o e^{m - m'} + sum_j e^{s_ij - m'} v_j
// No array of size queries x keys is ever in memory. The log-sum-exp l = m + log z is saved for backward.
// A key tile is a whole number of image rows, so that the height term of decomposed positions is one number per run.
//
// Scratch per worker: gathered q, k, v; scores; output; position terms. Consecutive rows are read in place.

/// Fused attention over windows, whole grids, or prompts.
public enum AttentionKernel {
    /// Queries in a tile: enough rows for OpenBLAS to reach its full rate.
    static let queryTile = 256
    /// Keys in a tile: with 256 queries, 512 KiB of scores.
    static let keyTile = 512
    /// A score that softmax maps to exactly zero.
    static let masked: Float = -1e30

    /// The row stride of a score tile: keys rounded up to whole vectors.
    static func paddedKeys(_ keys: Int) -> Int {
        (keys + Vector.scalarCount - 1) / Vector.scalarCount * Vector.scalarCount
    }

    /// Attention between packed projections.
    ///
    /// - Parameters:
    ///   - qkv: Projections, columns [q | k | v], each `heads * headDimension` wide. // [T (+1 pad row), 3 D]
    ///   - output: Heads concatenated; rows outside the image are not written. // [T, D]
    ///   - logSumExp: l of every position, needed by backward. // [groups * heads, queries]
    public static func forward(
        qkv: Tensor, geometry: AttentionGeometry, bias: AttentionBias, into output: inout Tensor,
        logSumExp: inout Tensor?, in workspace: Workspace
    ) {
        let width = geometry.width
        precondition(qkv.shape[qkv.shape.rank - 1] == 3 * width)
        let base = qkv.pointer
        let saved = logSumExp?.mutablePointer
        run(
            AttentionOperands(
                query: base, key: base + width, value: base + 2 * width, stride: (3 * width, 3 * width, 3 * width)),
            geometry, bias, output.mutablePointer, saved, workspace)
    }

    /// Attention between separate projections.
    ///
    /// - Parameters:
    ///   - query: // [groups * queries, D]
    ///   - key: // [groups * keys, D]
    ///   - value: // [groups * keys, D]
    ///   - output: // [groups * queries, D]
    ///   - logSumExp: l of every position, needed by backward. // [groups * heads, queries]
    public static func forward(
        query: Tensor, key: Tensor, value: Tensor, geometry: AttentionGeometry, into output: inout Tensor,
        logSumExp: inout Tensor?, in workspace: Workspace
    ) {
        let width = geometry.width
        precondition(query.count == geometry.groups * geometry.queries * width && output.count == query.count)
        precondition(key.count == geometry.groups * geometry.keys * width && value.count == key.count)
        let saved = logSumExp?.mutablePointer
        run(
            AttentionOperands(
                query: query.pointer, key: key.pointer, value: value.pointer, stride: (width, width, width)),
            geometry, .none, output.mutablePointer, saved, workspace)
    }

    private static func run(
        _ operands: AttentionOperands, _ geometry: AttentionGeometry, _ bias: AttentionBias,
        _ output: UnsafeMutablePointer<Float>, _ logSumExp: UnsafeMutablePointer<Float>?, _ workspace: Workspace
    ) {
        let terms = AttentionBiasTerms(bias, geometry)
        let tiles = (geometry.queries + queryTile - 1) / queryTile
        geometry.withRows { rows in
            workspace.pool.parallelFor(geometry.groups * geometry.heads * tiles) { task, worker in
                let (pair, tile) = (task / tiles, task % tiles)
                let place = AttentionPlace(geometry, rows, group: pair / geometry.heads, head: pair % geometry.heads)
                let range = tile * queryTile..<min((tile + 1) * queryTile, geometry.queries)
                forwardTile(
                    operands, place, terms, range, output, logSumExp.map { $0 + pair * geometry.queries },
                    AttentionScratch(workspace, worker))
            }
        }
    }

    private static func forwardTile(
        _ operands: AttentionOperands, _ place: AttentionPlace, _ terms: AttentionBiasTerms, _ range: Range<Int>,
        _ output: UnsafeMutablePointer<Float>, _ logSumExp: UnsafeMutablePointer<Float>?, _ scratch: AttentionScratch
    ) {
        let d = place.geometry.headDimension
        let count = range.count
        let query = place.tile(
            of: operands.query, stride: operands.stride.0, positions: range, copy: scratch.block(0, count * d))
        terms.prepare(query, positions: range, scratch)
        let maximum = scratch.block(3, count)
        let total = scratch.block(4, count)
        let sum = scratch.block(5, count * d)
        maximum.update(repeating: masked, count: count)
        total.update(repeating: 0, count: count)
        var first = true
        for start in stride(from: 0, to: place.geometry.keys, by: terms.keyTile) {
            let keys = start..<min(start + terms.keyTile, place.geometry.keys)
            let key = place.tile(
                of: operands.key, stride: operands.stride.1, positions: keys, copy: scratch.block(1, keys.count * d),
                keys: true)
            let value = place.tile(
                of: operands.value, stride: operands.stride.2, positions: keys, copy: scratch.block(2, keys.count * d),
                keys: true)
            let ld = paddedKeys(keys.count)
            let scores = scratch.block(6, count * ld)
            MatrixProduct.multiply(
                m: count, n: keys.count, k: d, a: query.base, lda: query.stride, b: key.base, ldb: key.stride,
                transposeB: true, c: scores, ldc: ld, alpha: place.geometry.scale)
            for row in 0..<count {
                let line = scores + row * ld
                let peak = terms.add(
                    to: line, row: row, position: range.lowerBound + row, keys: keys, place.head, scratch)
                let newMaximum = max(maximum[row], peak)
                let added = exponentiate(line, count: ld, minus: newMaximum)
                if first {
                    total[row] = added
                } else {
                    let factor = VectorMath.exp(Vector(repeating: maximum[row] - newMaximum))[0]
                    total[row] = total[row] * factor + added
                    scale(sum + row * d, by: factor, count: d)
                }
                maximum[row] = newMaximum
            }
            MatrixProduct.multiply(
                m: count, n: d, k: keys.count, a: scores, lda: ld, b: value.base, ldb: value.stride, c: sum, ldc: d,
                beta: first ? 0 : 1)
            first = false
        }
        for row in 0..<count {
            if let logSumExp {
                logSumExp[range.lowerBound + row] = maximum[row] + VectorMath.log(Vector(repeating: total[row]))[0]
            }
            guard let destination = place.outputRow(range.lowerBound + row) else { continue }
            let target = output + destination * place.geometry.width + place.head * d
            let factor = 1 / total[row]
            for i in 0..<d { target[i] = sum[row * d + i] * factor }
        }
    }

    /// line = exp(line - offset); returns the sum of the result.
    @inline(__always)
    private static func exponentiate(_ line: UnsafeMutablePointer<Float>, count: Int, minus offset: Float) -> Float {
        var total = Vector(repeating: 0)
        for i in stride(from: 0, to: count, by: Vector.scalarCount) {
            let value = VectorMath.exp(Vector(loading: line + i) - offset)
            value.store(line + i)
            total += value
        }
        return total.sum()
    }

    @inline(__always)
    private static func scale(_ line: UnsafeMutablePointer<Float>, by factor: Float, count: Int) {
        for i in 0..<count { line[i] *= factor }
    }
}
