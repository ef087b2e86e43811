import Foundation
import Imaging
import Tensors

// Blur: every sample becomes a mean over its neighbourhood.
extension Image {
    /// The mean over a disk, whose rim is softened by a small Gaussian.
    func withDefocusBlur(_ level: Int) -> Image {
        let radius = [3, 4, 6, 8, 10][level]
        let sigma = [0.1, 0.5, 0.5, 0.5, 0.5][level]
        let reach = max(radius, 8)
        var disk: [Double] = []
        for y in -reach...reach {
            for x in -reach...reach { disk.append(x * x + y * y <= radius * radius ? 1 : 0) }
        }
        let area = disk.reduce(0, +)
        let side = 2 * reach + 1
        let softening = radius <= 8 ? 1.0 : 2.0
        // Truncated so that the kernel has 3 or 5 taps for any sigma.
        let kernel = SampleField(width: side, height: side, channels: 1, values: disk.map { $0 / area })
            .smoothed(sigmaX: sigma, sigmaY: sigma, truncate: softening / sigma, .mirrored)
        let shifts = kernel.values.indices.compactMap { place -> SampleField.Shift? in
            let weight = Double(Float(kernel.values[place]))
            return weight == 0 ? nil : .init(dx: place % side - reach, dy: place / side - reach, weight: weight)
        }
        return SampleField(self).sum(of: shifts, .mirrored).image()
    }

    /// Pixels are replaced by neighbours, between two Gaussian blurs.
    ///
    /// In the published package the exchange of two pixels works on views of one array and so amounts to a one-way copy
    /// from the neighbour; that defines the data, so it is kept.
    func withGlassBlur(_ level: Int, _ generator: inout SeededGenerator) -> Image {
        let sigma = [0.7, 0.9, 1, 1.1, 1.5][level]
        let (reach, rounds) = [(1, 2), (2, 1), (2, 3), (3, 2), (4, 2)][level]
        func smoothed(_ image: Image) -> Image {
            SampleField(image).smoothed(sigmaX: sigma, sigmaY: sigma, truncate: 4, .replicated).image()
        }
        var image = smoothed(self)
        image.pixels.withUnsafeMutableBufferPointer { pixels in
            for _ in 0..<rounds {
                for y in stride(from: height - reach, to: reach, by: -1) {
                    for x in stride(from: width - reach, to: reach, by: -1) {
                        let dx = generator.index(below: 2 * reach) - reach
                        let dy = generator.index(below: 2 * reach) - reach
                        let target = 3 * (y * width + x)
                        let source = 3 * ((y + dy) * width + x + dx)
                        for channel in 0..<3 { pixels[target + channel] = pixels[source + channel] }
                    }
                }
            }
        }
        return smoothed(image)
    }

    /// A one-sided Gaussian along a line of random direction.
    func withMotionBlur(_ level: Int, _ generator: inout SeededGenerator) -> Image {
        let radius = [10, 15, 15, 15, 20][level]
        let sigma = [3.0, 5, 8, 12, 15][level]
        return SampleField(self, dividedBy: 1)
            .motionBlurred(radius: radius, sigma: sigma, degrees: generator.uniform(-45, 45)).imageOfLevels()
    }

    /// The mean of the image and its enlargements about the centre.
    func withZoomBlur(_ level: Int) -> Image {
        // Factors from 1 on. At the first severity, rounding ends the published range one step late.
        let count = [12, 16, 11, 13, 11][level]
        let step = [0.01, 0.01, 0.02, 0.02, 0.03][level]
        // Single precision as in the package: the sums of bright areas end at integers.
        let original = SampleField(
            width: width, height: height, channels: 3, values: pixels.map { Double(Float(Double($0) / 255)) })
        var sum = [Float](repeating: 0, count: pixels.count)
        for index in 0..<count {
            let enlarged = original.centreEnlarged(by: 1 + Double(index) * ((1 + step) - 1))
            for place in sum.indices { sum[place] += Float(enlarged.values[place]) }
        }
        var result = self
        for place in sum.indices {
            let mean = (Float(original.values[place]) + sum[place]) / Float(count + 1)
            result.pixels[place] = UInt8(min(max(mean, 0), 1) * 255)
        }
        return result
    }
}

extension SampleField {
    /// Weights `exp(-i^2 / (2 sigma^2))`, i = 0...2 radius, along a line. The line ends where it leaves a small field,
    /// without rescaling the weights.
    func motionBlurred(radius: Int, sigma: Double, degrees: Double) -> SampleField {
        let angle = degrees * .pi / 180
        let weights = (0...2 * radius).map { exp(-Double($0 * $0) / (2 * sigma * sigma)) }
        let total = weights.reduce(0, +)
        var shifts: [Shift] = []
        for (index, weight) in weights.enumerated() {
            let dx = Int((Double(index) * cos(angle) - 0.5).rounded(.up))
            let dy = Int((Double(index) * sin(angle) - 0.5).rounded(.up))
            if abs(dx) >= width || abs(dy) >= height { break }
            shifts.append(Shift(dx: dx, dy: dy, weight: weight / total))
        }
        return sum(of: shifts, .replicated)
    }
}
