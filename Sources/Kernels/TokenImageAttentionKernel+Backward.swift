import Machine
public import Tensors

// Token to image, from dO, o and l (D_r = dO_r . o_r):
//   p_rj = exp(s_rj - l_r),   dS_rj = p_rj (dO_r . x_j - D_r)
//   da_r = sum_j dS_rj (x_j + e_j),   dx_j = sum_r p_rj dO_r + dS_rj a_r
// Image to token, from dY:
//   dS_rj = p_rj (dY_j . g_r - sum over the head's tokens of p dY_j . g)
//   da_r = sum_j dS_rj (x_j + e_j),   dc_r = sum_j dS_rj,   dg_r = sum_j p_rj dY_j,   dx_j = dY_j + sum_r dS_rj a_r

extension TokenImageAttentionKernel {
    /// Backward of `forwardTokenToImage` for one prompt.
    ///
    /// - Parameters:
    ///   - dOutput: // [n R, C]
    ///   - output: Output of forward. // [n R, C]
    ///   - logSumExp: Saved by forward. // [n R]
    ///   - dQueries: da; only `rows` are written. // [n R, C]
    ///   - dImage: dx is added to it. // [T, C]
    public static func backwardTokenToImage(
        dOutput: Tensor, output: Tensor, logSumExp: Tensor, queries: Tensor, image: Tensor, position: Tensor,
        rows: Range<Int>, dQueries: inout Tensor, addingTo dImage: inout Tensor, in workspace: Workspace
    ) {
        let operands = TokenImageOperands(rows: queries, image: image, position: position, range: rows)
        let (count, width) = (rows.count, operands.width)
        precondition(dOutput.count == queries.count && output.count == queries.count)
        precondition(dQueries.count == queries.count && dImage.count == image.count)
        let (gradient, saved) = (dOutput.pointer + rows.lowerBound * width, logSumExp.pointer + rows.lowerBound)
        let delta = dotRows(gradient, output.pointer + rows.lowerBound * width, rows: count, width: width)
        let destination = dImage.mutablePointer
        let tiles = tiles(operands.positions)
        let partial = workspace.jointScratch(floats: tiles * count * width)
        workspace.pool.parallelFor(tiles) { index, worker in
            let place = operands.scores(tile: index, workspace, worker)
            let dScores = workspace.scratch(worker: worker, slot: 2, floats: count * place.stride)
            let target = destination + place.first * width
            MatrixProduct.multiply(
                m: count, n: place.count, k: width, a: gradient, lda: width, b: place.image, ldb: width,
                transposeB: true, c: dScores, ldc: place.stride)
            for row in 0..<count {
                let (line, dLine) = (place.scores + row * place.stride, dScores + row * place.stride)
                for i in stride(from: 0, to: place.stride, by: Vector.scalarCount) {
                    let p = VectorMath.exp(Vector(loading: line + i) - saved[row])
                    p.store(line + i)
                    (p * (Vector(loading: dLine + i) - delta[row])).store(dLine + i)
                }
            }
            MatrixProduct.multiply(
                m: place.count, n: width, k: count, a: place.scores, lda: place.stride, transposeA: true, b: gradient,
                ldb: width, c: target, ldc: width, beta: 1)
            MatrixProduct.multiply(
                m: place.count, n: width, k: count, a: dScores, lda: place.stride, transposeA: true, b: operands.rows,
                ldb: width, c: target, ldc: width, beta: 1)
            MatrixProduct.multiply(
                m: count, n: width, k: place.count, a: dScores, lda: place.stride, b: place.positioned, ldb: width,
                c: partial + index * count * width, ldc: width)
        }
        sumTiles(partial, tiles, count * width, into: dQueries.mutablePointer + rows.lowerBound * width, workspace)
    }

    /// Backward of `forwardImageToToken` for one prompt.
    ///
    /// - Parameters:
    ///   - gradient: dY on entry, dx on return. // [T, C]
    ///   - dKeys: da; only `rows` are written. // [n R, C]
    ///   - dKeyBias: dc; only `rows` are written. // [n R]
    ///   - dValues: dg; only `rows` are written. // [n R, C]
    public static func backwardImageToToken(
        _ gradient: inout Tensor, keys: Tensor, keyBias: Tensor, values: Tensor, image: Tensor, position: Tensor,
        rows: Range<Int>, heads: Int, dKeys: inout Tensor, dKeyBias: inout Tensor, dValues: inout Tensor,
        in workspace: Workspace
    ) {
        let operands = TokenImageOperands(rows: keys, image: image, position: position, range: rows)
        let (count, width) = (rows.count, operands.width)
        precondition(gradient.count == image.count && count % heads == 0 && keyBias.count == keys.shape[0])
        precondition(values.count == keys.count && dKeys.count == keys.count && dValues.count == keys.count)
        let (shift, matrix) = (keyBias.pointer + rows.lowerBound, values.pointer + rows.lowerBound * width)
        let inPlace = gradient.mutablePointer
        let tiles = tiles(operands.positions)
        let span = count * (2 * width + 1)
        let partial = workspace.jointScratch(floats: tiles * span)
        workspace.pool.parallelFor(tiles) { index, worker in
            let place = operands.scores(tile: index, workspace, worker)
            let dScores = workspace.scratch(worker: worker, slot: 2, floats: count * place.stride)
            let dY = inPlace + place.first * width
            let (dKey, dValue) = (partial + index * span, partial + index * span + count * width)
            softmaxOverTokens(place, shift, rows: count, heads: heads)
            MatrixProduct.multiply(
                m: count, n: place.count, k: width, a: matrix, lda: width, b: dY, ldb: width, transposeB: true,
                c: dScores, ldc: place.stride)
            MatrixProduct.multiply(
                m: count, n: width, k: place.count, a: place.scores, lda: place.stride, b: dY, ldb: width, c: dValue,
                ldc: width)
            scoreGradientOverTokens(place, dScores, rows: count, heads: heads, sums: dValue + count * width)
            MatrixProduct.multiply(
                m: count, n: width, k: place.count, a: dScores, lda: place.stride, b: place.positioned, ldb: width,
                c: dKey, ldc: width)
            MatrixProduct.multiply(
                m: place.count, n: width, k: count, a: dScores, lda: place.stride, transposeA: true, b: operands.rows,
                ldb: width, c: dY, ldc: width, beta: 1)
        }
        let (first, part) = (rows.lowerBound, count * width)
        sumTiles(partial, tiles, stride: span, part, into: dKeys.mutablePointer + first * width, workspace)
        sumTiles(partial + part, tiles, stride: span, part, into: dValues.mutablePointer + first * width, workspace)
        sumTiles(partial + 2 * part, tiles, stride: span, count, into: dKeyBias.mutablePointer + first, workspace)
    }

    /// dScores = p (dScores - sum over the head's tokens of p dScores); the row sums of the result go to `sums`.
    @inline(__always)
    private static func scoreGradientOverTokens(
        _ place: TokenImageTile, _ dScores: UnsafeMutablePointer<Float>, rows: Int, heads: Int,
        sums: UnsafeMutablePointer<Float>
    ) {
        let tokens = rows / heads
        for row in 0..<rows {
            // Beyond the tile the gradient is whatever the scratch held.
            for i in place.count..<place.stride { dScores[row * place.stride + i] = 0 }
        }
        for column in stride(from: 0, to: place.stride, by: Vector.scalarCount) {
            for head in 0..<heads {
                let start = head * tokens * place.stride + column
                var mean = Vector(repeating: 0)
                for offset in stride(from: start, to: start + tokens * place.stride, by: place.stride) {
                    mean.addProduct(Vector(loading: place.scores + offset), Vector(loading: dScores + offset))
                }
                for offset in stride(from: start, to: start + tokens * place.stride, by: place.stride) {
                    let difference = Vector(loading: dScores + offset) - mean
                    (Vector(loading: place.scores + offset) * difference).store(dScores + offset)
                }
            }
        }
        for row in 0..<rows {
            var sum = Vector(repeating: 0)
            for i in stride(from: 0, to: place.stride, by: Vector.scalarCount) {
                sum += Vector(loading: dScores + row * place.stride + i)
            }
            sums[row] = sum.sum()
        }
    }

    /// destination = the sum of `count` floats over the tiles, in tile order.
    private static func sumTiles(
        _ partial: UnsafePointer<Float>, _ tiles: Int, stride: Int? = nil, _ count: Int,
        into destination: UnsafeMutablePointer<Float>, _ workspace: Workspace
    ) {
        let span = stride ?? count
        let block = 4096
        workspace.pool.parallelFor((count + block - 1) / block) { task, _ in
            let range = task * block..<min((task + 1) * block, count)
            (destination + range.lowerBound).update(from: partial + range.lowerBound, count: range.count)
            for index in 1..<max(tiles, 1) {
                let source = partial + index * span
                for i in range { destination[i] += source[i] }
            }
        }
    }

    private static func dotRows(
        _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, rows: Int, width: Int
    ) -> [Float] {
        (0..<rows).map { row in
            var sum = Vector(repeating: 0)
            for i in stride(from: 0, to: width, by: Vector.scalarCount) {
                let lanes = min(Vector.scalarCount, width - i)
                let offset = row * width + i
                sum.addProduct(Vector(loading: x + offset, count: lanes), Vector(loading: y + offset, count: lanes))
            }
            return sum.sum()
        }
    }
}
