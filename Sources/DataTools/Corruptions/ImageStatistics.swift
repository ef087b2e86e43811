import Foundation
public import Imaging

/// Mean and variance of the 8-bit values of an image, or their averages over several.
public struct ImageStatistics: Equatable, Sendable {
    /// The mean over all values of all channels, 0-255.
    public var mean: Double
    /// The variance about that mean, of a whole population.
    public var variance: Double
    /// The mean of each channel.
    public var channelMeans: [Double]

    /// Measures an image.
    public init(_ image: Image) {
        var sums = [Int](repeating: 0, count: image.channels)
        var squares = 0
        var channel = 0
        for value in image.pixels {
            sums[channel] += Int(value)
            squares += Int(value) * Int(value)
            channel = channel + 1 == image.channels ? 0 : channel + 1
        }
        let count = Double(max(image.pixels.count, 1))
        mean = Double(sums.reduce(0, +)) / count
        variance = Double(squares) / count - mean * mean
        channelMeans = sums.map { Double($0) * Double(image.channels) / count }
    }

    /// The average of each figure. The list must not be empty.
    public init(averageOf list: [ImageStatistics]) {
        precondition(!list.isEmpty, "no image to average over")
        let count = Double(list.count)
        mean = list.reduce(0) { $0 + $1.mean } / count
        variance = list.reduce(0) { $0 + $1.variance } / count
        channelMeans = list[0].channelMeans.indices.map { channel in
            list.reduce(0) { $0 + $1.channelMeans[channel] } / count
        }
    }

    init(mean: Double, variance: Double, channelMeans: [Double]) {
        (self.mean, self.variance, self.channelMeans) = (mean, variance, channelMeans)
    }

    /// The mean of the squared differences of two images of one size.
    public static func squaredError(_ first: Image, _ second: Image) -> Double {
        precondition(first.pixels.count == second.pixels.count, "two images of different sizes")
        var sum = 0
        for (a, b) in zip(first.pixels, second.pixels) { sum += (Int(a) - Int(b)) * (Int(a) - Int(b)) }
        return Double(sum) / Double(max(first.pixels.count, 1))
    }

    /// `10 log10(255^2 / squaredError)`, in decibels; infinite for equal images.
    public static func peakSignalToNoise(squaredError: Double) -> Double {
        squaredError == 0 ? .infinity : 10 * log10(255 * 255 / squaredError)
    }
}
