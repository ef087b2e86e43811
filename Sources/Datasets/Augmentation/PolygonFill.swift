/// Filling of polygons with whole-numbered vertices by the even-odd rule, outline included, as OpenCV's `fillPoly` does.
///
/// Identical for vertices inside the image; where an outline leaves the image, OpenCV clips the line before drawing it,
/// so a pixel of the outline may be off by one.
package enum PolygonFill {
    /// Calls `mark` with the row-major index of every pixel inside or on the outline; a pixel may be repeated.
    package static func fill(_ polygon: [RandomShadow.Vertex], width: Int, height: Int, mark: (Int) -> Void) {
        guard let last = polygon.last else { return }
        var edges: [Edge] = []
        var previous = last
        for vertex in polygon {
            drawLine(from: previous, to: vertex, width: width, height: height, mark: mark)
            if previous.y != vertex.y { edges.append(Edge(previous, vertex)) }
            previous = vertex
        }
        for y in 0..<height {
            let crossings = edges.filter { $0.rows.contains(y) }.map { $0.column(at: y) }.sorted()
            for pair in stride(from: 0, to: crossings.count - 1, by: 2) {
                let first = max(rounded(crossings[pair]), 0)
                let end = min(rounded(crossings[pair + 1]), width - 1)
                if first <= end { for x in first...end { mark(y * width + x) } }
            }
        }
    }

    /// A polygon edge that is not horizontal, in 16-bit fixed point.
    private struct Edge {
        /// The rows it crosses; the lower end belongs to the next edge.
        let rows: Range<Int>
        private let start: Int
        private let slope: Int

        init(_ first: RandomShadow.Vertex, _ second: RandomShadow.Vertex) {
            let (top, bottom) = first.y < second.y ? (first, second) : (second, first)
            rows = top.y..<bottom.y
            start = top.x << 16
            slope = ((bottom.x - top.x) << 16) / (bottom.y - top.y)
        }

        func column(at y: Int) -> Int { start + (y - rows.lowerBound) * slope }
    }

    private static func rounded(_ fixedPoint: Int) -> Int { (fixedPoint + (1 << 15)) >> 16 }

    /// Visits the pixels of the eight-connected Bresenham line between two pixels.
    private static func drawLine(
        from start: RandomShadow.Vertex, to end: RandomShadow.Vertex, width: Int, height: Int, mark: (Int) -> Void
    ) {
        // Left to right, so that a line does not depend on its direction.
        let (first, second) = start.x <= end.x ? (start, end) : (end, start)
        let across = second.x - first.x
        let down = abs(second.y - first.y)
        let step = second.y < first.y ? -1 : 1
        let isSteep = down > across
        let (long, short) = isSteep ? (down, across) : (across, down)
        var error = long - 2 * short
        var (x, y) = (first.x, first.y)
        for _ in 0...long {
            if x >= 0 && x < width && y >= 0 && y < height { mark(y * width + x) }
            let advances = error < 0
            error += (advances ? 2 * long : 0) - 2 * short
            if isSteep {
                y += step
                if advances { x += 1 }
            } else {
                x += 1
                if advances { y += step }
            }
        }
    }
}
