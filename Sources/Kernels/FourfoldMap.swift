// Bilinear enlargement by four without aligned corners has constant weights. With r the blend of two source rows,
//   out[4k]     = 3/8 r[k-1] + 5/8 r[k]        out[4k + 1] = 1/8 r[k-1] + 7/8 r[k]
//   out[4k + 2] = 7/8 r[k] + 1/8 r[k+1]        out[4k + 3] = 5/8 r[k] + 3/8 r[k+1]
// and r[-1] = r[0], r[w] = r[w-1]. Each of the four phases is a sum of shifted rows: in phase order (all pixels 4k, then
// all 4k + 1, ...) a row needs neither shuffles nor tables. The adjoint gathers in the same way,
//   dr[k] = 5/8 (g0 + g3)[k] + 7/8 (g1 + g2)[k] + L[k+1] + R[k-1],   L = 3/8 g0 + 1/8 g1,   R = 1/8 g2 + 3/8 g3,
// where the edges fold back: L[w] stands for R[w-1], R[-1] for L[0].

/// Bilinear enlargement of a map by four, a row at a time, with the row's pixels in phase order.
struct FourfoldMap: Sendable {
    private let width: Int
    private let rows: BilinearAxis

    /// The same interpolation as `map`; nil unless that is an enlargement by four of whole vectors.
    init?(_ map: BilinearMap) {
        guard map.width == 4 * map.sourceWidth, map.height == 4 * map.sourceHeight,
            map.sourceWidth % Vector.scalarCount == 0
        else { return nil }
        (width, rows) = (map.sourceWidth, map.rows)
    }

    /// The length of a row padded by one vector on either side.
    private var paddedWidth: Int { width + 2 * Vector.scalarCount }
    /// Scratch floats needed by both directions.
    var scratchFloats: Int { 3 * paddedWidth }

    /// One row of the enlarged map.
    ///
    /// - Parameters:
    ///   - plane: The source map. // [h, w]
    ///   - output: Written. // [4, w]
    @inline(__always)
    func interpolateRow(
        _ plane: UnsafePointer<Float>, row: Int, into output: UnsafeMutablePointer<Float>,
        scratch: UnsafeMutablePointer<Float>
    ) {
        let step = Vector.scalarCount
        let tap = rows.tap(row)
        let (upper, lower) = (plane + tap.lower * width, plane + tap.upper * width)
        let blend = scratch + step
        for k in stride(from: 0, to: width, by: step) {
            let weighted = Vector(loading: lower + k) * tap.weight
            weighted.addingProduct(Vector(loading: upper + k), Vector(repeating: 1 - tap.weight)).store(blend + k)
        }
        (blend[-1], blend[width]) = (blend[0], blend[width - 1])
        for k in stride(from: 0, to: width, by: step) {
            let centre = Vector(loading: blend + k)
            let (left, right) = (Vector(loading: blend + k - 1), Vector(loading: blend + k + 1))
            let (most, rest) = (centre * 0.875, centre * 0.625)
            left.times(Vector(repeating: 0.375), plus: rest).store(output + k)
            left.times(Vector(repeating: 0.125), plus: most).store(output + width + k)
            right.times(Vector(repeating: 0.125), plus: most).store(output + 2 * width + k)
            right.times(Vector(repeating: 0.375), plus: rest).store(output + 3 * width + k)
        }
    }

    /// Adds the gradient of one row of the enlarged map to those of its two source rows that are in a range.
    ///
    /// - Parameters:
    ///   - gradient: Gradient of the row. // [4, w]
    ///   - plane: Gradient of the source map, added to. // [h, w]
    @inline(__always)
    func accumulateRow(
        _ gradient: UnsafePointer<Float>, row: Int, into plane: UnsafeMutablePointer<Float>, sourceRows: Range<Int>,
        scratch: UnsafeMutablePointer<Float>
    ) {
        let step = Vector.scalarCount
        let (left, right) = (scratch + step, scratch + paddedWidth + step)
        let centre = scratch + 2 * paddedWidth
        for k in stride(from: 0, to: width, by: step) {
            let (g0, g1) = (Vector(loading: gradient + k), Vector(loading: gradient + width + k))
            let (g2, g3) = (Vector(loading: gradient + 2 * width + k), Vector(loading: gradient + 3 * width + k))
            (g1 * 0.125).addingProduct(g0, Vector(repeating: 0.375)).store(left + k)
            (g2 * 0.125).addingProduct(g3, Vector(repeating: 0.375)).store(right + k)
            ((g1 + g2) * 0.875).addingProduct(g0 + g3, Vector(repeating: 0.625)).store(centre + k)
        }
        (right[-1], left[width]) = (left[0], right[width - 1])
        let tap = rows.tap(row)
        let upper = sourceRows.contains(tap.lower) ? plane + tap.lower * width : nil
        let lower = sourceRows.contains(tap.upper) ? plane + tap.upper * width : nil
        for k in stride(from: 0, to: width, by: step) {
            let total = Vector(loading: centre + k) + Vector(loading: left + k + 1) + Vector(loading: right + k - 1)
            // Sequentially: at the edges both are the same row.
            if let upper {
                let weight = Vector(repeating: 1 - tap.weight)
                total.times(weight, plus: Vector(loading: upper + k)).store(upper + k)
            }
            if let lower {
                let weight = Vector(repeating: tap.weight)
                total.times(weight, plus: Vector(loading: lower + k)).store(lower + k)
            }
        }
    }
}
