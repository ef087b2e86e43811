import Foundation
import Imaging
import Tensors

// Weather: a random layer over the image.
extension Image {
    /// The constants of one severity of snow.
    private struct Snowfall {
        var mean: Double
        var deviation: Double
        var flakeSize: Double
        var threshold: Double
        var radius: Int
        var sigma: Double
        var blend: Double
    }

    private static let snowfalls = [
        Snowfall(mean: 0.1, deviation: 0.3, flakeSize: 3, threshold: 0.5, radius: 10, sigma: 4, blend: 0.8),
        Snowfall(mean: 0.2, deviation: 0.3, flakeSize: 2, threshold: 0.5, radius: 12, sigma: 4, blend: 0.7),
        Snowfall(mean: 0.55, deviation: 0.3, flakeSize: 4, threshold: 0.9, radius: 12, sigma: 8, blend: 0.7),
        Snowfall(mean: 0.55, deviation: 0.3, flakeSize: 4.5, threshold: 0.85, radius: 12, sigma: 8, blend: 0.65),
        Snowfall(mean: 0.55, deviation: 0.3, flakeSize: 2.5, threshold: 0.85, radius: 12, sigma: 12, blend: 0.55),
    ]

    /// Streaks of falling flakes, once as drawn and once rotated by 180 degrees, over a whitened image.
    func withSnow(_ level: Int, _ generator: inout SeededGenerator) -> Image {
        let snow = Self.snowfalls[level]
        var flakes = SampleField(
            width: width, height: height,
            drawing: { snow.mean + snow.deviation * generator.normal(log: log, cos: cos) }
        ).centreEnlarged(by: snow.flakeSize, cut: false)
        for place in flakes.values.indices {
            let value = flakes.values[place]
            flakes.values[place] = value < snow.threshold ? 0 : min(max(value, 0), 1)
        }
        let streaks = flakes.motionBlurred(
            radius: snow.radius, sigma: snow.sigma, degrees: generator.uniform(-135, -45))
        func streak(_ x: Int, _ y: Int) -> Double {
            (streaks.values[y * streaks.width + x] * 255).rounded(.toNearestOrEven) / 255
        }
        var field = SampleField(self)
        for y in 0..<height {
            for x in 0..<width {
                let place = 3 * (y * width + x)
                let grey =
                    0.299 * field.values[place] + 0.587 * field.values[place + 1] + 0.114 * field.values[place + 2]
                let layer = streak(x, y) + streak(width - 1 - x, height - 1 - y)
                for sample in place..<place + 3 {
                    let value = field.values[sample]
                    field.values[sample] =
                        snow.blend * value + (1 - snow.blend) * max(value, grey * 1.5 + 0.5) + layer
                }
            }
        }
        return field.image()
    }

    /// A weighted sum of the image and a picture of ice of its size.
    func withFrost(_ level: Int, _ ice: Image) -> Image {
        let imageWeight = [1, 0.8, 0.7, 0.65, 0.6][level]
        let frostWeight = [0.4, 0.6, 0.7, 0.7, 0.75][level]
        var field = SampleField(self, dividedBy: 1)
        for place in field.values.indices {
            field.values[place] = imageWeight * field.values[place] + frostWeight * Double(ice.pixels[place])
        }
        return field.imageOfLevels()
    }

    /// A cloud of plasma over the image, which is then darkened to its former maximum.
    func withFog(_ level: Int, _ generator: inout SeededGenerator) -> Image {
        let amount = [1.5, 2, 2.5, 2.5, 3][level]
        let decay = [2, 2, 1.7, 1.5, 1.4][level]
        var side = 1
        while side < max(width, height) { side *= 2 }
        let plasma = PlasmaFractal(side: side, decay: decay, &generator)
        var field = SampleField(self)
        let brightest = field.values.reduce(0, max)
        let scale = brightest / (brightest + amount)
        for y in 0..<height {
            for x in 0..<width {
                let cloud = amount * plasma.values[y * side + x]
                let place = 3 * (y * width + x)
                for sample in place..<place + 3 { field.values[sample] = (field.values[sample] + cloud) * scale }
            }
        }
        return field.image()
    }
}

/// A height map on a torus by the diamond-square construction, scaled to 0...1 (Fournier, Fussell and Carpenter, 1982).
struct PlasmaFractal {
    private(set) var values: [Double]  // [side, side]

    /// Draws the map.
    ///
    /// Every new point is the mean of its four neighbours plus a number from (-w^2, w^2); w begins at 100 and is divided
    /// by `decay` from one step width to the next.
    init(side: Int, decay: Double, _ generator: inout SeededGenerator) {
        precondition(side > 0 && side & (side - 1) == 0, "a side of \(side) is no power of two")
        values = [Double](repeating: 0, count: side * side)
        var step = side
        var wobble = 100.0
        values.withUnsafeMutableBufferPointer { map in
            func at(_ y: Int, _ x: Int) -> Double { map[(y & (side - 1)) * side + (x & (side - 1))] }
            func mean(_ a: Double, _ b: Double, _ c: Double, _ d: Double) -> Double {
                (a + b + c + d) / 4 + wobble * generator.uniform(-wobble, wobble)
            }
            while step >= 2 {
                let half = step / 2
                for y in stride(from: 0, to: side, by: step) {
                    for x in stride(from: 0, to: side, by: step) {
                        map[(y + half) * side + x + half] = mean(
                            at(y, x), at(y, x + step), at(y + step, x), at(y + step, x + step))
                    }
                }
                for y in stride(from: 0, to: side, by: step) {
                    for x in stride(from: 0, to: side, by: step) {
                        map[y * side + x + half] = mean(
                            at(y, x), at(y, x + step), at(y - half, x + half), at(y + half, x + half))
                    }
                }
                for y in stride(from: 0, to: side, by: step) {
                    for x in stride(from: 0, to: side, by: step) {
                        map[(y + half) * side + x] = mean(
                            at(y, x), at(y + step, x), at(y + half, x - half), at(y + half, x + half))
                    }
                }
                step = half
                wobble /= decay
            }
        }
        let lowest = values.reduce(.infinity, min)
        let range = values.reduce(-.infinity, max) - lowest
        for place in values.indices { values[place] = range > 0 ? (values[place] - lowest) / range : 0 }
    }
}
