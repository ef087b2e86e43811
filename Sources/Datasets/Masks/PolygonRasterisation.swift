/// Rasterisation of polygons to the same pixels as COCO's own tools.
///
/// Vertices are rounded to a grid of five steps per pixel. The outline is followed on that grid one step at a time along
/// the longer side of each edge; where it passes from one pixel's column to the next, at two fifths of the pixel, the
/// column changes between outside and inside at the outline's height there. A scan of pixel centres would differ
/// at the rim. An outline that crosses itself has holes where it winds twice.
public enum PolygonRasterisation {
    /// Maximum absolute value of a coordinate.
    public static let coordinateLimit = 1e8

    /// The pixels of a polygon.
    ///
    /// - Parameter coordinates: x and y of every vertex in turn, on the axes of `Box`.
    /// - Throws: `ShapeFault` if there are not two per vertex, fewer than three vertices, a coordinate is not finite or
    ///   over the limit, or the mask is too large.
    public static func encode(polygon coordinates: [Double], width: Int, height: Int) throws(ShapeFault)
        -> RunLengthEncoding
    {
        try check(polygon: coordinates)
        return try encode(outline: coordinates, width: width, height: height)
    }

    /// The pixels of a rectangle. Throws `ShapeFault` if a corner is not finite or over the limit.
    public static func encode(box: Box, width: Int, height: Int) throws(ShapeFault) -> RunLengthEncoding {
        let corners = [box.x0, box.y0, box.x0, box.y1, box.x1, box.y1, box.x1, box.y0]
        for corner in corners { try check(coordinate: corner) }
        return try encode(outline: corners, width: width, height: height)
    }

    /// Checks a polygon. Throws `ShapeFault`.
    static func check(polygon coordinates: [Double]) throws(ShapeFault) {
        guard coordinates.count % 2 == 0 else {
            throw ShapeFault(.oddPolygon, "a polygon of \(coordinates.count) numbers")
        }
        guard coordinates.count >= 6 else {
            throw ShapeFault(.shortPolygon, "a polygon of \(coordinates.count / 2) vertices")
        }
        for coordinate in coordinates { try check(coordinate: coordinate) }
    }

    /// Checks a coordinate. Throws `ShapeFault`.
    static func check(coordinate: Double) throws(ShapeFault) {
        guard abs(coordinate) <= coordinateLimit else { throw ShapeFault(.notFinite, "the coordinate \(coordinate)") }
    }

    private static func encode(outline: [Double], width: Int, height: Int) throws(ShapeFault) -> RunLengthEncoding {
        var crossings = ColumnCrossings(
            width: width, height: height, pixels: try RunLengthEncoding.pixels(width: width, height: height))
        let fine = outline.map { Int(Double(ColumnCrossings.steps) * $0 + 0.5) }
        var last = (x: fine[fine.count - 2], y: fine[fine.count - 1])
        for vertex in stride(from: 0, to: fine.count, by: 2) {
            let next = (x: fine[vertex], y: fine[vertex + 1])
            crossings.follow(from: last, to: next)
            last = next
        }
        return RunLengthEncoding(trusted: crossings.counts(), width: width, height: height)
    }
}

/// The positions where an outline changes between outside and inside, counted down the columns.
private struct ColumnCrossings {
    /// Grid steps per pixel.
    static let steps = 5

    let width: Int
    let height: Int
    let pixels: Int
    private var places: [Int] = []
    private var sizeToTidyAt = 1 << 16

    init(width: Int, height: Int, pixels: Int) {
        (self.width, self.height, self.pixels) = (width, height, pixels)
    }

    /// Follows an edge between two points of the grid.
    mutating func follow(from first: (x: Int, y: Int), to second: (x: Int, y: Int)) {
        let (low, high) = (min(first.x, second.x), max(first.x, second.x))
        // Column c begins between the grid positions 5c + 2 and 5c + 3. Positions left of 0 do not count, so c >= 0.
        let firstColumn = max(0, (max(low, 0) - 2 + Self.steps - 1) / Self.steps)
        guard high >= 3 else { return }
        let lastColumn = min(width - 1, (high - 3) / Self.steps)
        guard firstColumn <= lastColumn else { return }
        if high - low >= abs(second.y - first.y) {
            let (start, end) = first.x > second.x ? (second, first) : (first, second)
            let slope = Double(end.y - start.y) / Double(end.x - start.x)
            for column in firstColumn...lastColumn {
                let step = Self.steps * column + 2 - start.x
                add(column, min(Self.place(start.y, slope, step), Self.place(start.y, slope, step + 1)))
            }
        } else {
            let (start, end) = first.y > second.y ? (second, first) : (first, second)
            let slope = Double(end.x - start.x) / Double(end.y - start.y)
            for column in firstColumn...lastColumn {
                let border = Self.steps * column + 2
                add(column, start.y + Self.lastStep(before: border, from: start.x, slope, of: end.y - start.y))
            }
        }
        if places.count >= sizeToTidyAt {
            tidy()
            sizeToTidyAt = max(1 << 16, 2 * places.count)
        }
    }

    /// The rounded position on an edge after `step` steps along its longer side.
    private static func place(_ start: Int, _ slope: Double, _ step: Int) -> Int {
        Int(Double(start) + slope * Double(step) + 0.5)
    }

    /// The last step of a steep edge before it passes the border between `border` and `border + 1`.
    private static func lastStep(before border: Int, from start: Int, _ slope: Double, of steps: Int) -> Int {
        let isRising = slope > 0
        func hasPassed(_ step: Int) -> Bool { (place(start, slope, step) > border) == isRising }
        // The estimate is off by at most a rounding error.
        var step = min(max(Int((Double(border) + 0.5 - Double(start)) / slope), 1), steps)
        while step > 1, hasPassed(step - 1) { step -= 1 }
        while step < steps, !hasPassed(step) { step += 1 }
        return step - 1
    }

    /// Records a change in a column at a height of the grid.
    private mutating func add(_ column: Int, _ fineHeight: Int) {
        let row = fineHeight <= 2 ? 0 : min((fineHeight - 2 + Self.steps - 1) / Self.steps, height)
        places.append(column * height + row)
    }

    /// Sorts the positions and removes pairs, which change nothing.
    private mutating func tidy() {
        places.sort()
        var kept = 0
        for place in places {
            if kept > 0, places[kept - 1] == place {
                kept -= 1
            } else {
                places[kept] = place
                kept += 1
            }
        }
        places.removeLast(places.count - kept)
    }

    /// The lengths of the runs.
    mutating func counts() -> [UInt32] {
        tidy()
        if places.last == pixels { places.removeLast() }
        var counts: [UInt32] = []
        counts.reserveCapacity(places.count + 1)
        var last = 0
        for place in places {
            counts.append(UInt32(place - last))
            last = place
        }
        counts.append(UInt32(pixels - last))
        return counts
    }
}
