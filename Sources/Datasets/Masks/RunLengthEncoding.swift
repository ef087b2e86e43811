/// A binary mask as lengths of runs down the columns, from the left, as COCO stores it.
///
/// The first run is one of zeros and may be empty; runs of zeros and of ones alternate and add up to `width * height`.
public struct RunLengthEncoding: Equatable, Sendable {
    /// Pixels per row.
    public let width: Int
    /// Rows.
    public let height: Int
    /// The lengths of the runs.
    public let counts: [UInt32]

    /// Maximum pixels of a mask: every difference of two runs then fits the six characters that the text form may use.
    public static let maximumPixels = 1 << 29 - 1

    /// Creates a mask from the lengths of its runs, which are known to fit.
    init(trusted counts: [UInt32], width: Int, height: Int) {
        (self.width, self.height, self.counts) = (width, height, counts)
    }

    /// Creates a mask from its pixels, row by row. // [H, W]
    ///
    /// Throws `ShapeFault` if the mask is too large.
    package init(rows pixels: [Bool], width: Int, height: Int) throws(ShapeFault) {
        var counts: [Int] = []
        var (isInside, length) = (false, 0)
        for x in 0..<width {
            for y in 0..<height {
                if pixels[y * width + x] != isInside {
                    counts.append(length)
                    (isInside, length) = (!isInside, 0)
                }
                length += 1
            }
        }
        try self.init(counts: counts + [length], width: width, height: height)
    }

    /// Creates a mask from the lengths of its runs.
    ///
    /// Throws `ShapeFault` if a run is negative, the mask is too large, or the runs do not add up to its pixels.
    public init(counts: [Int], width: Int, height: Int) throws(ShapeFault) {
        var sum = RunSum(pixels: try Self.pixels(width: width, height: height))
        for count in counts { try sum.add(count) }
        try sum.finish()
        self.init(trusted: counts.map { UInt32($0) }, width: width, height: height)
    }

    /// The number of pixels of a mask of this size. Throws `ShapeFault` if it has none or too many.
    static func pixels(width: Int, height: Int) throws(ShapeFault) -> Int {
        guard width > 0, height > 0 else { throw ShapeFault(.badValue, "a mask of \(width)x\(height) pixels") }
        let (pixels, overflows) = width.multipliedReportingOverflow(by: height)
        guard !overflows, pixels <= maximumPixels else {
            throw ShapeFault(.runLimit, "a mask of \(width)x\(height) pixels is over \(maximumPixels)")
        }
        return pixels
    }

    /// The number of pixels in the mask.
    public var area: Int {
        var area = 0
        forEachRun { area += $1 - $0 }
        return area
    }

    /// The tight rectangle around the mask with exclusive right and bottom edges; nil if the mask is empty.
    public var box: Box? {
        var (left, top, right, bottom) = (width, height, 0, 0)
        forEachRun { start, end in
            let (firstColumn, lastColumn) = (start / height, (end - 1) / height)
            left = min(left, firstColumn)
            right = max(right, lastColumn + 1)
            if firstColumn == lastColumn {
                top = min(top, start % height)
                bottom = max(bottom, (end - 1) % height + 1)
            } else {
                // A run that continues in the next column passes the lower edge and the upper one.
                (top, bottom) = (0, height)
            }
        }
        guard right > 0 else { return nil }
        return Box(x0: Double(left), y0: Double(top), x1: Double(right), y1: Double(bottom))
    }

    /// Calls a function with the start and the end of every non-empty run of ones, counted down the columns.
    func forEachRun(_ body: (_ start: Int, _ end: Int) -> Void) {
        var position = 0
        for (index, count) in counts.enumerated() {
            let end = position + Int(count)
            if index % 2 == 1, count > 0 { body(position, end) }
            position = end
        }
    }
}

/// Sums runs and finds their faults.
struct RunSum {
    let pixels: Int
    private var sum = 0

    init(pixels: Int) { self.pixels = pixels }

    mutating func add(_ count: Int) throws(ShapeFault) {
        guard count >= 0 else { throw ShapeFault(.negativeRun, "a run of \(count) pixels") }
        guard count <= pixels, sum + count <= pixels else {
            throw ShapeFault(.runSum, "the runs add up to more than the \(pixels) pixels of the mask")
        }
        sum += count
    }

    func finish() throws(ShapeFault) {
        guard sum == pixels else {
            throw ShapeFault(.runSum, "the runs add up to \(sum) of the mask's \(pixels) pixels")
        }
    }
}

extension InstanceMasks {
    /// Creates one mask per encoding; all must be as large as the masks.
    public init(_ encodings: [RunLengthEncoding], width: Int, height: Int) throws(ShapeFault) {
        self.init(count: 0, width: width, height: height)
        for encoding in encodings { try append(unionOf: [encoding]) }
    }

    /// Begins another mask, of the pixels in any of the encodings. Throws `ShapeFault` if one has another size.
    mutating func append(unionOf encodings: [RunLengthEncoding]) throws(ShapeFault) {
        append()
        var bounds: Box?
        for encoding in encodings {
            guard encoding.width == width, encoding.height == height else {
                throw ShapeFault(
                    .maskSize, "the mask is \(encoding.width)x\(encoding.height), its image \(width)x\(height)")
            }
            bounds = encoding.box.map { $0.joined(with: bounds) } ?? bounds
        }
        guard let bounds else { return }
        let (left, top) = (Int(bounds.x0), Int(bounds.y0))
        let size = (width: Int(bounds.x1) - left, height: Int(bounds.y1) - top)
        var isSet = [Bool](repeating: false, count: size.width * size.height)
        isSet.withUnsafeMutableBufferPointer { isSet in
            for encoding in encodings {
                encoding.forEachPart { x, rows in
                    for y in rows { isSet[(y - top) * size.width + x - left] = true }
                }
            }
            for y in 0..<size.height {
                var x = 0
                while x < size.width {
                    let first = x
                    let value = isSet[y * size.width + x]
                    while x < size.width, isSet[y * size.width + x] == value { x += 1 }
                    if value { append(row: top + y, left + first..<left + x) }
                }
            }
        }
    }

    /// One mask as runs down the columns. Throws `ShapeFault` if it is larger than an encoding may be.
    public func runLengthEncoding(of instance: Int) throws(ShapeFault) -> RunLengthEncoding {
        let pixels = try RunLengthEncoding.pixels(width: width, height: height)
        var counts: [UInt32] = []
        var end = 0
        if let extent = extent(of: instance) {
            let (columns, rows) = extent
            var isSet = [Bool](repeating: false, count: columns.count * rows.count)
            forEachRun(of: instance) { row, run in
                for x in run {
                    isSet[(x - columns.lowerBound) * rows.count + row - rows.lowerBound] = true
                }
            }
            for place in isSet.indices where isSet[place] {
                let position = (columns.lowerBound + place / rows.count) * height + rows.lowerBound + place % rows.count
                if position == end, !counts.isEmpty {
                    counts[counts.count - 1] += 1
                } else {
                    counts += [UInt32(position - end), 1]
                }
                end = position + 1
            }
        }
        if end < pixels { counts.append(UInt32(pixels - end)) }
        return RunLengthEncoding(trusted: counts, width: width, height: height)
    }
}

extension RunLengthEncoding {
    /// Calls a function with the pixels of the mask, column by column.
    fileprivate func forEachPart(_ body: (_ column: Int, _ rows: Range<Int>) -> Void) {
        forEachRun { start, end in
            var position = start
            while position < end {
                let (x, y) = position.quotientAndRemainder(dividingBy: height)
                let length = min(end - position, height - y)
                body(x, y..<y + length)
                position += length
            }
        }
    }
}

extension Box {
    /// The tight rectangle around this box and another.
    func joined(with other: Box?) -> Box {
        guard let other else { return self }
        return Box(x0: min(x0, other.x0), y0: min(y0, other.y0), x1: max(x1, other.x1), y1: max(y1, other.y1))
    }
}
