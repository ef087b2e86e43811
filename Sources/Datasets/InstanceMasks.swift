public import Imaging

/// Binary masks of the instances of one image, `[n, H, W]`, as the runs of pixels that belong to each in every row.
///
/// Masks that do not overlap take at most twelve bytes per pixel of the image however many they are; 4,096 cells on
/// 2048 x 2048 pixels take 1.5 MiB. Bitmaps are made of the instances that a step has chosen.
public struct InstanceMasks: Equatable, Sendable {
    /// Neighbouring pixels of one row.
    struct Run: Equatable, Sendable {
        var row: Int32
        var first: Int32
        /// The column behind the last.
        var end: Int32
    }

    /// Pixels per row.
    public let width: Int
    /// Rows per mask.
    public let height: Int
    /// The runs, mask by mask, row by row, from the left. Runs of one mask neither touch nor overlap.
    private(set) var runs: [Run] = []
    /// The start of each mask's runs; one more entry than there are masks.
    private var starts: [Int]

    /// Creates empty masks.
    public init(count: Int, width: Int, height: Int) {
        (self.width, self.height) = (width, height)
        starts = [Int](repeating: 0, count: count + 1)
    }

    /// The number of masks.
    public var count: Int { starts.count - 1 }

    /// The memory of the runs, in bytes.
    package var byteCount: Int { runs.count * MemoryLayout<Run>.stride }

    /// Maximum bytes of the masks of one image.
    private static let byteLimit = 1 << 30

    /// Throws `DatasetError` that names the labels if the masks take more than a limit.
    func checkMemory(of labels: String) throws(DatasetError) {
        guard byteCount > Self.byteLimit else { return }
        throw DatasetError(
            .unreadableFile, at: labels, "the masks take more than \(Self.byteLimit >> 20) MiB; \(count) were read",
            remedy: "use smaller images or fewer instances for each")
    }

    /// Throws `DatasetError` that names the label file if its instances are the single pixels of noise.
    func checkScatter(of label: String) throws(DatasetError) {
        let pixels = runs.reduce(0) { $0 + Int($1.end - $1.first) }
        guard count >= 1024, pixels < 2 * runs.count else { return }
        throw DatasetError(
            .unreadableFile, at: label, "holds \(count) instances of scattered single pixels, as noise does",
            remedy: "give instance numbers, or set data.binarise for an intensity image")
    }

    /// The runs of one mask.
    func runs(of instance: Int) -> ArraySlice<Run> { runs[starts[instance]..<starts[instance + 1]] }

    // MARK: Pixels

    /// Whether a pixel belongs to an instance.
    public subscript(instance: Int, x x: Int, y y: Int) -> Bool {
        get {
            let place = place(instance, x, y)
            return place < starts[instance + 1] && runs[place].row == Int32(y) && runs[place].first <= Int32(x)
        }
        set {
            guard newValue != self[instance, x: x, y: y] else { return }
            let (row, column, place) = (Int32(y), Int32(x), place(instance, x, y))
            if newValue {
                let joinsLeft = place > starts[instance] && runs[place - 1].row == row && runs[place - 1].end == column
                let joinsRight =
                    place < starts[instance + 1] && runs[place].row == row && runs[place].first == column + 1
                let run = Run(
                    row: row, first: joinsLeft ? runs[place - 1].first : column,
                    end: joinsRight ? runs[place].end : column + 1)
                replace((joinsLeft ? place - 1 : place)..<(joinsRight ? place + 1 : place), by: [run], in: instance)
            } else {
                let run = runs[place]
                let parts = [
                    Run(row: row, first: run.first, end: column), Run(row: row, first: column + 1, end: run.end),
                ]
                replace(place..<place + 1, by: parts.filter { $0.first < $0.end }, in: instance)
            }
        }
    }

    /// The first run of a mask that ends behind a pixel, in reading order.
    private func place(_ instance: Int, _ x: Int, _ y: Int) -> Int {
        var (low, high) = (starts[instance], starts[instance + 1])
        while low < high {
            let middle = (low + high) / 2
            let run = runs[middle]
            if (run.row, run.end) > (Int32(y), Int32(x)) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    private mutating func replace(_ range: Range<Int>, by replacement: [Run], in instance: Int) {
        runs.replaceSubrange(range, with: replacement)
        for later in instance + 1..<starts.count { starts[later] += replacement.count - range.count }
    }

    /// One mask as bytes 0 and 1, row by row, `[H, W]`.
    public func bitmap(of instance: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: width * height)
        for run in runs(of: instance) {
            for place in Int(run.row) * width + Int(run.first)..<Int(run.row) * width + Int(run.end) {
                bytes[place] = 1
            }
        }
        return bytes
    }

    /// All masks as bytes 0 and 1, `[n, H, W]`.
    public var bitmaps: [UInt8] { (0..<count).flatMap { bitmap(of: $0) } }

    /// Calls a function with the pixels of an instance, run by run: a row and its columns.
    public func forEachRun(of instance: Int, _ body: (_ row: Int, _ columns: Range<Int>) -> Void) {
        for run in runs(of: instance) { body(Int(run.row), Int(run.first)..<Int(run.end)) }
    }

    // MARK: Measures

    /// The number of pixels of one instance.
    public func pixelCount(of instance: Int) -> Int { runs(of: instance).reduce(0) { $0 + Int($1.end - $1.first) } }

    /// The number of pixels of one instance in each row, `[H]`.
    func rowCounts(of instance: Int) -> [Int] {
        var counts = [Int](repeating: 0, count: height)
        for run in runs(of: instance) { counts[Int(run.row)] += Int(run.end - run.first) }
        return counts
    }

    /// The tight rectangle around one instance with exclusive right and bottom edges; `nil` if the mask is empty.
    public func box(of instance: Int) -> Box? {
        guard let extent = extent(of: instance) else { return nil }
        return Box(
            x0: Double(extent.columns.lowerBound), y0: Double(extent.rows.lowerBound),
            x1: Double(extent.columns.upperBound), y1: Double(extent.rows.upperBound))
    }

    /// The columns and rows one instance spans; `nil` if the mask is empty.
    package func extent(of instance: Int) -> (columns: Range<Int>, rows: Range<Int>)? {
        let runs = runs(of: instance)
        guard let top = runs.first?.row, let bottom = runs.last?.row else { return nil }
        let (left, right) = runs.reduce((Int32.max, 0)) { (min($0.0, $1.first), max($0.1, $1.end)) }
        return (Int(left)..<Int(right), Int(top)..<Int(bottom) + 1)
    }

    // MARK: Other masks

    /// Begins another mask, without a pixel.
    mutating func append() { starts.append(runs.count) }

    /// Adds pixels of a row to the last mask, behind those it has and not touching them.
    mutating func append(row: Int, _ columns: Range<Int>) {
        runs.append(Run(row: Int32(row), first: Int32(columns.lowerBound), end: Int32(columns.upperBound)))
        starts[starts.count - 1] = runs.count
    }

    /// Begins another mask, of the pixels that are set in an array of the image's size. `[H, W]`
    mutating func append(_ isSet: [Bool]) {
        append()
        isSet.withUnsafeBufferPointer { isSet in
            for row in 0..<height {
                forEachStretch(of: isSet, row * width..<row * width + width) { value, places in
                    if value { append(row: row, places.lowerBound - row * width..<places.upperBound - row * width) }
                }
            }
        }
    }

    /// The masks with the given indices, in the given order.
    public func selecting(_ instances: [Int]) -> InstanceMasks {
        var selected = InstanceMasks(count: 0, width: width, height: height)
        for instance in instances {
            selected.runs.append(contentsOf: runs(of: instance))
            selected.starts.append(selected.runs.count)
        }
        return selected
    }

    /// The masks mirrored.
    public func flipped(_ flip: Flip) -> InstanceMasks {
        guard flip != .none else { return self }
        var result = self
        for instance in 0..<count {
            let range = starts[instance]..<starts[instance + 1]
            for (place, source) in zip(range, flip.isVertical ? Array(range.reversed()) : Array(range)) {
                var run = runs[source]
                if flip.isVertical { run.row = Int32(height) - 1 - run.row }
                if flip.isHorizontal { (run.first, run.end) = (Int32(width) - run.end, Int32(width) - run.first) }
                result.runs[place] = run
            }
            // A single reversal leaves the runs of each row from the right to the left.
            if flip != .both { result.reverseRows(range) }
        }
        return result
    }

    /// Reverses the runs of each row.
    private mutating func reverseRows(_ range: Range<Int>) {
        var start = range.lowerBound
        while start < range.upperBound {
            var end = start + 1
            while end < range.upperBound, runs[end].row == runs[start].row { end += 1 }
            if end > start + 1 { runs[start..<end].reverse() }
            start = end
        }
    }
}

// Masks of label images.
extension InstanceMasks {
    /// Creates one mask per distinct non-zero label, in ascending order of the label.
    public init(labels: LabelImage) { self.init(labels: labels, LabelRuns(labels)) }

    /// Masks as `init(labels:)` makes them, and the label of each. Throws `DatasetError` that names the label file if the
    /// values cannot be the numbers of instances.
    static func numbered(
        _ labels: LabelImage, of file: String
    ) throws(DatasetError) -> (masks: InstanceMasks, values: [UInt16]) {
        let tally = LabelRuns(labels)
        guard tally.areIntensities else {
            return (InstanceMasks(labels: labels, tally), tally.values.map { UInt16($0) })
        }
        throw DatasetError(
            .unreadableFile, at: file,
            "holds \(tally.values.count) values, each scattered over single pixels, as an intensity image does",
            remedy: "give instance numbers, or set data.binarise for an intensity image")
    }

    private init(labels: LabelImage, _ tally: LabelRuns) {
        self.init(numbers: labels.labels, width: labels.width, height: labels.height, tally.runsOfValue, tally.values)
    }

    /// Creates one mask for each of some values of an image.
    ///
    /// - Parameters:
    ///   - runsOfValue: The number of runs of every value that may occur.
    ///   - values: The values of the masks, ascending; other values are background.
    init<Value: FixedWidthInteger>(
        numbers: [Value], width: Int, height: Int, _ runsOfValue: [Int32], _ values: [Int]
    ) {
        self.init(count: values.count, width: width, height: height)
        var next = [Int](repeating: -1, count: runsOfValue.count)
        for (instance, value) in values.enumerated() {
            next[value] = starts[instance]
            starts[instance + 1] = starts[instance] + Int(runsOfValue[value])
        }
        runs = [Run](repeating: Run(row: 0, first: 0, end: 0), count: starts[values.count])
        numbers.withUnsafeBufferPointer { numbers in
            for row in 0..<height {
                forEachStretch(of: numbers, row * width..<row * width + width) { value, places in
                    let place = next[Int(value)]
                    guard place >= 0 else { return }
                    next[Int(value)] += 1
                    runs[place] = Run(
                        row: Int32(row), first: Int32(places.lowerBound - row * width),
                        end: Int32(places.upperBound - row * width))
                }
            }
        }
    }

    /// Creates one mask of the pixels whose first sample is above a threshold; no mask if there is no such pixel.
    public init(_ image: Image, above threshold: UInt8) {
        self.init(count: 0, width: image.width, height: image.height)
        append((0..<width * height).map { image.pixels[$0 * image.channels] > threshold })
        if runs.isEmpty { starts = [0] }
    }
}

/// The values of a label image, and how many runs each has.
struct LabelRuns {
    /// By value, background too.
    let runsOfValue: [Int32]
    /// The values that occur, without background, ascending.
    let values: [Int]
    private let pixels: Int

    init(_ image: LabelImage) {
        // As long as the largest value: a table of all 65,536 would cost more than a small image.
        var counts = [Int32](repeating: 0, count: Int(image.labels.max() ?? 0) + 1)
        var pixels = 0
        image.labels.withUnsafeBufferPointer { labels in
            for row in 0..<image.height {
                forEachStretch(of: labels, row * image.width..<row * image.width + image.width) { value, places in
                    counts[Int(value)] += 1
                    if value > 0 { pixels += places.count }
                }
            }
        }
        values = counts.indices.dropFirst().filter { counts[$0] > 0 }
        (runsOfValue, self.pixels) = (counts, pixels)
    }

    /// Numbers of instances lie in runs of several pixels; where there are very many values and hardly two pixels of one
    /// are neighbours, they are brightnesses.
    var areIntensities: Bool {
        let runs = values.reduce(0) { $0 + Int(runsOfValue[$1]) }
        return values.count >= 1024 && pixels < 2 * runs
    }
}

/// Calls a function with every stretch of equal values in a range of places.
@inline(__always)
private func forEachStretch<Value: Equatable>(
    of values: UnsafeBufferPointer<Value>, _ range: Range<Int>, _ body: (Value, Range<Int>) -> Void
) {
    var start = range.lowerBound
    while start < range.upperBound {
        let value = values[start]
        var end = start + 1
        while end < range.upperBound, values[end] == value { end += 1 }
        body(value, start..<end)
        start = end
    }
}
