import Machine
public import Tensors

// A point (x, y) in [0, 1]^2 of an H x W map reads the position (x W - 1/2, y H - 1/2) bilinearly; positions outside the
// map count as 0 (PyTorch's grid_sample with align_corners false and padding "zeros"):
//   z(x, y) = sum over the four neighbours (i, j) of w_ij m[i, j],   dm[i, j] += w_ij dz
//
// A map's points are read in parallel and scattered back in their order, so that sums have one order.

/// Bilinear reading of maps at given points, and its adjoint (PointRend's `point_sample`; Kirillov et al., CVPR 2020).
public enum PointSampleKernel {
    /// Values of each map at its own points.
    ///
    /// - Parameters:
    ///   - maps: // [n, H, W]
    ///   - points: x, y of K points per map. // [n, K, 2]
    /// - Returns: // [n, K]
    public static func forward(_ maps: Tensor, at points: Tensor, in workspace: Workspace) -> Tensor {
        let (n, height, width) = (maps.shape[0], maps.shape[1], maps.shape[2])
        let count = points.count / (2 * n)
        precondition(points.shape == [n, count, 2], "points of shape \(points.shape) for \(n) maps")
        var values = Tensor(uninitialized: [n, count])
        let (source, places, destination) = (maps.pointer, points.pointer, values.mutablePointer)
        workspace.pool.parallelFor(n) { map, _ in
            let plane = source + map * height * width
            for point in map * count..<(map + 1) * count {
                let corners = Corners(places[2 * point], places[2 * point + 1], height: height, width: width)
                var sum: Float = 0
                corners.forEach { place, weight in sum += weight * plane[place] }
                destination[point] = sum
            }
        }
        return values
    }

    /// Adds the gradient of the maps, given that of the values.
    ///
    /// - Parameters:
    ///   - dValues: // [n, K]
    ///   - points: // [n, K, 2]
    ///   - dMaps: Added to. // [n, H, W]
    public static func backward(
        _ dValues: Tensor, at points: Tensor, addingTo dMaps: inout Tensor, in workspace: Workspace
    ) {
        let (n, height, width) = (dMaps.shape[0], dMaps.shape[1], dMaps.shape[2])
        let count = dValues.count / n
        precondition(points.shape == [n, count, 2], "points of shape \(points.shape) for \(n) maps")
        let (source, places, destination) = (dValues.pointer, points.pointer, dMaps.mutablePointer)
        workspace.pool.parallelFor(n) { map, _ in
            let plane = destination + map * height * width
            for point in map * count..<(map + 1) * count {
                let corners = Corners(places[2 * point], places[2 * point + 1], height: height, width: width)
                let gradient = source[point]
                corners.forEach { place, weight in plane[place] += weight * gradient }
            }
        }
    }

    /// The `count` candidates of each map with the smallest |value|, in that order.
    ///
    /// - Parameters:
    ///   - candidates: x, y. // [n, m, 2]
    ///   - values: Of the candidates. // [n, m]
    ///   - points: Written: the first `count` rows of each map. // [n, K, 2]
    public static func leastCertain(
        _ count: Int, of candidates: Tensor, values: Tensor, into points: inout Tensor, in workspace: Workspace
    ) {
        let (n, all, rows) = (values.shape[0], values.shape[1], points.shape[1])
        precondition(count <= all && count <= rows && candidates.shape == [n, all, 2])
        let (certainty, source, destination) = (values.pointer, candidates.pointer, points.mutablePointer)
        workspace.pool.parallelFor(n) { map, _ in
            let own = certainty + map * all
            // Equal certainties in the order of the candidates, so that the choice is a function of the numbers.
            let order = (0..<all).sorted {
                let (left, right) = (abs(own[$0]), abs(own[$1]))
                return left < right || left == right && $0 < $1
            }
            for (row, place) in order.prefix(count).enumerated() {
                (destination + (map * rows + row) * 2).update(from: source + (map * all + place) * 2, count: 2)
            }
        }
    }

    /// The four neighbours of a point and their weights.
    private struct Corners {
        let left, top, width, height: Int
        let x, y: Float

        @inline(__always) init(_ x: Float, _ y: Float, height: Int, width: Int) {
            let (column, row) = (x * Float(width) - 0.5, y * Float(height) - 0.5)
            // Points are in [0, 1], so positions are -1/2 or more, and adding 1 makes truncation the floor.
            (left, top) = (Int(column + 1) - 1, Int(row + 1) - 1)
            (self.x, self.y) = (column - Float(left), row - Float(top))
            (self.width, self.height) = (width, height)
        }

        @inline(__always) func forEach(_ body: (_ place: Int, _ weight: Float) -> Void) {
            for (row, vertical) in [(top, 1 - y), (top + 1, y)] where row >= 0 && row < height {
                if left >= 0 { body(row * width + left, vertical * (1 - x)) }
                if left + 1 < width { body(row * width + left + 1, vertical * x) }
            }
        }
    }
}
