import Tensors

/// Start addresses of q, k and v of head 0 and the distances between their rows.
struct AttentionOperands {
    let query: UnsafePointer<Float>
    let key: UnsafePointer<Float>
    let value: UnsafePointer<Float>
    let stride: (Int, Int, Int)
}

extension AttentionGeometry {
    /// Passes the row table as a pointer for the duration of a kernel call.
    func withRows(_ body: (UnsafePointer<Int32>?) -> Void) {
        if let rows { rows.withUnsafeBufferPointer { body($0.baseAddress) } } else { body(nil) }
    }
}

/// One group and head of a running attention.
struct AttentionPlace {
    let geometry: AttentionGeometry
    let rows: UnsafePointer<Int32>?
    let group: Int
    let head: Int

    init(_ geometry: AttentionGeometry, _ rows: UnsafePointer<Int32>?, group: Int, head: Int) {
        (self.geometry, self.rows, self.group, self.head) = (geometry, rows, group, head)
    }

    /// The token row of a position for reading (the pad row counts as one).
    @inline(__always) func row(_ position: Int, count: Int) -> Int {
        rows.map { Int($0[group * count + position]) } ?? group * count + position
    }

    /// The token row a position's output belongs to; nil outside the image.
    @inline(__always) func outputRow(_ position: Int) -> Int? {
        let row = row(position, count: geometry.queries)
        return row == geometry.padRow ? nil : row
    }

    /// This head's columns of some positions: in place when rows are consecutive, else gathered into `copy`.
    @inline(__always)
    func tile(
        of source: UnsafePointer<Float>, stride: Int, positions: Range<Int>, copy: UnsafeMutablePointer<Float>,
        keys: Bool = false
    ) -> (base: UnsafePointer<Float>, stride: Int) {
        let d = geometry.headDimension
        let column = source + head * d
        guard let rows else {
            let count = keys ? geometry.keys : geometry.queries
            return (column + (group * count + positions.lowerBound) * stride, stride)
        }
        let table = rows + group * geometry.queries
        for (index, position) in positions.enumerated() {
            (copy + index * d).update(from: column + Int(table[position]) * stride, count: d)
        }
        return (UnsafePointer(copy), d)
    }
}

/// The scratch blocks of one worker while it runs an attention task.
struct AttentionScratch {
    private let workspace: Workspace
    private let worker: Int

    init(_ workspace: Workspace, _ worker: Int) { (self.workspace, self.worker) = (workspace, worker) }

    @inline(__always) func block(_ slot: Int, _ floats: Int) -> UnsafeMutablePointer<Float> {
        workspace.scratch(worker: worker, slot: slot, floats: floats)
    }
}

/// Computes the bias of a score tile, row by row, and its gradient.
///
/// Decomposed positions: with P_h = q T_h^T and P_w = q T_w^T (one small product per query tile, reversed tables), the
/// bias of query (y, x) and key (y', x') is P_h[S_h - 1 - y + y'] + P_w[S_w - 1 - x + x'].
/// Backward: dP_h[...y'] = sum over x' of dS, dP_w[...x'] = sum over y' of dS, dq += dP_h T_h + dP_w T_w, and, if the
/// tables train, dT_h += dP_h^T q, dT_w += dP_w^T q.
struct AttentionBiasTerms {
    let keyTile: Int
    private let kind: Kind
    private let headDimension: Int

    private enum Kind {
        case none
        case table(UnsafePointer<Float>, stride: Int, queries: Int)
        case decomposed(height: UnsafePointer<Float>, width: UnsafePointer<Float>, side: (height: Int, width: Int))
    }

    /// Scratch slots of the two products and their gradients.
    private static let heightSlot = 7
    private static let widthSlot = 8
    private static let heightGradientSlot = 9
    private static let widthGradientSlot = 10

    init(_ bias: AttentionBias, _ geometry: AttentionGeometry) {
        headDimension = geometry.headDimension
        switch bias {
        case .none:
            kind = .none
            keyTile = AttentionKernel.keyTile
        case .table(let table):
            let stride = AttentionKernel.paddedKeys(geometry.keys)
            precondition(
                table.shape.dimensions == [geometry.heads, geometry.queries, stride], "bias table of another size")
            kind = .table(table.pointer, stride: stride, queries: geometry.queries)
            keyTile = geometry.keys
        case .decomposed(let height, let width, let side):
            precondition(side.height * side.width == geometry.keys, "position tables of another grid")
            kind = .decomposed(height: height.pointer, width: width.pointer, side: side)
            keyTile = max(AttentionKernel.keyTile / side.width, 1) * side.width
        }
    }

    /// Computes P_h and P_w of a query tile.
    func prepare(
        _ query: (base: UnsafePointer<Float>, stride: Int), positions: Range<Int>, _ scratch: AttentionScratch
    ) {
        guard case .decomposed(let height, let width, let side) = kind else { return }
        for (slot, table, length) in [(Self.heightSlot, height, side.height), (Self.widthSlot, width, side.width)] {
            let columns = 2 * length - 1
            MatrixProduct.multiply(
                m: positions.count, n: columns, k: headDimension, a: query.base, lda: query.stride, b: table,
                ldb: headDimension, transposeB: true, c: scratch.block(slot, positions.count * columns), ldc: columns)
        }
    }

    /// Adds the bias to one line of scores, masks the line's padding and returns the largest score.
    @inline(__always)
    func add(
        to line: UnsafeMutablePointer<Float>, row: Int, position: Int, keys: Range<Int>, _ head: Int,
        _ scratch: AttentionScratch
    ) -> Float {
        let padded = AttentionKernel.paddedKeys(keys.count)
        var peak = Vector(repeating: AttentionKernel.masked)
        switch kind {
        case .none: break
        case .table(let table, let stride, let queries):
            let terms = table + (head * queries + position) * stride
            // The padding holds leftovers of other work, which must not become the maximum.
            for i in keys.count..<padded { line[i] = AttentionKernel.masked }
            for i in Swift.stride(from: 0, to: padded, by: Vector.scalarCount) {
                let value = Vector(loading: line + i) + Vector(loading: terms + i)
                value.store(line + i)
                peak = peak.maximum(value)
            }
            return peak.max()
        case .decomposed(_, _, let side):
            addDecomposed(to: line, row: row, position: position, keys: keys, side, scratch)
        }
        for i in keys.count..<padded { line[i] = AttentionKernel.masked }
        for i in Swift.stride(from: 0, to: padded, by: Vector.scalarCount) {
            peak = peak.maximum(Vector(loading: line + i))
        }
        return peak.max()
    }

    @inline(__always)
    private func addDecomposed(
        to line: UnsafeMutablePointer<Float>, row: Int, position: Int, keys: Range<Int>,
        _ side: (height: Int, width: Int), _ scratch: AttentionScratch
    ) {
        let heightTerms =
            scratch.block(Self.heightSlot, 0) + row * (2 * side.height - 1) + side.height - 1 - position / side.width
        let widthTerms =
            scratch.block(Self.widthSlot, 0) + row * (2 * side.width - 1) + side.width - 1 - position % side.width
        let firstRow = keys.lowerBound / side.width
        let last = (side.width - 1) / Vector.scalarCount * Vector.scalarCount
        let outside = Self.lanes(from: side.width - last)
        for y in 0..<keys.count / side.width {
            let run = line + y * side.width
            let height = heightTerms[firstRow + y]
            for x in stride(from: 0, to: last, by: Vector.scalarCount) {
                (Vector(loading: run + x) + (Vector(loading: widthTerms + x) + height)).store(run + x)
            }
            // Lanes beyond the run belong to the next run (or to the padding): zero is added to them.
            let term = (Vector(loading: widthTerms + last) + height).replacing(with: 0, where: outside)
            (Vector(loading: run + last) + term).store(run + last)
        }
    }

    /// True in the lanes from `first` on.
    @inline(__always) private static func lanes(from first: Int) -> SIMDMask<SIMD16<Int32>> {
        SIMD16<Int32>(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) .>= Int32(first)
    }

    /// Clears dP_h and dP_w of a query tile.
    func prepareGradient(rows: Int, _ scratch: AttentionScratch) {
        guard case .decomposed(_, _, let side) = kind else { return }
        scratch.block(Self.heightGradientSlot, rows * (2 * side.height - 1)).update(
            repeating: 0, count: rows * (2 * side.height - 1))
        scratch.block(Self.widthGradientSlot, rows * (2 * side.width - 1)).update(
            repeating: 0, count: rows * (2 * side.width - 1))
    }

    /// Adds one line of dS to dP_h and dP_w.
    @inline(__always)
    func collectGradient(
        _ line: UnsafePointer<Float>, row: Int, position: Int, keys: Range<Int>, _ scratch: AttentionScratch
    ) {
        guard case .decomposed(_, _, let side) = kind else { return }
        let heightTerms =
            scratch.block(Self.heightGradientSlot, 0) + row * (2 * side.height - 1) + side.height - 1 - position
            / side.width
        let widthTerms =
            scratch.block(Self.widthGradientSlot, 0) + row * (2 * side.width - 1) + side.width - 1 - position
            % side.width
        let firstRow = keys.lowerBound / side.width
        let last = (side.width - 1) / Vector.scalarCount * Vector.scalarCount
        let outside = Self.lanes(from: side.width - last)
        for y in 0..<keys.count / side.width {
            let run = line + y * side.width
            var total = Vector(repeating: 0)
            for x in stride(from: 0, to: last, by: Vector.scalarCount) {
                let value = Vector(loading: run + x)
                total += value
                (Vector(loading: widthTerms + x) + value).store(widthTerms + x)
            }
            let value = Vector(loading: run + last).replacing(with: 0, where: outside)
            (Vector(loading: widthTerms + last) + value).store(widthTerms + last)
            heightTerms[firstRow + y] += (total + value).sum()
        }
    }

    /// dq += dP_h T_h + dP_w T_w for a query tile.
    func addQueryGradient(_ dQuery: UnsafeMutablePointer<Float>, rows: Int, _ scratch: AttentionScratch) {
        guard case .decomposed(let height, let width, let side) = kind else { return }
        for (slot, table, length) in [
            (Self.heightGradientSlot, height, side.height), (Self.widthGradientSlot, width, side.width),
        ] {
            let columns = 2 * length - 1
            MatrixProduct.multiply(
                m: rows, n: headDimension, k: columns, a: scratch.block(slot, 0), lda: columns, b: table,
                ldb: headDimension, c: dQuery, ldc: headDimension, beta: 1)
        }
    }

    /// dT_h += dP_h^T q and dT_w += dP_w^T q of a query tile, in the pair's part of the partial sums.
    func addPositionGradient(
        _ query: (base: UnsafePointer<Float>, stride: Int), rows: Int, to partial: UnsafeMutablePointer<Float>,
        pair: Int, isFirst: Bool, _ scratch: AttentionScratch
    ) {
        guard case .decomposed(_, _, let side) = kind else { return }
        let (high, wide) = (2 * side.height - 1, 2 * side.width - 1)
        let own = partial + pair * (high + wide) * headDimension
        for (slot, columns, start) in [
            (Self.heightGradientSlot, high, 0), (Self.widthGradientSlot, wide, high * headDimension),
        ] {
            MatrixProduct.multiply(
                m: columns, n: headDimension, k: rows, a: scratch.block(slot, 0), lda: columns, transposeA: true,
                b: query.base, ldb: query.stride, c: own + start, ldc: headDimension, beta: isFirst ? 0 : 1)
        }
    }
}
