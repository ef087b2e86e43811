import Imaging
import Tensors

/// The measured statistics of one frost photograph of the published package, from which a texture of noise is made.
struct FrostStatistics {
    /// Distinguishes the noise of one texture from that of another.
    let name: String
    /// The seed of the noise, which determines where its largest shapes are.
    let seed: UInt64
    let width: Int
    let height: Int
    /// Quantiles of red, green and blue at the probabilities `levels`.
    let quantiles: [[Double]]
    /// The fraction of the variance in layers of noise of up to 1, 2, 4, ... 256 pixels; the rest is in one of 512.
    let shareWithin: [Double]

    private static let levels = [
        0, 0.002, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.998, 1,
    ]

    /// A picture with these statistics.
    ///
    /// Layers of noise on lattices of 1, 2, 4, ... pixels are folded at 0, which draws bright creases like the rims of
    /// crystals, and weighted by scale; each channel's values are then replaced by quantiles of equal rank.
    func texture() -> Image {
        var generator = SeededGenerator(seed: seed, purpose: "frost texture: \(name)")
        var sum = [Double](repeating: 0, count: width * height)
        var within = 0.0
        for (octave, share) in (shareWithin + [1]).enumerated() {
            addLayer(cell: 1 << octave, variance: share - within, to: &sum, &generator)
            within = share
        }
        let ranks = Self.ranks(sum)
        var image = Image(width: width, height: height, channels: 3)
        for (channel, quantiles) in quantiles.enumerated() {
            for place in ranks.indices {
                image.pixels[3 * place + channel] = UInt8(Self.interpolate(quantiles, at: ranks[place]) + 0.5)
            }
        }
        return image
    }

    private func addLayer(cell: Int, variance: Double, to sum: inout [Double], _ generator: inout SeededGenerator) {
        let columns = width / cell + 2
        let lattice = (0..<columns * (height / cell + 2)).map { _ in generator.uniform(-1, 1) }
        var layer = [Double](repeating: 0, count: width * height)
        for y in 0..<height {
            let v = Self.fade(Double(y % cell) / Double(cell))
            let row = y / cell * columns
            for x in 0..<width {
                let u = Self.fade(Double(x % cell) / Double(cell))
                let corner = row + x / cell
                let upper = lattice[corner] * (1 - u) + lattice[corner + 1] * u
                let lower = lattice[corner + columns] * (1 - u) + lattice[corner + columns + 1] * u
                layer[y * width + x] = -abs(upper * (1 - v) + lower * v)
            }
        }
        let mean = layer.reduce(0, +) / Double(layer.count)
        let spread = (layer.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(layer.count)).squareRoot()
        let weight = max(variance, 0).squareRoot() / max(spread, 1e-9)
        for place in sum.indices { sum[place] += weight * (layer[place] - mean) }
    }

    /// 3 t^2 - 2 t^3: no kinks at the lattice lines.
    private static func fade(_ t: Double) -> Double { t * t * (3 - 2 * t) }

    /// The fraction of all values below each value, in steps of a 4096th of their range.
    private static func ranks(_ values: [Double]) -> [Double] {
        let lowest = values.reduce(.infinity, min)
        let range = max(values.reduce(-.infinity, max) - lowest, 1e-9)
        let bins = values.map { min(Int(($0 - lowest) / range * 4096), 4095) }
        var counts = [Int](repeating: 0, count: 4096)
        for bin in bins { counts[bin] += 1 }
        var below = 0
        let shares = counts.map { count in
            defer { below += count }
            return (Double(below) + Double(count) / 2) / Double(values.count)
        }
        return bins.map { shares[$0] }
    }

    private static func interpolate(_ quantiles: [Double], at rank: Double) -> Double {
        let upper = max(levels.firstIndex { $0 >= rank } ?? levels.count - 1, 1)
        let share = (rank - levels[upper - 1]) / (levels[upper] - levels[upper - 1])
        return quantiles[upper - 1] * (1 - share) + quantiles[upper] * share
    }
}

extension FrostStatistics {
    /// The available photographs, in their order; the third repeats the second.
    ///
    /// Shares of lattices up to 64 pixels as measured, within a few per cent. The others and the seed are chosen such
    /// that over parts of 256 x 256 to 640 x 480 pixels, taken as `frost` takes them, mean and variance vary with the
    /// size of the part as in the photograph; quantiles are then shifted and stretched until both agree on average over
    /// the sizes. Fitted by Tests/DataToolsTests/Fixtures/corruptions/fit_frost.py.
    static let photographs = [teal, pale, pale, grey, dark]

    private static let teal = FrostStatistics(
        name: "teal", seed: 56, width: 900, height: 600,
        quantiles: [
            [9, 20, 30, 37, 44, 52, 60, 67, 75, 83, 92, 103, 120, 133, 150, 174, 215],
            [95, 109, 116, 121, 126, 133, 139, 143, 147, 152, 157, 164, 172, 180, 187, 203, 236],
            [111, 127, 134, 138, 144, 150, 155, 161, 165, 168, 174, 179, 186, 192, 198, 214, 238],
        ],
        shareWithin: [0.112, 0.221, 0.256, 0.31, 0.363, 0.434, 0.513, 0.533, 0.966])

    private static let pale = FrostStatistics(
        name: "pale", seed: 58, width: 560, height: 315,
        quantiles: [
            [72, 125, 155, 168, 178, 189, 196, 202, 206, 210, 214, 219, 225, 230, 236, 245, 250],
            [73, 126, 158, 171, 181, 193, 200, 206, 211, 215, 219, 225, 230, 235, 240, 249, 253],
            [77, 131, 165, 179, 190, 202, 209, 216, 220, 226, 229, 235, 240, 244, 247, 251, 254],
        ],
        shareWithin: [0.099, 0.177, 0.237, 0.315, 0.352, 0.387, 0.427, 0.429, 0.997])

    private static let grey = FrostStatistics(
        name: "grey", seed: 1, width: 527, height: 350,
        quantiles: [
            [25, 57, 86, 97, 107, 120, 128, 135, 141, 147, 154, 161, 172, 184, 203, 238, 248],
            [34, 69, 100, 111, 123, 135, 143, 150, 156, 162, 168, 176, 187, 200, 218, 253, 253],
            [40, 75, 108, 121, 134, 146, 155, 162, 169, 175, 182, 191, 203, 216, 235, 255, 255],
        ],
        shareWithin: [0.227, 0.404, 0.565, 0.647, 0.71, 0.742, 0.799, 0.841, 0.843])

    private static let dark = FrostStatistics(
        name: "dark", seed: 27, width: 660, height: 495,
        quantiles: [
            [16, 29, 40, 49, 60, 74, 85, 96, 107, 119, 132, 147, 173, 193, 217, 247, 252],
            [27, 38, 51, 61, 71, 86, 97, 108, 119, 131, 144, 158, 182, 201, 223, 249, 252],
            [38, 49, 63, 73, 84, 99, 110, 120, 131, 142, 155, 169, 191, 210, 230, 253, 253],
        ],
        shareWithin: [0.089, 0.256, 0.386, 0.498, 0.576, 0.626, 0.664, 0.713, 0.981])
}
