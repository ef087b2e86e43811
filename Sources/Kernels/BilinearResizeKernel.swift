import Machine
public import Tensors

// torch.nn.functional.interpolate(mode: "bilinear", align_corners: false, antialias: false), per axis:
//   u(Y) = max((Y + 1/2) h / H - 1/2, 0),   y0 = floor u,   y1 = min(y0 + 1, h - 1),   t = u - y0
//   out[Y, X] = (1-t) ((1-s) in[y0, x0] + s in[y0, x1]) + t ((1-s) in[y1, x0] + s in[y1, x1])
// The adjoint adds d out[Y, X] to the same four elements with the same weights.
//
// Along a row, the two source rows are blended only when x0 changes, so an enlargement by f costs one blend of columns
// per f outputs, needs no scratch and can be done one output row at a time: losses on 1024 x 1024 maps never store it.

/// The interpolation of one axis.
struct BilinearAxis: Sendable {
    let source: Int
    private let scale: Float

    init(source: Int, target: Int) {
        self.source = source
        scale = Float(source) / Float(target)
    }

    /// The two source positions of a target position and the weight of the upper one.
    @inline(__always) func tap(_ target: Int) -> (lower: Int, upper: Int, weight: Float) {
        let exact = (Float(target) + 0.5) * scale - 0.5
        let held = exact < 0 ? 0 : exact
        let lower = min(Int(held), source - 1)
        return (lower, min(lower + 1, source - 1), min(held - Float(lower), 1))
    }
}

/// Bilinear interpolation from one map size to another, row by row.
///
/// A plain value of four numbers, usable from any thread.
public struct BilinearMap: Sendable {
    /// The height of the source map.
    public let sourceHeight: Int
    /// The width of the source map.
    public let sourceWidth: Int
    /// The height of the resized map.
    public let height: Int
    /// The width of the resized map.
    public let width: Int
    let rows: BilinearAxis
    private let columns: BilinearAxis

    /// Interpolation from `sourceHeight` x `sourceWidth` to `height` x `width`; all positive.
    public init(sourceHeight: Int, sourceWidth: Int, height: Int, width: Int) {
        precondition(
            min(sourceHeight, sourceWidth, height, width) > 0,
            "cannot resize \(sourceHeight) x \(sourceWidth) to \(height) x \(width)")
        (self.sourceHeight, self.sourceWidth, self.height, self.width) = (sourceHeight, sourceWidth, height, width)
        rows = BilinearAxis(source: sourceHeight, target: height)
        columns = BilinearAxis(source: sourceWidth, target: width)
    }

    /// One row of the resized map.
    ///
    /// - Parameters:
    ///   - plane: The source map. // [sourceHeight, sourceWidth]
    ///   - row: Which row, from 0 to height - 1.
    ///   - output: Written. // [width]
    public func interpolateRow(
        _ plane: UnsafePointer<Float>, row: Int, into output: UnsafeMutablePointer<Float>
    ) {
        let tap = rows.tap(row)
        let (upper, lower) = (plane + tap.lower * sourceWidth, plane + tap.upper * sourceWidth)
        let (upperWeight, lowerWeight) = (1 - tap.weight, tap.weight)
        var column = -1
        var (left, right) = (Float(0), Float(0))
        for x in 0..<width {
            let tap = columns.tap(x)
            if tap.lower != column {
                column = tap.lower
                left = upperWeight * upper[column] + lowerWeight * lower[column]
                right = upperWeight * upper[tap.upper] + lowerWeight * lower[tap.upper]
            }
            output[x] = (1 - tap.weight) * left + tap.weight * right
        }
    }

    /// Adds the gradient of one row of the resized map to the gradient of the source map: the adjoint of
    /// `interpolateRow`.
    ///
    /// - Parameters:
    ///   - gradient: Gradient of the row. // [width]
    ///   - row: Which row, from 0 to height - 1.
    ///   - plane: Gradient of the source map, added to. // [sourceHeight, sourceWidth]
    public func accumulateRow(_ gradient: UnsafePointer<Float>, row: Int, into plane: UnsafeMutablePointer<Float>) {
        accumulateRow(gradient, row: row, into: plane, sourceRows: 0..<sourceHeight)
    }

    /// As above, restricted to those of the two source rows that are in a range.
    func accumulateRow(
        _ gradient: UnsafePointer<Float>, row: Int, into plane: UnsafeMutablePointer<Float>, sourceRows: Range<Int>
    ) {
        let tap = rows.tap(row)
        let upper = sourceRows.contains(tap.lower) ? plane + tap.lower * sourceWidth : nil
        let lower = sourceRows.contains(tap.upper) ? plane + tap.upper * sourceWidth : nil
        let (upperWeight, lowerWeight) = (1 - tap.weight, tap.weight)
        @inline(__always) func give(_ left: Float, _ right: Float, _ column: Int) {
            let next = min(column + 1, sourceWidth - 1)
            if let upper {
                upper[column] += upperWeight * left
                upper[next] += upperWeight * right
            }
            if let lower {
                lower[column] += lowerWeight * left
                lower[next] += lowerWeight * right
            }
        }
        var column = 0
        var (left, right) = (Float(0), Float(0))
        for x in 0..<width {
            let tap = columns.tap(x)
            if tap.lower != column {
                give(left, right, column)
                (left, right, column) = (0, 0, tap.lower)
            }
            left += (1 - tap.weight) * gradient[x]
            right += tap.weight * gradient[x]
        }
        give(left, right, column)
    }
}

/// PyTorch's bilinear resize (`align_corners: false`, no antialiasing) of stacks of maps, and its adjoint.
public enum BilinearResizeKernel {
    /// Rows per task: 64 KiB of output at 1024 columns, inside L2.
    static let bandRows = 16

    /// Resizes n maps.
    ///
    /// - Parameters:
    ///   - x: Maps. // [n, h, w]
    ///   - y: Resized maps of any size. // [n, H, W]
    public static func forward(_ x: Tensor, into y: inout Tensor, in workspace: Workspace) {
        precondition(x.shape.rank == 3 && y.shape.rank == 3 && x.shape[0] == y.shape[0], "\(x.shape) to \(y.shape)")
        if y.count == 0 { return }
        let map = BilinearMap(
            sourceHeight: x.shape[1], sourceWidth: x.shape[2], height: y.shape[1], width: y.shape[2])
        let bands = (map.height + bandRows - 1) / bandRows
        let (source, output) = (x.pointer, y.mutablePointer)
        workspace.pool.parallelFor(x.shape[0] * bands) { task, _ in
            let (plane, band) = task.quotientAndRemainder(dividingBy: bands)
            for row in band * bandRows..<min((band + 1) * bandRows, map.height) {
                map.interpolateRow(
                    source + plane * map.sourceHeight * map.sourceWidth, row: row,
                    into: output + (plane * map.height + row) * map.width)
            }
        }
    }

    /// dX, the adjoint of `forward` applied to dY.
    ///
    /// - Parameters:
    ///   - dY: Gradient of the resized maps. // [n, H, W]
    ///   - dX: Gradient of the maps, overwritten. // [n, h, w]
    public static func backwardInput(_ dY: Tensor, into dX: inout Tensor, in workspace: Workspace) {
        precondition(
            dX.shape.rank == 3 && dY.shape.rank == 3 && dX.shape[0] == dY.shape[0], "\(dY.shape) to \(dX.shape)")
        if dY.count == 0 || dX.count == 0 { return }
        let map = BilinearMap(
            sourceHeight: dX.shape[1], sourceWidth: dX.shape[2], height: dY.shape[1], width: dY.shape[2])
        // A task owns rows of dX; output rows on the border of two bands are visited by both.
        let bands = (map.sourceHeight + bandRows - 1) / bandRows
        let (gradient, output) = (dY.pointer, dX.mutablePointer)
        workspace.pool.parallelFor(dX.shape[0] * bands) { task, _ in
            let (plane, band) = task.quotientAndRemainder(dividingBy: bands)
            let owned = band * bandRows..<min((band + 1) * bandRows, map.sourceHeight)
            let target = output + plane * map.sourceHeight * map.sourceWidth
            (target + owned.lowerBound * map.sourceWidth).update(
                repeating: 0, count: owned.count * map.sourceWidth)
            for row in rowsTouching(owned, map) {
                map.accumulateRow(
                    gradient + (plane * map.height + row) * map.width, row: row, into: target, sourceRows: owned)
            }
        }
    }

    /// The output rows that read any of the given source rows: both taps grow with the row, so two bisections find them.
    static func rowsTouching(_ owned: Range<Int>, _ map: BilinearMap) -> Range<Int> {
        func first(where holds: (Int) -> Bool) -> Int {
            var (low, high) = (0, map.height)
            while low < high {
                let middle = (low + high) / 2
                if holds(middle) { high = middle } else { low = middle + 1 }
            }
            return low
        }
        let lower = first { map.rows.tap($0).upper >= owned.lowerBound }
        let upper = first { map.rows.tap($0).lower >= owned.upperBound }
        return lower..<max(lower, upper)
    }
}
