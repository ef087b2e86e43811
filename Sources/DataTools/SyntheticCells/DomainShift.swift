import Foundation
import Imaging
import Tensors

/// The degradation of synthetic images, from 0 (a good microscope) to 5 (a bad one).
///
/// With t = severity / 5: stain x (1 - 0.72 t), unlabelled structures in proportion to t, lamp falling off by up to
/// 0.5 t across the image, Gaussian blur of 0.5 + 1.7 t pixels, colour pulled towards its mean by 0.6 t, and noise of
/// standard deviation (0.012 + 0.06 t) sqrt(light).
public struct DomainShift: Equatable, Sendable {
    /// The severity, 0...5.
    public let severity: Int

    /// Creates a shift; `nil` if the severity is not 0...5.
    public init?(severity: Int) {
        guard (0...5).contains(severity) else { return nil }
        self.severity = severity
    }

    private var t: Double { Double(severity) / 5 }

    /// Factor on all optical densities.
    var stain: Double { 1 - 0.72 * t }
    /// The amount of unlabelled structure, 0...1.
    var clutter: Double { t }
    /// Standard deviation of the blur in pixels.
    var blur: Double { 0.5 + 1.7 * t }

    /// Turns light per pixel, `[side, side, 3]`, into an 8-bit image: blur, uneven lamp, colour cast, noise.
    func apply(to light: [Double], side: Int, using generator: inout SeededGenerator) -> Image {
        let direction = generator.uniform(0, 2 * Double.pi)
        let fall = (0.04 + 0.5 * t) * generator.uniform(0.7, 1)
        let focus = (x: generator.uniform(0.35, 0.65), y: generator.uniform(0.35, 0.65))
        let draws = [generator.uniform(-1, 1), generator.uniform(-1, 1), generator.uniform(-1, 1)]
        let cast = draws.map { 1 + 0.12 * t * $0 }
        let gain = generator.uniform(0.97, 1.03) - 0.12 * t
        let noise = 0.012 + 0.06 * t
        let blurred = blurred(light, side: side)
        var image = Image(width: side, height: side, channels: 3)
        for y in 0..<side {
            for x in 0..<side {
                let (u, v) = (Double(x) / Double(side) - focus.x, Double(y) / Double(side) - focus.y)
                let ramp = u * cos(direction) + v * sin(direction)
                let lamp = gain * (1 - fall * (0.5 * ramp + 0.9 * (u * u + v * v)) - 0.35 * fall * abs(ramp))
                let base = (y * side + x) * 3
                let grey = (blurred[base] + blurred[base + 1] + blurred[base + 2]) / 3
                // Most of a camera's noise is shared by the channels after demosaicing; the rest is per channel.
                let shared = generator.normal(log: { log($0) }, cos: { cos($0) })
                for channel in 0..<3 {
                    let colour = blurred[base + channel] + 0.6 * t * (grey - blurred[base + channel])
                    let clean = max(colour * lamp * cast[channel], 0)
                    let own = generator.normal(log: { log($0) }, cos: { cos($0) })
                    let value = clean + noise * clean.squareRoot() * (0.75 * shared + 0.66 * own)
                    image.pixels[base + channel] = UInt8(min(max(value * 255 + 0.5, 0), 255))
                }
            }
        }
        return image
    }

    /// The separable Gaussian blur with repeated edges, truncated at three standard deviations.
    private func blurred(_ light: [Double], side: Int) -> [Double] {
        let reach = Int((3 * blur).rounded(.up))
        let heights = (-reach...reach).map { exp(-Double($0 * $0) / (2 * blur * blur)) }
        let total = heights.reduce(0, +)
        let weights = heights.map { $0 / total }
        func pass(_ source: [Double], along step: Int, across other: Int) -> [Double] {
            var result = [Double](repeating: 0, count: source.count)
            for line in 0..<side {
                for position in 0..<side {
                    for channel in 0..<3 {
                        var sum = 0.0
                        for (index, weight) in weights.enumerated() {
                            let place = min(max(position + index - reach, 0), side - 1)
                            sum += weight * source[(line * other + place * step) * 3 + channel]
                        }
                        result[(line * other + position * step) * 3 + channel] = sum
                    }
                }
            }
            return result
        }
        return pass(pass(light, along: 1, across: side), along: side, across: 1)
    }
}
