public import Imaging

/// Binary masks of the instances of one image, one bit per pixel, `[n, H, W]`.
///
/// Forty masks at 1024 x 1024 take 5 MiB. Rows start at a word boundary and the bits beyond the last column are zero.
public struct InstanceMasks: Equatable, Sendable {
    /// The number of masks.
    public private(set) var count: Int
    /// Pixels per row.
    public let width: Int
    /// Rows per mask.
    public let height: Int
    /// 64-bit words per row.
    let wordsPerRow: Int
    /// The bits, mask by mask, row by row; column x is bit x mod 64 of word x div 64.
    var words: [UInt64]

    /// Creates empty masks.
    public init(count: Int, width: Int, height: Int) {
        self.count = count
        self.width = width
        self.height = height
        wordsPerRow = (width + 63) / 64
        words = [UInt64](repeating: 0, count: count * height * wordsPerRow)
    }

    /// The memory of masks of a size, in bytes; rows of whole words make narrow images cost more than their pixels.
    package static func byteCount(count: Int, width: Int, height: Int) -> Int {
        count * height * ((width + 63) / 64) * MemoryLayout<UInt64>.stride
    }

    /// Maximum bytes of the masks of one image.
    static let byteLimit = 1 << 30

    /// Throws `DatasetError` that names the label file if the masks would take more than `byteLimit`.
    package static func checkMemory(count: Int, width: Int, height: Int, of label: String) throws(DatasetError) {
        let bytes = byteCount(count: count, width: width, height: height)
        guard bytes > byteLimit else { return }
        throw DatasetError(
            .unreadableFile, at: label, "holds \(count) instances, which would take \(bytes >> 20) MiB of masks",
            remedy: "give instance numbers, or set data.binarise for an intensity image")
    }

    /// The number of different non-zero labels in an image.
    public static func distinctLabels(_ labels: LabelImage) -> Int {
        var isUsed = [Bool](repeating: false, count: 1 << 16)
        for label in labels.labels { isUsed[Int(label)] = true }
        return isUsed.dropFirst().reduce(0) { $0 + ($1 ? 1 : 0) }
    }

    /// Creates one mask per distinct non-zero label, in ascending order of the label.
    public init(labels: LabelImage) {
        var isUsed = [Bool](repeating: false, count: 1 << 16)
        for label in labels.labels { isUsed[Int(label)] = true }
        var instanceOfLabel = [Int](repeating: -1, count: 1 << 16)
        var instances = 0
        for label in 1..<(1 << 16) where isUsed[label] {
            instanceOfLabel[label] = instances
            instances += 1
        }
        self.init(count: instances, width: labels.width, height: labels.height)
        for y in 0..<height {
            for x in 0..<width {
                let instance = instanceOfLabel[Int(labels.labels[y * width + x])]
                if instance >= 0 { words[rowStart(instance, y) + x >> 6] |= 1 << UInt64(x & 63) }
            }
        }
    }

    /// Creates one mask of the pixels whose first sample is above a threshold; no mask if there is no such pixel.
    public init(_ image: Image, above threshold: UInt8) {
        self.init(count: 1, width: image.width, height: image.height)
        var any = false
        for y in 0..<height {
            for x in 0..<width where image.pixels[(y * width + x) * image.channels] > threshold {
                words[rowStart(0, y) + x >> 6] |= 1 << UInt64(x & 63)
                any = true
            }
        }
        if !any { self = InstanceMasks(count: 0, width: width, height: height) }
    }

    /// Whether a pixel belongs to an instance.
    public subscript(instance: Int, x x: Int, y y: Int) -> Bool {
        get { words[rowStart(instance, y) + x >> 6] >> UInt64(x & 63) & 1 == 1 }
        set {
            let bit: UInt64 = 1 << UInt64(x & 63)
            let word = rowStart(instance, y) + x >> 6
            words[word] = newValue ? words[word] | bit : words[word] & ~bit
        }
    }

    /// One mask as bytes 0 and 1, row by row, `[H, W]`.
    public func bitmap(of instance: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: width * height)
        for y in 0..<height {
            let row = rowStart(instance, y)
            for x in 0..<width where words[row + x >> 6] >> UInt64(x & 63) & 1 == 1 { bytes[y * width + x] = 1 }
        }
        return bytes
    }

    /// All masks as bytes 0 and 1, `[n, H, W]`.
    public var bitmaps: [UInt8] { (0..<count).flatMap { bitmap(of: $0) } }

    /// The number of pixels of one instance.
    public func pixelCount(of instance: Int) -> Int {
        words[wordRange(instance)].reduce(0) { $0 + $1.nonzeroBitCount }
    }

    /// The number of pixels of one instance in each row, `[H]`.
    func rowCounts(of instance: Int) -> [Int] {
        (0..<height).map { y in
            let row = rowStart(instance, y)
            return words[row..<row + wordsPerRow].reduce(0) { $0 + $1.nonzeroBitCount }
        }
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
        var columns = [UInt64](repeating: 0, count: wordsPerRow)
        var firstRow = height
        var lastRow = -1
        for y in 0..<height {
            let row = rowStart(instance, y)
            var any: UInt64 = 0
            for word in 0..<wordsPerRow {
                columns[word] |= words[row + word]
                any |= words[row + word]
            }
            if any != 0 {
                firstRow = min(firstRow, y)
                lastRow = y
            }
        }
        guard lastRow >= 0, let first = columns.firstIndex(where: { $0 != 0 }),
            let last = columns.lastIndex(where: { $0 != 0 })
        else { return nil }
        let left = first * 64 + columns[first].trailingZeroBitCount
        let right = last * 64 + 64 - columns[last].leadingZeroBitCount
        return (left..<right, firstRow..<lastRow + 1)
    }

    /// The masks with the given indices, in the given order.
    public func selecting(_ instances: [Int]) -> InstanceMasks {
        var selected = InstanceMasks(count: 0, width: width, height: height)
        selected.words.reserveCapacity(instances.count * height * wordsPerRow)
        for instance in instances { selected.words.append(contentsOf: words[wordRange(instance)]) }
        selected.count = instances.count
        return selected
    }

    /// The masks mirrored.
    public func flipped(_ flip: Flip) -> InstanceMasks {
        guard flip != .none else { return self }
        var result = InstanceMasks(count: count, width: width, height: height)
        let shift = UInt64(wordsPerRow * 64 - width)
        for row in 0..<count * height {
            let (instance, y) = row.quotientAndRemainder(dividingBy: max(height, 1))
            let source = rowStart(instance, flip.isVertical ? height - 1 - y : y)
            let target = row * wordsPerRow
            guard flip.isHorizontal else {
                for word in 0..<wordsPerRow { result.words[target + word] = words[source + word] }
                continue
            }
            // Reversing all bits of the padded row puts the padding in front; the shift moves it back to the end.
            for word in 0..<wordsPerRow {
                let low = Self.reversed(words[source + wordsPerRow - 1 - word])
                let isLast = word == wordsPerRow - 1
                let high = isLast ? 0 : Self.reversed(words[source + wordsPerRow - 2 - word])
                result.words[target + word] = shift == 0 ? low : low >> shift | high << (64 - shift)
            }
        }
        return result
    }

    /// The first word of a row.
    func rowStart(_ instance: Int, _ y: Int) -> Int { (instance * height + y) * wordsPerRow }

    private func wordRange(_ instance: Int) -> Range<Int> {
        rowStart(instance, 0)..<rowStart(instance, 0) + height * wordsPerRow
    }

    /// The bits of a word in reverse order.
    private static func reversed(_ word: UInt64) -> UInt64 {
        var bits = word.byteSwapped
        bits = (bits >> 4) & 0x0f0f_0f0f_0f0f_0f0f | (bits & 0x0f0f_0f0f_0f0f_0f0f) << 4
        bits = (bits >> 2) & 0x3333_3333_3333_3333 | (bits & 0x3333_3333_3333_3333) << 2
        return (bits >> 1) & 0x5555_5555_5555_5555 | (bits & 0x5555_5555_5555_5555) << 1
    }
}
