// d(x, y) = min over pixels (u, v) outside R of (x - u)^2 + (y - v)^2, where all pixels outside the image are outside R too.
// Meijster, Roerdink, Hesselink, "A general algorithm for computing distance transforms in linear time" (2000): first the
// distance g within each column, then the lower envelope of the parabolas (x - i)^2 + g(i)^2 of each row. All in integers.

/// The exact Euclidean distance of each pixel of a region from what is outside it.
public enum SquaredDistanceTransform {
    /// The squared distance of every pixel to the nearest one outside the region; 0 outside. // [H, W]
    public static func distances(in region: PixelMask) -> [Int] {
        let (width, height) = (region.width, region.height)
        let columns = columnDistances(region)
        var result = [Int](repeating: 0, count: width * height)
        // The columns left and right of the image are outside the region.
        var g = [Int](repeating: 0, count: width + 2)
        var (vertices, starts) = (g, g)
        for y in 0..<height where region.pixels[y * width..<(y + 1) * width].contains(true) {
            for x in 0..<width { g[x + 1] = columns[y * width + x] }
            envelope(g, &vertices, &starts) { place, square in
                if (1...width).contains(place) { result[y * width + place - 1] = square }
            }
        }
        return result
    }

    /// The distance of each pixel to the nearest one of its column that is outside the region. // [H, W]
    private static func columnDistances(_ region: PixelMask) -> [Int] {
        let (width, height) = (region.width, region.height)
        var distances = [Int](repeating: 0, count: width * height)
        for x in 0..<width {
            var above = 0
            for y in 0..<height {
                above = region.pixels[y * width + x] ? above + 1 : 0
                distances[y * width + x] = above
            }
            var below = 0
            for y in stride(from: height - 1, through: 0, by: -1) {
                below = region.pixels[y * width + x] ? below + 1 : 0
                distances[y * width + x] = min(distances[y * width + x], below)
            }
        }
        return distances
    }

    /// Passes min_i (x - i)^2 + g(i)^2 of every place x of a row.
    ///
    /// - Parameters:
    ///   - vertices: Scratch: the places i of the envelope's parabolas. // [W]
    ///   - starts: Scratch: the first place at which each of them is lowest. // [W]
    private static func envelope(
        _ g: [Int], _ vertices: inout [Int], _ starts: inout [Int], _ give: (Int, Int) -> Void
    ) {
        func value(_ x: Int, _ i: Int) -> Int { (x - i) * (x - i) + g[i] * g[i] }
        var top = 0
        (vertices[0], starts[0]) = (0, 0)
        for u in 1..<g.count {
            while top >= 0, value(starts[top], vertices[top]) > value(starts[top], u) { top -= 1 }
            guard top >= 0 else {
                (top, vertices[0], starts[0]) = (0, u, 0)
                continue
            }
            let i = vertices[top]
            // The last place at which i is not above u. The numerator is not negative: i is lowest at starts[top] >= 0.
            let separation = (u * u - i * i + g[u] * g[u] - g[i] * g[i]) / (2 * (u - i))
            if separation + 1 < g.count {
                top += 1
                (vertices[top], starts[top]) = (u, separation + 1)
            }
        }
        for x in stride(from: g.count - 1, through: 0, by: -1) {
            give(x, value(x, vertices[top]))
            if x == starts[top] { top -= 1 }
        }
    }
}
