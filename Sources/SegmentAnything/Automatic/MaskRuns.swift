/// A binary mask as lengths of runs down the columns, from the left: zeros first, then ones, and so on.
///
/// COCO's order, so the lengths are those of its run-length encoding.
public struct MaskRuns: Sendable, Equatable {
    /// Pixels per row.
    public let width: Int
    /// Rows.
    public let height: Int
    /// The lengths; they add up to `width * height`.
    public let counts: [UInt32]

    /// Creates a mask from the spans of its ones, in ascending order, counted down the columns; spans may touch.
    init(spans: some Sequence<Range<Int>>, width: Int, height: Int) {
        var counts: [UInt32] = []
        var end = 0
        for span in spans where !span.isEmpty {
            if span.lowerBound == end, !counts.isEmpty {
                counts[counts.count - 1] += UInt32(span.count)
            } else {
                counts.append(UInt32(span.lowerBound - end))
                counts.append(UInt32(span.count))
            }
            end = span.upperBound
        }
        if end < width * height { counts.append(UInt32(width * height - end)) }
        (self.width, self.height, self.counts) = (width, height, counts)
    }

    /// Creates a mask from its pixels, row by row. // [H, W]
    public init(pixels: [Bool], width: Int, height: Int) {
        precondition(pixels.count == width * height, "\(pixels.count) pixels for \(width) x \(height)")
        let spans = (0..<width).flatMap { x -> [Range<Int>] in
            (0..<height).filter { pixels[$0 * width + x] }.map { x * height + $0..<x * height + $0 + 1 }
        }
        self.init(spans: spans, width: width, height: height)
    }

    /// Calls a function with every span of ones, cut at the ends of columns. // column, rows
    package func forEachColumnSpan(_ body: (_ column: Int, _ rows: Range<Int>) -> Void) {
        var position = 0
        for (index, count) in counts.enumerated() {
            let end = position + Int(count)
            while index % 2 == 1, position < end {
                let (column, row) = position.quotientAndRemainder(dividingBy: height)
                let rows = row..<min(height, row + end - position)
                body(column, rows)
                position += rows.count
            }
            position = end
        }
    }

    /// The number of pixels in the mask.
    public var area: Int {
        stride(from: 1, to: counts.count, by: 2).reduce(0) { $0 + Int(counts[$1]) }
    }

    /// First and last column and row of the mask; 0, 0, 0, 0 if it is empty.
    public var extents: PixelBox {
        var (left, top, right, bottom) = (width, height, -1, -1)
        forEachColumnSpan { column, rows in
            (left, right) = (min(left, column), max(right, column))
            (top, bottom) = (min(top, rows.lowerBound), max(bottom, rows.upperBound - 1))
        }
        return right < 0
            ? PixelBox(x0: 0, y0: 0, x1: 0, y1: 0) : PixelBox(x0: left, y0: top, x1: right, y1: bottom)
    }

    /// The mask's pixels, row by row. // [H, W]
    public var pixels: [Bool] {
        var pixels = [Bool](repeating: false, count: width * height)
        forEachColumnSpan { column, rows in
            for row in rows { pixels[row * width + column] = true }
        }
        return pixels
    }

    /// The same mask as a part of a larger image.
    package func placed(in box: PixelBox, width: Int, height: Int) -> MaskRuns {
        if box.width == width && box.height == height { return self }
        var spans: [Range<Int>] = []
        forEachColumnSpan { column, rows in
            let start = (column + box.x0) * height + box.y0 + rows.lowerBound
            spans.append(start..<start + rows.count)
        }
        return MaskRuns(spans: spans, width: width, height: height)
    }
}
