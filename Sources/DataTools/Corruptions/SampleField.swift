import Foundation
import Imaging

/// Samples in double precision, rows of interleaved channels, on which the corruptions compute.
///
/// They are in double precision and in the order of operations of the published package, because the result is
/// truncated, not rounded, to 8 bits: an error in the last place would change a whole level.
struct SampleField {
    /// The continuation of a field beyond its edges.
    enum Border {
        /// a a a | a b c
        case replicated
        /// c b a | a b c
        case reflected
        /// c b | a b c
        case mirrored

        /// The position inside `0..<count` that replaces `position`.
        func inside(_ position: Int, count: Int) -> Int {
            switch self {
            case .replicated: return min(max(position, 0), count - 1)
            case .reflected:
                let folded = ((position % (2 * count)) + 2 * count) % (2 * count)
                return folded < count ? folded : 2 * count - 1 - folded
            case .mirrored:
                let period = max(2 * (count - 1), 1)
                let folded = ((position % period) + period) % period
                return folded < count ? folded : period - folded
            }
        }
    }

    /// A shifted copy of the field: its sample (x, y) is the field's (x + dx, y + dy).
    struct Shift {
        var dx: Int
        var dy: Int
        var weight: Double
    }

    let width: Int
    let height: Int
    let channels: Int
    var values: [Double]  // [height, width, channels]

    init(width: Int, height: Int, channels: Int, values: [Double]) {
        precondition(values.count == width * height * channels, "\(values.count) values")
        (self.width, self.height, self.channels, self.values) = (width, height, channels, values)
    }

    /// A field with every sample drawn in turn.
    init(width: Int, height: Int, channels: Int = 1, drawing draw: () -> Double) {
        self.init(
            width: width, height: height, channels: channels,
            values: (0..<width * height * channels).map { _ in draw() })
    }

    /// The samples of an image divided by `divisor`.
    init(_ image: Image, dividedBy divisor: Double = 255) {
        self.init(
            width: image.width, height: image.height, channels: image.channels,
            values: image.pixels.map { Double($0) / divisor })
    }

    /// The image of samples in 0...1: clipped, times 255, truncated to integers.
    func image() -> Image {
        Image(
            width: width, height: height, channels: channels,
            pixels: values.map { UInt8(min(max($0, 0), 1) * 255) })
    }

    /// The image of samples in 0...255: clipped, truncated to integers.
    func imageOfLevels() -> Image {
        Image(width: width, height: height, channels: channels, pixels: values.map { UInt8(min(max($0, 0), 255)) })
    }

    /// The field with a margin on all sides.
    private func padded(by margin: Int, _ border: Border) -> SampleField {
        let columns = (-margin..<width + margin).map { border.inside($0, count: width) * channels }
        let paddedHeight = height + 2 * margin
        let samples = [Double](unsafeUninitializedCapacity: columns.count * paddedHeight * channels) { output, count in
            var place = 0
            values.withUnsafeBufferPointer { input in
                for y in -margin..<height + margin {
                    let row = border.inside(y, count: height) * width * channels
                    for column in columns {
                        for channel in 0..<channels {
                            output.initializeElement(at: place, to: input[row + column + channel])
                            place += 1
                        }
                    }
                }
            }
            count = place
        }
        return SampleField(width: columns.count, height: paddedHeight, channels: channels, values: samples)
    }

    /// The sum of shifted copies: `out(x, y) = sum_k weight_k in(x + dx_k, y + dy_k)`.
    func sum(of shifts: [Shift], _ border: Border) -> SampleField {
        let margin = shifts.reduce(0) { max($0, abs($1.dx), abs($1.dy)) }
        let source = padded(by: margin, border)
        var result = SampleField(
            width: width, height: height, channels: channels, values: [Double](repeating: 0, count: values.count))
        let rowLength = width * channels
        let sourceLength = source.width * channels
        result.values.withUnsafeMutableBufferPointer { output in
            source.values.withUnsafeBufferPointer { input in
                guard let outputBase = output.baseAddress, let inputBase = input.baseAddress else { return }
                for y in 0..<height {
                    let row = outputBase + y * rowLength
                    for shift in shifts {
                        let from = inputBase + (y + margin + shift.dy) * sourceLength + (margin + shift.dx) * channels
                        let weight = shift.weight
                        for place in 0..<rowLength { row[place] += weight * from[place] }
                    }
                }
            }
        }
        return result
    }

    /// Gaussian smoothing along columns, then rows, weights `exp(-d^2 / (2 sigma^2))` truncated at `truncate` sigmas.
    func smoothed(sigmaX: Double, sigmaY: Double, truncate: Double, _ border: Border) -> SampleField {
        func shifts(_ sigma: Double, _ make: (Int, Double) -> Shift) -> [Shift] {
            let radius = Int(truncate * sigma + 0.5)
            let weights = (-radius...radius).map { exp(-0.5 / (sigma * sigma) * Double($0 * $0)) }
            let total = weights.reduce(0, +)
            return zip(-radius...radius, weights).map { make($0, $1 / total) }
        }
        return sum(of: shifts(sigmaY) { Shift(dx: 0, dy: $0, weight: $1) }, border)
            .sum(of: shifts(sigmaX) { Shift(dx: $0, dy: 0, weight: $1) }, border)
    }

    /// The middle `1 / factor` of the field, enlarged by linear interpolation; slightly larger than the field's width
    /// and height, as parts are rounded up, unless it is cut to these.
    func centreEnlarged(by factor: Double, cut: Bool = true) -> SampleField {
        func interpolation(_ length: Int) -> Interpolation {
            let part = Int((Double(length) / factor).rounded(.up))
            let first = (length - part) / 2
            return Interpolation(of: first..<first + part, enlargedBy: factor, atMost: cut ? length : .max)
        }
        return interpolated(interpolation(width), interpolation(height))
    }

    /// The positions of the new samples of one axis between old ones.
    private struct Interpolation {
        let lower: [Int]
        let upper: [Int]
        /// The weight of the upper sample.
        let share: [Double]

        /// Spreads the samples of `part` over `factor` times as many, first on first and last on last.
        init(of part: Range<Int>, enlargedBy factor: Double, atMost limit: Int) {
            let count = Int((Double(part.count) * factor).rounded(.toNearestOrEven))
            let step = Double(part.count - 1) / Double(max(count - 1, 1))
            let places = (0..<min(count, limit)).map { min(Double($0) * step, Double(part.count - 1)) }
            lower = places.map { part.lowerBound + Int($0) }
            upper = lower.map { min($0 + 1, part.upperBound - 1) }
            share = places.map { $0 - $0.rounded(.down) }
        }
    }

    private func interpolated(_ columns: Interpolation, _ rows: Interpolation) -> SampleField {
        let newWidth = columns.lower.count
        let newHeight = rows.lower.count
        let samples = [Double](unsafeUninitializedCapacity: newWidth * newHeight * channels) { output, count in
            var place = 0
            values.withUnsafeBufferPointer { input in
                for y in 0..<newHeight {
                    let (above, below, v) = (rows.lower[y] * width, rows.upper[y] * width, rows.share[y])
                    for x in 0..<newWidth {
                        let (left, right, u) = (columns.lower[x], columns.upper[x], columns.share[x])
                        for channel in 0..<channels {
                            func at(_ row: Int, _ column: Int) -> Double { input[(row + column) * channels + channel] }
                            let upper = at(above, left) * (1 - u) + at(above, right) * u
                            let lower = at(below, left) * (1 - u) + at(below, right) * u
                            output.initializeElement(at: place, to: upper * (1 - v) + lower * v)
                            place += 1
                        }
                    }
                }
            }
            count = place
        }
        return SampleField(width: newWidth, height: newHeight, channels: channels, values: samples)
    }
}
