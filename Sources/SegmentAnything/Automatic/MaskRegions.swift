// Regions are sets of pixels joined by sides or corners (8-connectivity). They are found on the spans of the columns: two
// spans of neighbouring columns are joined if their rows, extended by one at both ends, share a row.

/// The connected regions of a mask or of its complement.
struct MaskRegions {
    /// A span of a column.
    struct Span {
        let column: Int
        let rows: Range<Int>
    }

    /// The spans in ascending order of column and row.
    let spans: [Span]
    /// The region of every span.
    let regionOfSpan: [Int]
    /// The pixels of every region.
    let areas: [Int]
    /// The start of each region, in blocks of 2 x 2 pixels numbered row by row: OpenCV's order.
    let firstBlocks: [Int]

    /// Finds the regions.
    init(_ spans: [Span], width: Int) {
        var parent = Array(spans.indices)
        func root(_ span: Int) -> Int {
            var span = span
            while parent[span] != span {
                parent[span] = parent[parent[span]]
                span = parent[span]
            }
            return span
        }
        var previous = 0..<0  // the spans of the column before
        var start = 0
        while start < spans.count {
            let column = spans[start].column
            let end = spans[start...].firstIndex { $0.column != column } ?? spans.count
            if let last = previous.last, spans[last].column == column - 1 {
                var first = previous.lowerBound
                for span in start..<end {
                    let rows = spans[span].rows
                    while first < previous.upperBound, spans[first].rows.upperBound < rows.lowerBound { first += 1 }
                    var other = first
                    while other < previous.upperBound, spans[other].rows.lowerBound <= rows.upperBound {
                        let (a, b) = (root(other), root(span))
                        parent[max(a, b)] = min(a, b)
                        other += 1
                    }
                }
            }
            previous = start..<end
            start = end
        }
        var numbers = [Int](repeating: -1, count: spans.count)
        var regionOfSpan: [Int] = []
        var areas: [Int] = []
        var firstBlocks: [Int] = []
        let blocksPerRow = (width + 1) / 2
        for (index, span) in spans.enumerated() {
            let top = root(index)
            let block = span.rows.lowerBound / 2 * blocksPerRow + span.column / 2
            if numbers[top] < 0 {
                numbers[top] = areas.count
                areas.append(0)
                firstBlocks.append(block)
            }
            let region = numbers[top]
            regionOfSpan.append(region)
            areas[region] += span.rows.count
            firstBlocks[region] = min(firstBlocks[region], block)
        }
        (self.spans, self.regionOfSpan, self.areas, self.firstBlocks) = (spans, regionOfSpan, areas, firstBlocks)
    }

    /// The largest region; of equal ones the first. There must be one.
    var largest: Int {
        areas.indices.min {
            areas[$0] != areas[$1] ? areas[$0] > areas[$1] : firstBlocks[$0] < firstBlocks[$1]
        } ?? 0
    }
}

extension MaskRuns {
    private var columnSpans: [MaskRegions.Span] {
        var spans: [MaskRegions.Span] = []
        forEachColumnSpan { spans.append(.init(column: $0, rows: $1)) }
        return spans
    }

    /// The spans of the pixels outside the mask.
    private var gaps: [MaskRegions.Span] {
        var gaps: [MaskRegions.Span] = []
        var (column, row) = (0, 0)
        func close(at end: Int) {
            if end > row { gaps.append(.init(column: column, rows: row..<end)) }
        }
        forEachColumnSpan { spanColumn, rows in
            while column < spanColumn {
                close(at: height)
                (column, row) = (column + 1, 0)
            }
            close(at: rows.lowerBound)
            row = rows.upperBound
        }
        while column < width {
            close(at: height)
            (column, row) = (column + 1, 0)
        }
        return gaps
    }

    /// The mask with its holes of fewer than `minimumArea` pixels filled; nil if there are none.
    ///
    /// Regions outside the mask that reach the edge of the image count as holes too.
    package func fillingHoles(below minimumArea: Int) -> MaskRuns? {
        let outside = MaskRegions(gaps, width: width)
        guard outside.areas.contains(where: { $0 < minimumArea }) else { return nil }
        let filled = outside.spans.indices.filter { outside.areas[outside.regionOfSpan[$0]] < minimumArea }
        return MaskRuns(sorting: columnSpans + filled.map { outside.spans[$0] }, width: width, height: height)
    }

    /// The mask without its islands of fewer than `minimumArea` pixels; nil if there are none. If all are smaller, the
    /// largest is kept.
    package func droppingIslands(below minimumArea: Int) -> MaskRuns? {
        let inside = MaskRegions(columnSpans, width: width)
        guard inside.areas.contains(where: { $0 < minimumArea }) else { return nil }
        let isAllSmall = inside.areas.allSatisfy { $0 < minimumArea }
        let largest = inside.largest
        let kept = inside.spans.indices.filter {
            let region = inside.regionOfSpan[$0]
            return isAllSmall ? region == largest : inside.areas[region] >= minimumArea
        }
        return MaskRuns(sorting: kept.map { inside.spans[$0] }, width: width, height: height)
    }

    private init(sorting spans: [MaskRegions.Span], width: Int, height: Int) {
        let positions = spans.map { $0.column * height + $0.rows.lowerBound..<$0.column * height + $0.rows.upperBound }
        self.init(spans: positions.sorted { $0.lowerBound < $1.lowerBound }, width: width, height: height)
    }
}
