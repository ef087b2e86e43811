import Machine
public import Tensors

// Cross attention between the few tokens of one prompt (t of them, H heads) and the many positions of an image, for frozen
// projections. The projections of the image are moved to the tokens, which are hundreds of times fewer:
//   (W_k x_j + b_k) . q_h = x_j . (W_k,h' q_h) + const,     sum_j p_j (W_v x_j + b_v) = W_v (sum_j p_j x_j) + b_v
// so the image is used unprojected, and each token becomes H rows of width C, R = H t in all, ordered [head, token].
// With e the positional code of the image:
//
// Token to image:   s_rj = a_r . (x_j + e_j),           p_r. = softmax over j,   o_r = sum_j p_rj x_j
// Image to token:   s_rj = a_r . (x_j + e_j) + c_r,     p_.j = softmax over the tokens of each head,
//                   y_j  = x_j + b + sum_r p_rj g_r
//
// With projections to width D the image costs 4 T C D multiplications per attention for keys and values; this way it
// costs 4 T C R / 2: less while R < 2 D, and no projected image is stored.
//
// A task is one tile of positions. Sums over tiles are added afterwards, in tile order.
// Scratch per worker: x + e (slot 0), scores (1), score gradients (2). Joint scratch: the tiles' partial sums.

/// Attention between a prompt's tokens and an image's positions, with the image's projections absorbed into the tokens.
public enum TokenImageAttentionKernel {
    /// Positions in a tile: with 256 channels, 256 KiB of x + e.
    static let tile = 256

    static func tiles(_ positions: Int) -> Int { (positions + tile - 1) / tile }

    /// o_r = sum_j p_rj x_j.
    ///
    /// - Parameters:
    ///   - queries: a of every prompt. // [n R, C]
    ///   - image: x of one prompt. // [T, C]
    ///   - position: e. // [T, C]
    ///   - rows: The prompt's rows among the n R.
    ///   - output: o; only `rows` are written. // [n R, C]
    ///   - logSumExp: log sum_j exp s_rj; only `rows` are written. // [n R]
    public static func forwardTokenToImage(
        queries: Tensor, image: Tensor, position: Tensor, rows: Range<Int>, into output: inout Tensor,
        logSumExp: inout Tensor, in workspace: Workspace
    ) {
        let operands = TokenImageOperands(rows: queries, image: image, position: position, range: rows)
        let (count, width) = (rows.count, operands.width)
        let tiles = tiles(operands.positions)
        let partial = workspace.jointScratch(floats: tiles * count * (width + 2))
        workspace.pool.parallelFor(tiles) { index, worker in
            let sums = partial + index * count * (width + 2)
            let (maximum, total, output) = (sums, sums + count, sums + 2 * count)
            let place = operands.scores(tile: index, workspace, worker)
            for row in 0..<count {
                let line = place.scores + row * place.stride
                for i in place.count..<place.stride { line[i] = AttentionKernel.masked }
                var peak = Vector(repeating: AttentionKernel.masked)
                for i in stride(from: 0, to: place.stride, by: Vector.scalarCount) {
                    peak = peak.maximum(Vector(loading: line + i))
                }
                maximum[row] = peak.max()
                var sum = Vector(repeating: 0)
                for i in stride(from: 0, to: place.stride, by: Vector.scalarCount) {
                    let value = VectorMath.exp(Vector(loading: line + i) - maximum[row])
                    value.store(line + i)
                    sum += value
                }
                total[row] = sum.sum()
            }
            MatrixProduct.multiply(
                m: count, n: width, k: place.count, a: place.scores, lda: place.stride, b: place.image, ldb: width,
                c: output, ldc: width)
        }
        let destination = output.mutablePointer + rows.lowerBound * width
        let saved = logSumExp.mutablePointer + rows.lowerBound
        workspace.pool.parallelFor(count) { row, _ in
            saved[row] = combine(partial, tiles, row: row, rows: count, width: width, into: destination + row * width)
        }
    }

    /// Joins the tiles' softmax sums of one row; returns its log-sum-exp.
    private static func combine(
        _ partial: UnsafePointer<Float>, _ tiles: Int, row: Int, rows: Int, width: Int,
        into output: UnsafeMutablePointer<Float>
    ) -> Float {
        let stride = rows * (width + 2)
        var maximum = AttentionKernel.masked
        for index in 0..<tiles { maximum = max(maximum, partial[index * stride + row]) }
        var total: Float = 0
        output.update(repeating: 0, count: width)
        for index in 0..<tiles {
            let sums = partial + index * stride
            let factor = VectorMath.exp(Vector(repeating: sums[row] - maximum))[0]
            total += factor * sums[rows + row]
            let source = sums + 2 * rows + row * width
            for i in 0..<width { output[i] += factor * source[i] }
        }
        let factor = 1 / total
        for i in 0..<width { output[i] *= factor }
        return maximum + VectorMath.log(Vector(repeating: total))[0]
    }

    /// y_j = x_j + b + sum_r p_rj g_r.
    ///
    /// - Parameters:
    ///   - keys: a of every prompt. // [n R, C]
    ///   - keyBias: c of every prompt. // [n R]
    ///   - values: g of every prompt. // [n R, C]
    ///   - valueBias: b. // [C]
    ///   - image: x of one prompt. // [T, C]
    ///   - position: e. // [T, C]
    ///   - rows: The prompt's rows among the n R.
    ///   - heads: H; rows are ordered [head, token].
    ///   - output: y. // [T, C]
    public static func forwardImageToToken(
        keys: Tensor, keyBias: Tensor, values: Tensor, valueBias: Tensor, image: Tensor, position: Tensor,
        rows: Range<Int>, heads: Int, into output: inout Tensor, in workspace: Workspace
    ) {
        let operands = TokenImageOperands(rows: keys, image: image, position: position, range: rows)
        let (count, width) = (rows.count, operands.width)
        precondition(count % heads == 0 && keyBias.count == keys.shape[0] && values.count == keys.count)
        precondition(valueBias.count == width && output.count == image.count)
        let (shift, matrix) = (keyBias.pointer + rows.lowerBound, values.pointer + rows.lowerBound * width)
        let (added, destination) = (valueBias.pointer, output.mutablePointer)
        workspace.pool.parallelFor(tiles(operands.positions)) { index, worker in
            let place = operands.scores(tile: index, workspace, worker)
            softmaxOverTokens(place, shift, rows: count, heads: heads)
            let target = destination + place.first * width
            for row in 0..<place.count {
                let (line, source) = (target + row * width, place.image + row * width)
                for i in 0..<width { line[i] = source[i] + added[i] }
            }
            MatrixProduct.multiply(
                m: place.count, n: width, k: count, a: place.scores, lda: place.stride, transposeA: true, b: matrix,
                ldb: width, c: target, ldc: width, beta: 1)
        }
    }

    /// Converts the scores s - c of a tile to p, 16 positions at a time.
    @inline(__always)
    static func softmaxOverTokens(
        _ place: TokenImageTile, _ shift: UnsafePointer<Float>, rows: Int, heads: Int
    ) {
        let tokens = rows / heads
        for column in stride(from: 0, to: place.stride, by: Vector.scalarCount) {
            for head in 0..<heads {
                let base = place.scores + head * tokens * place.stride + column
                let shifts = shift + head * tokens
                var peak = Vector(repeating: AttentionKernel.masked)
                for token in 0..<tokens {
                    peak = peak.maximum(Vector(loading: base + token * place.stride) + shifts[token])
                }
                var total = Vector(repeating: 0)
                for token in 0..<tokens {
                    let score = Vector(loading: base + token * place.stride) + shifts[token]
                    let value = VectorMath.exp(score - peak)
                    value.store(base + token * place.stride)
                    total += value
                }
                let factor = 1 / total
                for token in 0..<tokens {
                    (Vector(loading: base + token * place.stride) * factor).store(base + token * place.stride)
                }
            }
        }
    }
}

/// One tile of positions with its scores.
struct TokenImageTile {
    /// The first position.
    let first: Int
    /// Positions in the tile.
    let count: Int
    /// x of the tile. // [count, C]
    let image: UnsafePointer<Float>
    /// x + e of the tile. // [count, C]
    let positioned: UnsafePointer<Float>
    /// a (x + e)'. // [R, stride]
    let scores: UnsafeMutablePointer<Float>
    /// Distance between rows of scores: whole vectors.
    let stride: Int
}

/// The operands shared by all tiles.
struct TokenImageOperands {
    let rows: UnsafePointer<Float>
    let count: Int
    let width: Int
    let image: UnsafePointer<Float>
    let position: UnsafePointer<Float>
    let positions: Int

    init(rows: Tensor, image: Tensor, position: Tensor, range: Range<Int>) {
        width = rows.shape[1]
        positions = image.count / width
        precondition(image.count == positions * width && position.count == image.count)
        precondition(range.lowerBound >= 0 && range.upperBound <= rows.shape[0])
        self.rows = rows.pointer + range.lowerBound * width
        count = range.count
        self.image = image.pointer
        self.position = position.pointer
    }

    /// Computes x + e and the scores of one tile.
    @inline(__always)
    func scores(tile index: Int, _ workspace: Workspace, _ worker: Int) -> TokenImageTile {
        let first = index * TokenImageAttentionKernel.tile
        let number = min(TokenImageAttentionKernel.tile, positions - first)
        let stride = AttentionKernel.paddedKeys(number)
        let positioned = workspace.scratch(worker: worker, slot: 0, floats: number * width)
        let (source, added) = (image + first * width, position + first * width)
        for i in 0..<number * width { positioned[i] = source[i] + added[i] }
        let scores = workspace.scratch(worker: worker, slot: 1, floats: count * stride)
        // Columns beyond the tile enter vector arithmetic but never a sum: they only have to be finite.
        for row in 0..<(number < stride ? count : 0) {
            for i in number..<stride { scores[row * stride + i] = 0 }
        }
        MatrixProduct.multiply(
            m: count, n: number, k: width, a: rows, lda: width, b: positioned, ldb: width, transposeB: true, c: scores,
            ldc: stride)
        return TokenImageTile(
            first: first, count: number, image: UnsafePointer(source), positioned: UnsafePointer(positioned),
            scores: scores, stride: stride)
    }
}
