import Foundation

// Outer borders are followed as in Suzuki and Abe (1985): from the first pixel of a part, in reading order, anticlockwise
// round it, keeping the background on one side. Straight runs are reduced to their ends.
//
// Simplification is Douglas and Peucker's: a chain whose vertices all lie within the tolerance of the line between its ends
// becomes that line, others are cut at the farthest vertex. A closed chain is first cut in two at a pair of vertices that
// are far apart. Vertices that then are nearly on the line of their neighbours are dropped.

/// One pixel by its column and row.
package struct OutlinePixel: Equatable, Sendable {
    package var x: Int
    package var y: Int

    package init(x: Int, y: Int) { (self.x, self.y) = (x, y) }
}

/// The outline of a mask's largest part, and coarser forms of it.
package enum Outline {
    /// The corners of the outer border of the largest 8-connected part of a mask, closed; empty for an empty mask.
    ///
    /// Of parts of equal size the first in reading order is used. OpenCV's `findContours` with simple chains gives the
    /// same vertices for a mask of one part.
    package static func ofLargestPart(_ mask: [UInt8], width: Int, height: Int) -> [OutlinePixel] {
        guard let start = largestPart(mask, width: width, height: height) else { return [] }
        return border(from: start) { x, y in
            x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x] != 0
        }
    }

    /// The length of a closed chain, pixels.
    package static func perimeter(_ chain: [OutlinePixel]) -> Double {
        chain.indices.reduce(0) { sum, index in
            let (a, b) = (chain[index], chain[(index + 1) % chain.count])
            return sum + Double((a.x - b.x) * (a.x - b.x) + (a.y - b.y) * (a.y - b.y)).squareRoot()
        }
    }

    /// The first pixel, in reading order, of the part with most pixels.
    private static func largestPart(_ mask: [UInt8], width: Int, height: Int) -> OutlinePixel? {
        let parts = ConnectedComponents(mask.map { $0 != 0 }, width: width, height: height)
        var sizes = [Int](repeating: 0, count: parts.count + 1)
        for label in parts.labels { sizes[Int(label)] += 1 }
        sizes[0] = 0
        guard let most = sizes.max(), most > 0, let part = sizes.firstIndex(of: most),
            let first = parts.labels.firstIndex(of: Int32(part))
        else { return nil }
        return OutlinePixel(x: first % width, y: first / width)
    }

    /// The eight neighbours, anticlockwise from the east, rows growing downwards.
    private static let steps = [(1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1)]

    /// The corners of the border that starts at a part's first pixel.
    private static func border(from start: OutlinePixel, isInside: (Int, Int) -> Bool) -> [OutlinePixel] {
        func neighbour(_ pixel: OutlinePixel, _ direction: Int) -> OutlinePixel {
            OutlinePixel(x: pixel.x + steps[direction].0, y: pixel.y + steps[direction].1)
        }
        // Clockwise from the west, which is background: the pixel from which the border returns to the start.
        guard
            let entry = (0..<8).map({ (4 + 8 - $0) % 8 }).first(where: {
                let pixel = neighbour(start, $0)
                return isInside(pixel.x, pixel.y)
            })
        else { return [start] }
        let last = neighbour(start, entry)
        var chain: [OutlinePixel] = []
        var (pixel, from) = (start, entry)  // `from` points to the pixel before
        var arrival = (entry + 4) % 8
        while true {
            var direction = (from + 1) % 8
            while true {
                let next = neighbour(pixel, direction)
                if isInside(next.x, next.y) { break }
                direction = (direction + 1) % 8
            }
            if direction != arrival { chain.append(pixel) }
            let next = neighbour(pixel, direction)
            if next == start && pixel == last { return chain }
            (arrival, from, pixel) = (direction, (direction + 4) % 8, next)
        }
    }

    /// A closed chain with fewer vertices, none of the dropped ones farther than `tolerance` from the result.
    package static func simplified(_ chain: [OutlinePixel], tolerance: Double) -> [OutlinePixel] {
        guard chain.count > 2 else { return chain }
        let limit = tolerance * tolerance
        // From a vertex to the farthest one, three times in a row: a pair that is far apart.
        var (first, second, distance) = (0, 0, 0)
        for _ in 0..<3 {
            first = second
            distance = 0
            for offset in 1..<chain.count {
                let place = (first + offset) % chain.count
                let square = squaredDistance(chain[first], chain[place])
                if square > distance { (distance, second) = (square, place) }
            }
        }
        guard Double(distance) > limit else { return [chain[first]] }
        var kept: [Int] = []
        reduce(chain, from: first, to: second, limit, &kept)
        reduce(chain, from: second, to: first, limit, &kept)
        return withoutNearlyStraight(kept.map { chain[$0] }, limit)
    }

    private static func squaredDistance(_ a: OutlinePixel, _ b: OutlinePixel) -> Int {
        (a.x - b.x) * (a.x - b.x) + (a.y - b.y) * (a.y - b.y)
    }

    /// Twice the area of the triangle of a point and a line's two ends.
    private static func doubleArea(_ point: OutlinePixel, _ start: OutlinePixel, _ end: OutlinePixel) -> Int {
        abs((point.y - start.y) * (end.x - start.x) - (point.x - start.x) * (end.y - start.y))
    }

    /// Appends the vertices that are kept from one on until before another, wrapping round the end of the list.
    private static func reduce(
        _ chain: [OutlinePixel], from start: Int, to end: Int, _ limit: Double, _ kept: inout [Int]
    ) {
        var stack = [(start, end)]
        while let (first, last) = stack.popLast() {
            let (a, b) = (chain[first], chain[last])
            var (farthest, area) = (first, 0)
            var place = (first + 1) % chain.count
            while place != last && first != last {
                let own = doubleArea(chain[place], a, b)
                if own > area { (area, farthest) = (own, place) }
                place = (place + 1) % chain.count
            }
            if Double(area) * Double(area) <= limit * Double(squaredDistance(a, b)) {
                kept.append(first)
            } else {
                stack.append((farthest, last))
                stack.append((first, farthest))
            }
        }
    }

    /// Drops a vertex that lies between its neighbours and within the tolerance over root two of their line.
    ///
    /// Vertices on horizontal and vertical lines are kept, and at least two always remain.
    private static func withoutNearlyStraight(_ chain: [OutlinePixel], _ limit: Double) -> [OutlinePixel] {
        var result = chain
        var index = 0
        var before = chain.count - 1
        var checked = 0
        while checked < chain.count && result.count > 2 {
            let (start, point, end) = (result[before], result[index], result[(index + 1) % result.count])
            let (dx, dy) = (end.x - start.x, end.y - start.y)
            let area = Double(doubleArea(point, start, end))
            let inner = (point.x - start.x) * (end.x - point.x) + (point.y - start.y) * (end.y - point.y)
            checked += 1
            if area * area <= 0.5 * limit * Double(dx * dx + dy * dy) && dx != 0 && dy != 0 && inner >= 0 {
                result.remove(at: index)
                if before > index { before -= 1 }
                // The one that follows is kept unchecked, as its neighbour has just been dropped.
                if index >= result.count { break }
                before = index
                index += 1
                checked += 1
            } else {
                before = index
                index += 1
            }
            if index >= result.count { break }
        }
        return result
    }
}
