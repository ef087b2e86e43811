public import Tensors

/// The sizes of an attention and, for windows, the token rows each group holds.
///
/// Attention runs in `groups` that do not see each other (windows, or prompts). Without row tables, group g owns the
/// consecutive rows `g * queries ..< (g + 1) * queries` (keys likewise). With a table, position i of group g is row
/// `rows[g * count + i]`; positions outside the image point at `padRow`, an extra token row that all windows share.
public struct AttentionGeometry: Sendable {
    /// Attention heads.
    public let heads: Int
    /// Width of one head.
    public let headDimension: Int
    /// Independent groups.
    public let groups: Int
    /// Queries in a group.
    public let queries: Int
    /// Keys in a group.
    public let keys: Int
    /// Token rows of windows, `[groups * queries]`; nil when rows are consecutive.
    public let rows: [Int32]?
    /// The shared row of positions outside the image, if there are any.
    public let padRow: Int?

    /// The factor on q k^T: 1 / sqrt(headDimension).
    public var scale: Float { 1 / Float(headDimension).squareRoot() }
    /// Columns of q, k, v or the output: heads times head width.
    public var width: Int { heads * headDimension }

    /// Attention between consecutive rows.
    public init(heads: Int, headDimension: Int, groups: Int, queries: Int, keys: Int) {
        (self.heads, self.headDimension, self.groups) = (heads, headDimension, groups)
        (self.queries, self.keys, rows, padRow) = (queries, keys, nil, nil)
    }

    /// Self-attention in square windows over a grid of tokens, which is padded at the bottom and right to a multiple of
    /// the window (SAM's `window_partition`). A window of at least the grid's size that divides it gives one group.
    ///
    /// - Parameters:
    ///   - height: Rows of the token grid.
    ///   - width: Columns of the token grid.
    ///   - window: Tokens along a window's side; 0 for one group of all tokens.
    public init(heads: Int, headDimension: Int, height: Int, width: Int, window: Int) {
        (self.heads, self.headDimension) = (heads, headDimension)
        if window == 0 || (height == window && width == window) {
            groups = 1
            (queries, keys) = (height * width, height * width)
            (rows, padRow) = (nil, nil)
            return
        }
        let (down, across) = ((height + window - 1) / window, (width + window - 1) / window)
        groups = down * across
        (queries, keys) = (window * window, window * window)
        let pad = height * width
        var table: [Int32] = []
        table.reserveCapacity(groups * queries)
        for windowRow in 0..<down {
            for windowColumn in 0..<across {
                for y in windowRow * window..<(windowRow + 1) * window {
                    for x in windowColumn * window..<(windowColumn + 1) * window {
                        table.append(Int32(y < height && x < width ? y * width + x : pad))
                    }
                }
            }
        }
        rows = table
        padRow = down * window > height || across * window > width ? pad : nil
    }
}

/// The term added to the scaled scores.
public enum AttentionBias: Sendable {
    /// Nothing.
    case none
    /// One number per head, query and key, from `AttentionBias.paddedTable`. // [heads, queries, paddedKeys]
    case table(Tensor)
    /// SAM's decomposed relative positions: `q . heightTable[y - y']  +  q . widthTable[x - x']` with unscaled q.
    ///
    /// The tables come from `AttentionBias.reversedTable`, `[2 side - 1, headDimension]`, so that the terms of ascending
    /// keys are consecutive. `side` is the window's or the grid's (height, width).
    case decomposed(height: Tensor, width: Tensor, side: (height: Int, width: Int))

    /// Gradients of the two tables of relative positions, in reversed row order like the tables.
    public struct PositionGradients: Sendable {
        /// // [2 side - 1, headDimension]
        public var height: Tensor
        /// // [2 side - 1, headDimension]
        public var width: Tensor

        /// Room for the gradients of tables of these shapes.
        public init(height: Shape, width: Shape) {
            (self.height, self.width) = (Tensor(uninitialized: height), Tensor(uninitialized: width))
        }
    }

    /// The row length of a padded table.
    public static func paddedKeys(_ keys: Int) -> Int { AttentionKernel.paddedKeys(keys) }

    /// A bias table whose rows are padded to whole vectors with a value that softmax maps to zero.
    ///
    /// - Parameter values: The biases. // [heads, queries, keys]
    /// - Returns: // [heads, queries, paddedKeys]
    public static func paddedTable(_ values: Tensor) -> Tensor {
        let (heads, queries, keys) = (values.shape[0], values.shape[1], values.shape[2])
        let stride = AttentionKernel.paddedKeys(keys)
        var padded = Tensor(repeating: AttentionKernel.masked, [heads, queries, stride])
        let destination = padded.mutablePointer
        for row in 0..<heads * queries {
            (destination + row * stride).update(from: values.pointer + row * keys, count: keys)
        }
        return padded
    }

    /// A table of relative positions for another grid: linear along its rows, aligned at their outer edges (`get_rel_pos`
    /// in segment_anything's image_encoder.py). // [R, headDimension] -> [rows, headDimension]
    public static func resizedTable(_ table: Tensor, rows: Int) -> Tensor {
        let (stored, columns) = (table.shape[0], table.shape[1])
        var result = Tensor(uninitialized: [rows, columns])
        let (source, destination) = (table.pointer, result.mutablePointer)
        for row in 0..<rows {
            let position = max((Float(row) + 0.5) * (Float(stored) / Float(rows)) - 0.5, 0)
            let low = min(Int(position), stored - 1)
            let (share, high) = (position - Float(low), min(low + 1, stored - 1))
            for c in 0..<columns {
                destination[row * columns + c] =
                    (1 - share) * source[low * columns + c] + share * source[high * columns + c]
            }
        }
        return result
    }

    /// A table of relative positions as stored in SAM's weight files, in reversed row order. // [2 side - 1, headDimension]
    public static func reversedTable(_ table: Tensor) -> Tensor {
        let (rows, columns) = (table.shape[0], table.shape[1])
        var result = Tensor(uninitialized: table.shape)
        let destination = result.mutablePointer
        for row in 0..<rows {
            (destination + row * columns).update(from: table.pointer + (rows - 1 - row) * columns, count: columns)
        }
        return result
    }
}
