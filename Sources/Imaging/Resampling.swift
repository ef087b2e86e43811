/// For each output position of one axis, the first input position and the fixed-point weights of its sum.
struct ResamplingWeights {
    static let fractionBits: Int32 = 22
    /// The initial value of every sum, so that dropping the fraction rounds to the nearest integer.
    static let half = Int32(1) << (fractionBits - 1)

    /// Weights per output position; unused ones are zero.
    let taps: Int
    private(set) var starts: [Int] = []
    /// `[output position, taps]`
    private(set) var weights: [Int32] = []

    /// The shape of the weights around an output pixel.
    enum Filter {
        /// Falls linearly to 0 at the next pixel.
        case triangle
        /// The same weight everywhere in the pixel.
        case box

        /// The filter's radius, in pixels.
        var reach: Double { self == .triangle ? 1 : 0.5 }

        func height(at distance: Double) -> Double {
            switch self {
            case .triangle: max(1 - abs(distance), 0)
            case .box: distance > -0.5 && distance <= 0.5 ? 1 : 0
            }
        }
    }

    /// Weights of a filter, widened to the spacing of the output pixels when the size shrinks.
    init(from oldSize: Int, to newSize: Int, _ filter: Filter = .triangle) {
        let scale = Double(oldSize) / Double(newSize)
        let stretch = max(scale, 1)  // the filter is measured in output pixels, or input pixels if they are larger
        let support = filter.reach * stretch
        taps = Int(support.rounded(.up)) * 2 + 1
        starts.reserveCapacity(newSize)
        weights.reserveCapacity(taps * newSize)
        for position in 0..<newSize {
            let centre = (Double(position) + 0.5) * scale
            let first = max(Int(centre - support + 0.5), 0)
            let count = min(Int(centre + support + 0.5), oldSize) - first
            let heights = (0..<count).map { tap in
                filter.height(at: (Double(tap + first) - centre + 0.5) * (1 / stretch))
            }
            let sum = heights.reduce(0, +)
            starts.append(first)
            for height in heights {
                let share = sum == 0 ? height : height / sum
                weights.append(Int32(share * Double(1 << Self.fractionBits) + 0.5))
            }
            weights.append(contentsOf: repeatElement(0, count: taps - count))
        }
    }
}

extension Image {
    /// One pass along the columns: each output row is a weighted sum of whole input rows.
    func resampledAlongColumns(to newHeight: Int, _ filter: ResamplingWeights.Filter = .triangle) -> Image {
        if newHeight == height { return self }
        let plan = ResamplingWeights(from: height, to: newHeight, filter)
        let rowCount = width * channels
        var sums = [Int32](repeating: 0, count: rowCount)
        let result = [UInt8](unsafeUninitializedCapacity: rowCount * newHeight) { output, count in
            count = output.count
            pixels.withUnsafeBufferPointer { input in
                sums.withUnsafeMutableBufferPointer { sums in
                    for y in 0..<newHeight {
                        sums.update(repeating: ResamplingWeights.half)
                        for tap in 0..<plan.taps {
                            let weight = plan.weights[y * plan.taps + tap]
                            if weight == 0 { continue }
                            let source = input.baseAddress! + (plan.starts[y] + tap) * rowCount
                            for i in 0..<rowCount { sums[i] &+= Int32(source[i]) &* weight }
                        }
                        let target = output.baseAddress! + y * rowCount
                        for i in 0..<rowCount { target[i] = rounded(sums[i]) }
                    }
                }
            }
        }
        return Image(width: width, height: newHeight, channels: channels, pixels: result)
    }

    /// One pass along the rows, eight samples at a time: eight rows of a grey image, or two RGB rows, whose pixels
    /// then have an unused fourth channel.
    func resampledAlongRows(to newWidth: Int, _ filter: ResamplingWeights.Filter = .triangle) -> Image {
        if newWidth == width { return self }
        let plan = ResamplingWeights(from: width, to: newWidth, filter)
        let layout = LaneLayout(channels: channels)
        // The zero weights after the last needed ones reach up to `taps` pixels beyond the row.
        var lanes = [SIMD8<Int32>](repeating: .zero, count: width + plan.taps)
        var sums = [SIMD8<Int32>](repeating: .zero, count: newWidth)
        let result = [UInt8](unsafeUninitializedCapacity: newWidth * height * channels) { output, count in
            count = output.count
            pixels.withUnsafeBufferPointer { input in
                for y in stride(from: 0, to: height, by: layout.rows) {
                    let rows = min(layout.rows, height - y)
                    for row in 0..<rows {
                        let source = input.baseAddress! + (y + row) * width * channels
                        layout.load(source, count: width, row: row, into: &lanes)
                    }
                    sumWeighted(lanes, plan, into: &sums)
                    for row in 0..<rows {
                        let target = output.baseAddress! + (y + row) * newWidth * channels
                        layout.store(sums, row: row, into: target)
                    }
                }
            }
        }
        return Image(width: newWidth, height: height, channels: channels, pixels: result)
    }
}

/// The row and channel in each of eight lanes.
private struct LaneLayout {
    let channels: Int
    var rows: Int { channels == 1 ? 8 : 2 }

    /// Spreads one row over its lanes.
    func load(_ source: UnsafePointer<UInt8>, count: Int, row: Int, into lanes: inout [SIMD8<Int32>]) {
        lanes.withUnsafeMutableBytes { bytes in
            let lane = bytes.assumingMemoryBound(to: Int32.self).baseAddress! + row * (8 / rows)
            if channels == 1 {
                for x in 0..<count { lane[8 * x] = Int32(source[x]) }
            } else {
                for x in 0..<count {
                    lane[8 * x] = Int32(source[3 * x])
                    lane[8 * x + 1] = Int32(source[3 * x + 1])
                    lane[8 * x + 2] = Int32(source[3 * x + 2])
                }
            }
        }
    }

    /// Rounds the lanes of one row to bytes.
    func store(_ sums: [SIMD8<Int32>], row: Int, into target: UnsafeMutablePointer<UInt8>) {
        sums.withUnsafeBytes { bytes in
            let lane = bytes.assumingMemoryBound(to: Int32.self).baseAddress! + row * (8 / rows)
            if channels == 1 {
                for x in 0..<sums.count { target[x] = rounded(lane[8 * x]) }
            } else {
                for x in 0..<sums.count {
                    target[3 * x] = rounded(lane[8 * x])
                    target[3 * x + 1] = rounded(lane[8 * x + 1])
                    target[3 * x + 2] = rounded(lane[8 * x + 2])
                }
            }
        }
    }
}

private func sumWeighted(_ lanes: [SIMD8<Int32>], _ plan: ResamplingWeights, into sums: inout [SIMD8<Int32>]) {
    let taps = plan.taps
    lanes.withUnsafeBufferPointer { lanes in
        plan.weights.withUnsafeBufferPointer { weights in
            plan.starts.withUnsafeBufferPointer { starts in
                sums.withUnsafeMutableBufferPointer { sums in
                    for x in 0..<sums.count {
                        let pixel = lanes.baseAddress! + starts[x]
                        let weight = weights.baseAddress! + x * taps
                        var sum = SIMD8<Int32>(repeating: ResamplingWeights.half)
                        for tap in 0..<taps { sum &+= pixel[tap] &* SIMD8(repeating: weight[tap]) }
                        sums[x] = sum
                    }
                }
            }
        }
    }
}

/// Drops the fraction; the sum of rounded weights can exceed one slightly, so values above 255 are clipped.
@inline(__always)
private func rounded(_ sum: Int32) -> UInt8 {
    UInt8(truncatingIfNeeded: min(sum &>> ResamplingWeights.fractionBits, 255))
}
