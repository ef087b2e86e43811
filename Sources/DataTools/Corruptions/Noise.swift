import Foundation
import Imaging
import Tensors

// Noise: every sample of every channel is disturbed independently.
extension Image {
    /// x + N(0, sigma).
    func withGaussianNoise(_ level: Int, _ generator: inout SeededGenerator) -> Image {
        let sigma = [0.08, 0.12, 0.18, 0.26, 0.38][level]
        var field = SampleField(self)
        for place in field.values.indices { field.values[place] += sigma * generator.normal(log: log, cos: cos) }
        return field.image()
    }

    /// Poisson(c x) / c: the noise of counting c photons where the image is white.
    func withShotNoise(_ level: Int, _ generator: inout SeededGenerator) -> Image {
        let photons = [60.0, 25, 12, 5, 3][level]
        let counts = (0...255).map { PoissonDistribution(mean: Double($0) / 255 * photons) }
        var field = SampleField(self)
        for place in field.values.indices {
            field.values[place] = Double(counts[Int(pixels[place])].draw(&generator)) / photons
        }
        return field.image()
    }

    /// A fraction of the samples becomes 0 or 1, equally often.
    func withImpulseNoise(_ level: Int, _ generator: inout SeededGenerator) -> Image {
        let share = [0.03, 0.06, 0.09, 0.17, 0.27][level]
        var field = SampleField(self)
        for place in field.values.indices where generator.chance(share) {
            field.values[place] = generator.chance(0.5) ? 1 : 0
        }
        return field.image()
    }
}

/// The Poisson distribution of one mean, sampled by inversion: one uniform number per draw.
struct PoissonDistribution {
    /// P(count <= k), until it is 1 in double precision.
    private let cumulative: [Double]

    /// Prepares the distribution; the mean is at most a few hundred, so that P(0) is a normal number.
    init(mean: Double) {
        var probability = exp(-mean)
        var sum = probability
        var cumulative = [sum]
        // Far in the upper tail further counts no longer change the sum.
        while Double(cumulative.count) < mean + 12 * (mean.squareRoot() + 1), sum < 1 {
            probability *= mean / Double(cumulative.count)
            sum += probability
            cumulative.append(sum)
        }
        self.cumulative = cumulative
    }

    /// The smallest count with P(at most it) above a uniform number.
    func draw(_ generator: inout SeededGenerator) -> Int {
        let number = generator.unit()
        var (low, high) = (0, cumulative.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if cumulative[middle] > number { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
