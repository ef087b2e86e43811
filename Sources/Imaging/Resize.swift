/// Resampling that equals Pillow's to the last bit, because SAM was trained on images resized by it.
public enum Resize {
    /// The size with `target` as its longer side: `floor(side * target / max(width, height) + 0.5)` for each side
    /// (`ResizeLongestSide` of segment-anything).
    public static func longestSideSize(width: Int, height: Int, target: Int) -> (width: Int, height: Int) {
        precondition(width > 0 && height > 0 && target > 0, "sizes are positive")
        let scale = Double(target) / Double(max(width, height))
        return (Int(Double(width) * scale + 0.5), Int(Double(height) * scale + 0.5))
    }

    /// Bilinear resampling with antialiasing, equal to Pillow's `Image.resize((width, height), BILINEAR)`.
    ///
    /// Two passes, along rows and along columns; each rounds to 8 bits and is left out when its size does not change.
    /// Rows come first unless the height shrinks by more than twice the pixels the width does (since Pillow 12; older
    /// versions always begin with rows and so differ by one level here and there in such images). Weights are 22-bit
    /// fixed-point numbers (Pillow, `src/libImaging/Resample.c`).
    public static func bilinear(_ image: Image, width: Int, height: Int) -> Image {
        precondition(width > 0 && height > 0, "cannot resize to \(width)x\(height)")
        precondition(image.width > 0 && image.height > 0, "cannot resize an image without pixels")
        let shrinkage = (width: image.width - width, height: image.height - height)
        if shrinkage.height > 0 && shrinkage.height > 2 * shrinkage.width {
            return resizedAlongRows(resizedAlongColumns(image, to: height), to: width)
        }
        return resizedAlongColumns(resizedAlongRows(image, to: width), to: height)
    }

    /// Nearest-neighbour resampling, equal to Pillow's `Image.resize((width, height), NEAREST)`.
    public static func nearest(_ image: LabelImage, width: Int, height: Int) -> LabelImage {
        precondition(width > 0 && height > 0, "cannot resize to \(width)x\(height)")
        precondition(image.width > 0 && image.height > 0, "cannot resize an image without pixels")
        if width == image.width && height == image.height { return image }
        let columns = nearestPositions(from: image.width, to: width)
        let rows = nearestPositions(from: image.height, to: height)
        let labels = [UInt16](unsafeUninitializedCapacity: width * height) { output, count in
            image.labels.withUnsafeBufferPointer { input in
                for y in 0..<height {
                    let source = rows[y] * image.width
                    for x in 0..<width {
                        output.initializeElement(at: y * width + x, to: input[source + columns[x]])
                    }
                }
            }
            count = width * height
        }
        return LabelImage(width: width, height: height, labels: labels)
    }

    /// The input position for each output position; the sum is accumulated as Pillow does, whose rounding it shares.
    private static func nearestPositions(from oldSize: Int, to newSize: Int) -> [Int] {
        let step = Double(oldSize) / Double(newSize)
        var position = step * 0.5
        return (0..<newSize).map { _ in
            defer { position += step }
            return min(Int(position), oldSize - 1)
        }
    }
}

/// For each output position of one axis, the first input position and the fixed-point weights that are summed there.
struct ResamplingWeights {
    static let fractionBits: Int32 = 22

    let outputCount: Int
    /// Weights per output position; unused places at the end are zero.
    let stride: Int
    private(set) var starts: [Int] = []
    private(set) var counts: [Int] = []
    private(set) var weights: [Int32] = []

    init(from oldSize: Int, to newSize: Int) {
        let scale = Double(oldSize) / Double(newSize)
        let filterScale = max(scale, 1)
        let support = filterScale  // the triangle filter reaches one (scaled) pixel to each side
        outputCount = newSize
        stride = Int(support.rounded(.up)) * 2 + 1
        weights.reserveCapacity(stride * newSize)
        for position in 0..<newSize {
            let centre = (Double(position) + 0.5) * scale
            let first = max(Int(centre - support + 0.5), 0)
            let count = min(Int(centre + support + 0.5), oldSize) - first
            let taps = (0..<count).map { tap -> Double in
                let distance = (Double(tap + first) - centre + 0.5) * (1 / filterScale)
                return max(1 - abs(distance), 0)
            }
            var sum = 0.0
            for tap in taps { sum += tap }
            starts.append(first)
            counts.append(count)
            let unit = Double(1 << Self.fractionBits)
            for tap in taps { weights.append(Int32((sum == 0 ? tap : tap / sum) * unit + 0.5)) }
            weights.append(contentsOf: repeatElement(0, count: stride - count))
        }
    }
}

private let half = Int32(1) << (ResamplingWeights.fractionBits - 1)

/// Four samples are summed at once: the channels of one RGB pixel, or four rows of a grey image.
private func resizedAlongRows(_ image: Image, to newWidth: Int) -> Image {
    if newWidth == image.width { return image }
    let weights = ResamplingWeights(from: image.width, to: newWidth)
    let (oldWidth, channels) = (image.width, image.channels)
    let rowsAtOnce = channels == 1 ? 4 : 1
    let pixels = [UInt8](unsafeUninitializedCapacity: newWidth * image.height * channels) { output, count in
        count = output.count
        var lanes = [SIMD4<Int32>](repeating: .zero, count: oldWidth)
        image.pixels.withUnsafeBufferPointer { input in
            lanes.withUnsafeMutableBufferPointer { lanes in
                for y in stride(from: 0, to: image.height, by: rowsAtOnce) {
                    let rows = min(rowsAtOnce, image.height - y)
                    spread(input, into: lanes, row: y, rows: rows, channels: channels)
                    sumRow(lanes, weights) { x, sums in
                        for lane in 0..<(channels == 1 ? rows : 3) {
                            let offset = channels == 1 ? (y + lane) * newWidth + x : (y * newWidth + x) * 3 + lane
                            output.initializeElement(at: offset, to: UInt8(truncatingIfNeeded: sums[lane]))
                        }
                    }
                }
            }
        }
    }
    return Image(width: newWidth, height: image.height, channels: channels, pixels: pixels)
}

@inline(__always)
private func spread(
    _ input: UnsafeBufferPointer<UInt8>, into lanes: UnsafeMutableBufferPointer<SIMD4<Int32>>, row: Int, rows: Int,
    channels: Int
) {
    let width = lanes.count
    if channels == 3 {
        for x in 0..<width {
            let offset = (row * width + x) * 3
            lanes[x] = SIMD4(Int32(input[offset]), Int32(input[offset + 1]), Int32(input[offset + 2]), 0)
        }
        return
    }
    for lane in 0..<rows {
        for x in 0..<width { lanes[x][lane] = Int32(input[(row + lane) * width + x]) }
    }
}

@inline(__always)
private func sumRow(
    _ lanes: UnsafeMutableBufferPointer<SIMD4<Int32>>, _ weights: ResamplingWeights,
    store: (Int, SIMD4<Int32>) -> Void
) {
    weights.weights.withUnsafeBufferPointer { taps in
        for x in 0..<weights.outputCount {
            let (start, first) = (weights.starts[x], x * weights.stride)
            var sums = SIMD4<Int32>(repeating: half)
            for tap in 0..<weights.counts[x] { sums &+= lanes[start + tap] &* taps[first + tap] }
            store(x, rounded(sums))
        }
    }
}

/// Drops the fraction; the sum of rounded weights can pass one by a hair, so values above 255 are cut.
@inline(__always)
private func rounded(_ sums: SIMD4<Int32>) -> SIMD4<Int32> {
    let values = sums &>> SIMD4(repeating: ResamplingWeights.fractionBits)
    return values.replacing(with: 255, where: values .> 255)
}

/// Each output row is a weighted sum of whole input rows.
private func resizedAlongColumns(_ image: Image, to newHeight: Int) -> Image {
    if newHeight == image.height { return image }
    let weights = ResamplingWeights(from: image.height, to: newHeight)
    let rowCount = image.width * image.channels
    var sums = [Int32](repeating: 0, count: rowCount)
    let pixels = [UInt8](unsafeUninitializedCapacity: rowCount * weights.outputCount) { output, count in
        count = output.count
        image.pixels.withUnsafeBufferPointer { input in
            sums.withUnsafeMutableBufferPointer { sums in
                for y in 0..<weights.outputCount {
                    sums.update(repeating: half)
                    for tap in 0..<weights.counts[y] {
                        let weight = weights.weights[y * weights.stride + tap]
                        let source = input.baseAddress! + (weights.starts[y] + tap) * rowCount
                        for i in 0..<rowCount { sums[i] &+= Int32(source[i]) &* weight }
                    }
                    let target = output.baseAddress! + y * rowCount
                    for i in 0..<rowCount {
                        target[i] = UInt8(truncatingIfNeeded: min(sums[i] &>> ResamplingWeights.fractionBits, 255))
                    }
                }
            }
        }
    }
    return Image(width: image.width, height: weights.outputCount, channels: image.channels, pixels: pixels)
}
