/// Resizing of binary masks with Pillow's 8-bit antialiased bilinear filter on the values 0 and 1.
///
/// The filter rounds to integers after the horizontal and after the vertical pass, so a pixel of either pass is set
/// exactly if the fixed-point weights of its set source pixels sum to at least one half. Only the part of the frame an
/// instance can reach is computed.
struct MaskResampling {
    /// Fractional bits of the weights, as in Pillow's 8-bit path.
    private static let fractionBits = 22
    private static let half = 1 << (fractionBits - 1)

    /// The source pixels and weights of one target pixel.
    struct Window: Equatable {
        let first: Int
        let weights: [Int]
    }

    private let frame: ModelFrame
    private let columns: [Window]
    private let rows: [Window]

    init(frame: ModelFrame) {
        self.frame = frame
        columns = Self.windows(from: frame.originalWidth, to: frame.resizedWidth)
        rows = Self.windows(from: frame.originalHeight, to: frame.resizedHeight)
    }

    /// All masks in the model frame, padding included, `[n, S, S]`; masks may vanish.
    func apply(to masks: InstanceMasks) -> InstanceMasks {
        precondition(
            masks.width == frame.originalWidth && masks.height == frame.originalHeight, "masks of another image")
        var result = InstanceMasks(count: 0, width: frame.side, height: frame.side)
        for instance in 0..<masks.count { resample(instance, of: masks, into: &result) }
        return result
    }

    private func resample(_ instance: Int, of masks: InstanceMasks, into result: inout InstanceMasks) {
        result.append()
        guard let extent = masks.extent(of: instance) else { return }
        let reachable = Self.reach(extent.columns, columns)
        // Horizontal pass over the rows of the instance; everything above and below stays zero.
        var narrowed = [Bool](repeating: false, count: extent.rows.count * reachable.count)
        var source = [Int](repeating: 0, count: masks.width)
        var runs = masks.runs(of: instance)
        for (row, y) in extent.rows.enumerated() {
            let inRow = runs.prefix { $0.row == Int32(y) }
            runs = runs.dropFirst(inRow.count)
            for run in inRow {
                for x in run.first..<run.end { source[Int(x)] = 1 }
            }
            defer {
                for run in inRow {
                    for x in run.first..<run.end { source[Int(x)] = 0 }
                }
            }
            for (position, x) in reachable.enumerated() {
                let window = columns[x]
                var sum = 0
                for (offset, weight) in window.weights.enumerated() { sum += source[window.first + offset] * weight }
                narrowed[row * reachable.count + position] = sum >= Self.half
            }
        }
        for y in Self.reach(extent.rows, rows) {
            let window = rows[y]
            var first: Int?
            for (position, x) in reachable.enumerated() {
                var sum = 0
                for (offset, weight) in window.weights.enumerated() {
                    let row = window.first + offset - extent.rows.lowerBound
                    guard row >= 0 && row < extent.rows.count else { continue }
                    if narrowed[row * reachable.count + position] { sum += weight }
                }
                if sum >= Self.half {
                    first = first ?? frame.left + x
                } else if let start = first {
                    result.append(row: frame.top + y, start..<frame.left + x)
                    first = nil
                }
            }
            if let first { result.append(row: frame.top + y, first..<frame.left + reachable.upperBound) }
        }
    }

    /// The target pixels whose windows touch the given source pixels.
    private static func reach(_ source: Range<Int>, _ windows: [Window]) -> Range<Int> {
        // Starts and ends of the windows ascend.
        let first = position(in: windows) { $0.first + $0.weights.count > source.lowerBound }
        return first..<max(first, position(in: windows) { $0.first >= source.upperBound })
    }

    /// The first window of which a condition holds that holds for all behind it.
    private static func position(in windows: [Window], where holds: (Window) -> Bool) -> Int {
        var (low, high) = (0, windows.count)
        while low < high {
            let middle = (low + high) / 2
            if holds(windows[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// The triangle filter of every target pixel, widened by the scale when shrinking; one weight if nothing changes.
    static func windows(from source: Int, to target: Int) -> [Window] {
        let one = 1 << fractionBits
        if source == target { return (0..<target).map { Window(first: $0, weights: [one]) } }
        let scale = Double(source) / Double(target)
        let support = max(scale, 1)
        return (0..<target).map { position in
            let centre = (Double(position) + 0.5) * scale
            let first = max(Int(centre - support + 0.5), 0)
            let end = min(Int(centre + support + 0.5), source)
            let heights = (first..<end).map { max(1 - abs((Double($0) - centre + 0.5) * (1 / support)), 0) }
            let sum = heights.reduce(0, +)
            return Window(first: first, weights: heights.map { Int(0.5 + $0 / sum * Double(one)) })
        }
    }
}

extension InstanceMasks {
    /// The masks in a model frame, resized like the image and then compared with 1, `[n, S, S]`; small ones may vanish.
    public func resized(to frame: ModelFrame) -> InstanceMasks {
        MaskResampling(frame: frame).apply(to: self)
    }
}
