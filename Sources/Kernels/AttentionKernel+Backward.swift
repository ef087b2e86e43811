import Machine
public import Tensors

// Backward of one group and head, from dO, O and l (Dao et al. 2022, appendix B):
//   p_ij = exp(s_ij - l_i),   D_i = dO_i . O_i
//   dV_j = sum_i p_ij dO_i,   dS_ij = p_ij (dO_i . v_j - D_i)
//   dq_i = scale sum_j dS_ij k_j + position terms,   dk_j = scale sum_i dS_ij q_i
// Tables of relative positions, if they train, collect dT = dP^T q (see AttentionBiasTerms) group by group and head by
// head; these parts are added in order (see BandSums).
//
// A task is one group and head: scores are recomputed tile by tile, dK and dV of the head stay in scratch, and every
// sum has a fixed order. Positions outside the image have no output (dO = 0), but serve as keys: their dk and dv, and
// those of other windows, are summed in the pad row, window by window.

extension AttentionKernel {
    /// The gradient of packed projections, backward of `forward(qkv:)`.
    ///
    /// - Parameters:
    ///   - dOutput: // [T, D]
    ///   - output: Output of forward. // [T, D]
    ///   - logSumExp: l saved by forward. // [groups * heads, queries]
    ///   - dQKV: Every row is written. // [T (+1 pad row), 3 D]
    ///   - dPositions: Written, if the tables of a decomposed bias train.
    public static func backward(
        dOutput: Tensor, output: Tensor, logSumExp: Tensor, qkv: Tensor, geometry: AttentionGeometry,
        bias: AttentionBias, into dQKV: inout Tensor, positions dPositions: inout AttentionBias.PositionGradients?,
        in workspace: Workspace
    ) {
        let width = geometry.width
        let base = qkv.pointer
        let gradient = dQKV.mutablePointer
        let padCount = geometry.padRow == nil ? 0 : geometry.groups * 3 * width
        let tables = dPositions.map { $0.height.count + $0.width.count } ?? 0
        let sums = workspace.jointScratch(floats: padCount + geometry.groups * geometry.heads * tables)
        sums.update(repeating: 0, count: padCount)
        let (padSums, partial) = (padCount == 0 ? nil : sums, tables == 0 ? nil : sums + padCount)
        run(
            AttentionOperands(
                query: base, key: base + width, value: base + 2 * width, stride: (3 * width, 3 * width, 3 * width)),
            AttentionGradients(
                query: gradient, key: gradient + width, value: gradient + 2 * width, stride: 3 * width,
                padSums: padSums, positions: partial),
            geometry, bias, dOutput.pointer, output.pointer, logSumExp.pointer, workspace)
        if let partial { add(partial, pairs: geometry.groups * geometry.heads, to: &dPositions, in: workspace) }
        guard let padSums, let padRow = geometry.padRow else { return }
        addPadSums(padSums, to: gradient + padRow * 3 * width, geometry)
    }

    /// The pad row's gradient: the sums of all groups, in their order.
    private static func addPadSums(
        _ padSums: UnsafePointer<Float>, to row: UnsafeMutablePointer<Float>, _ geometry: AttentionGeometry
    ) {
        let width = geometry.width
        row.update(repeating: 0, count: 3 * width)
        for group in 0..<geometry.groups {
            for i in 0..<3 * width { row[i] += padSums[group * 3 * width + i] }
        }
    }

    /// The gradients of separate projections; every element of dQuery, dKey and dValue is written.
    public static func backward(
        dOutput: Tensor, output: Tensor, logSumExp: Tensor, query: Tensor, key: Tensor, value: Tensor,
        geometry: AttentionGeometry, dQuery: inout Tensor, dKey: inout Tensor, dValue: inout Tensor,
        in workspace: Workspace
    ) {
        let width = geometry.width
        precondition(dQuery.count == query.count && dKey.count == key.count && dValue.count == value.count)
        run(
            AttentionOperands(
                query: query.pointer, key: key.pointer, value: value.pointer, stride: (width, width, width)),
            AttentionGradients(
                query: dQuery.mutablePointer, key: dKey.mutablePointer, value: dValue.mutablePointer, stride: width,
                padSums: nil, positions: nil),
            geometry, .none, dOutput.pointer, output.pointer, logSumExp.pointer, workspace)
    }

    private struct AttentionGradients {
        let query: UnsafeMutablePointer<Float>
        let key: UnsafeMutablePointer<Float>
        let value: UnsafeMutablePointer<Float>
        let stride: Int
        let padSums: UnsafeMutablePointer<Float>?
        /// One pair of table gradients for every group and head. // [groups * heads, (2 S_h - 1 + 2 S_w - 1) d]
        let positions: UnsafeMutablePointer<Float>?
    }

    /// The sums over groups and heads.
    private static func add(
        _ partial: UnsafePointer<Float>, pairs: Int, to dPositions: inout AttentionBias.PositionGradients?,
        in workspace: Workspace
    ) {
        guard let (height, width) = dPositions.map({ ($0.height.count, $0.width.count) }) else { return }
        if let sum = dPositions?.height.mutablePointer {
            BandSums.add(partial, bands: pairs, stride: height + width, into: sum, count: height, in: workspace)
        }
        if let sum = dPositions?.width.mutablePointer {
            BandSums.add(partial + height, bands: pairs, stride: height + width, into: sum, count: width, in: workspace)
        }
    }

    private static func run(
        _ operands: AttentionOperands, _ gradients: AttentionGradients, _ geometry: AttentionGeometry,
        _ bias: AttentionBias, _ dOutput: UnsafePointer<Float>, _ output: UnsafePointer<Float>,
        _ logSumExp: UnsafePointer<Float>, _ workspace: Workspace
    ) {
        let terms = AttentionBiasTerms(bias, geometry)
        geometry.withRows { rows in
            workspace.pool.parallelFor(geometry.groups * geometry.heads) { pair, worker in
                let place = AttentionPlace(geometry, rows, group: pair / geometry.heads, head: pair % geometry.heads)
                let scratch = AttentionScratch(workspace, worker)
                let d = geometry.headDimension
                let dKey = scratch.block(11, geometry.keys * d)
                let dValue = scratch.block(12, geometry.keys * d)
                for start in stride(from: 0, to: geometry.queries, by: queryTile) {
                    backwardTile(
                        operands, gradients, place, terms, start..<min(start + queryTile, geometry.queries), dOutput,
                        output, logSumExp + pair * geometry.queries, dKey, dValue, scratch)
                }
                scatter(dKey, to: gradients.key, part: 1, gradients, place, count: geometry.keys)
                scatter(dValue, to: gradients.value, part: 2, gradients, place, count: geometry.keys)
            }
        }
    }

    private static func backwardTile(
        _ operands: AttentionOperands, _ gradients: AttentionGradients, _ place: AttentionPlace,
        _ terms: AttentionBiasTerms, _ range: Range<Int>, _ dOutput: UnsafePointer<Float>,
        _ output: UnsafePointer<Float>, _ logSumExp: UnsafePointer<Float>, _ dKey: UnsafeMutablePointer<Float>,
        _ dValue: UnsafeMutablePointer<Float>, _ scratch: AttentionScratch
    ) {
        let geometry = place.geometry
        let (d, count) = (geometry.headDimension, range.count)
        let query = place.tile(
            of: operands.query, stride: operands.stride.0, positions: range, copy: scratch.block(0, count * d))
        terms.prepare(query, positions: range, scratch)
        terms.prepareGradient(rows: count, scratch)
        let dOut = scratch.block(5, count * d)
        let delta = scratch.block(3, count)
        loadOutputGradient(place, range, dOutput, output, dOut, delta)
        let dQuery = scratch.block(13, count * d)
        for start in stride(from: 0, to: geometry.keys, by: terms.keyTile) {
            let keys = start..<min(start + terms.keyTile, geometry.keys)
            let key = place.tile(
                of: operands.key, stride: operands.stride.1, positions: keys, copy: scratch.block(1, keys.count * d),
                keys: true)
            let value = place.tile(
                of: operands.value, stride: operands.stride.2, positions: keys, copy: scratch.block(2, keys.count * d),
                keys: true)
            let ld = paddedKeys(keys.count)
            let (scores, dScores) = (scratch.block(6, count * ld), scratch.block(14, count * ld))
            MatrixProduct.multiply(
                m: count, n: keys.count, k: d, a: query.base, lda: query.stride, b: key.base, ldb: key.stride,
                transposeB: true, c: scores, ldc: ld, alpha: geometry.scale)
            MatrixProduct.multiply(
                m: count, n: keys.count, k: d, a: dOut, lda: d, b: value.base, ldb: value.stride, transposeB: true,
                c: dScores, ldc: ld)
            for row in 0..<count {
                let (line, dLine) = (scores + row * ld, dScores + row * ld)
                let position = range.lowerBound + row
                _ = terms.add(to: line, row: row, position: position, keys: keys, place.head, scratch)
                scoreGradient(line, dLine, padded: ld, logSumExp[position], delta[row])
                terms.collectGradient(dLine, row: row, position: position, keys: keys, scratch)
            }
            let firstQueries: Float = range.lowerBound == 0 ? 0 : 1
            MatrixProduct.multiply(
                m: keys.count, n: d, k: count, a: scores, lda: ld, transposeA: true, b: dOut, ldb: d,
                c: dValue + start * d, ldc: d, beta: firstQueries)
            MatrixProduct.multiply(
                m: keys.count, n: d, k: count, a: dScores, lda: ld, transposeA: true, b: query.base,
                ldb: query.stride, c: dKey + start * d, ldc: d, alpha: geometry.scale, beta: firstQueries)
            MatrixProduct.multiply(
                m: count, n: d, k: keys.count, a: dScores, lda: ld, b: key.base, ldb: key.stride, c: dQuery, ldc: d,
                alpha: geometry.scale, beta: start == 0 ? 0 : 1)
        }
        terms.addQueryGradient(dQuery, rows: count, scratch)
        if let positions = gradients.positions {
            terms.addPositionGradient(
                query, rows: count, to: positions, pair: place.group * geometry.heads + place.head,
                isFirst: range.lowerBound == 0, scratch)
        }
        scatter(dQuery, to: gradients.query, part: 0, gradients, place, from: range.lowerBound, count: count)
    }

    /// dO of a tile (zero outside the image) and D = dO . O.
    private static func loadOutputGradient(
        _ place: AttentionPlace, _ range: Range<Int>, _ dOutput: UnsafePointer<Float>, _ output: UnsafePointer<Float>,
        _ dOut: UnsafeMutablePointer<Float>, _ delta: UnsafeMutablePointer<Float>
    ) {
        let d = place.geometry.headDimension
        for (row, position) in range.enumerated() {
            guard let source = place.outputRow(position) else {
                (dOut + row * d).update(repeating: 0, count: d)
                delta[row] = 0
                continue
            }
            let offset = source * place.geometry.width + place.head * d
            (dOut + row * d).update(from: dOutput + offset, count: d)
            var product: Float = 0
            for i in 0..<d { product += dOutput[offset + i] * output[offset + i] }
            delta[row] = product
        }
    }

    /// line = p = exp(line - l), dLine = p (dLine - D).
    @inline(__always)
    private static func scoreGradient(
        _ line: UnsafeMutablePointer<Float>, _ dLine: UnsafeMutablePointer<Float>, padded: Int, _ logSumExp: Float,
        _ delta: Float
    ) {
        for i in stride(from: 0, to: padded, by: Vector.scalarCount) {
            let p = VectorMath.exp(Vector(loading: line + i) - logSumExp)
            p.store(line + i)
            (p * (Vector(loading: dLine + i) - delta)).store(dLine + i)
        }
    }

    /// Writes a head's gradient rows to their tokens; rows outside the image are summed in the group's pad sum.
    private static func scatter(
        _ source: UnsafePointer<Float>, to destination: UnsafeMutablePointer<Float>, part: Int,
        _ gradients: AttentionGradients, _ place: AttentionPlace, from first: Int = 0, count: Int
    ) {
        let geometry = place.geometry
        let d = geometry.headDimension
        let perGroup = part == 0 ? geometry.queries : geometry.keys
        let column = place.head * d
        for index in 0..<count {
            let line = source + index * d
            let row = place.row(first + index, count: perGroup)
            if row == geometry.padRow, let padSums = gradients.padSums {
                let sum = padSums + place.group * 3 * geometry.width + part * geometry.width + column
                for i in 0..<d { sum[i] += line[i] }
            } else {
                (destination + row * gradients.stride + column).update(from: line, count: d)
            }
        }
    }
}
