import Tensors

/// Smooth random texture: value noise on a lattice, summed over octaves of doubled frequency and halved amplitude.
struct FractalNoise {
    private static let period = 64

    private let lattice: [Double]
    private let octaves: Int

    /// Draws the lattice.
    init(octaves: Int, using generator: inout SeededGenerator) {
        lattice = (0..<Self.period * Self.period).map { _ in generator.uniform(-1, 1) }
        self.octaves = octaves
    }

    /// The noise at a point, about -1...1; the coarsest lattice cell is one unit wide, the pattern repeats after 64.
    func value(_ x: Double, _ y: Double) -> Double {
        var sum = 0.0
        var amplitude = 1.0
        var total = 0.0
        var frequency = 1.0
        for octave in 0..<octaves {
            // Octaves are shifted against each other so that their lattices do not align.
            let shift = Double(octave) * 17.3
            sum += amplitude * smooth(x * frequency + shift, y * frequency - shift)
            total += amplitude
            amplitude /= 2
            frequency *= 2
        }
        return sum / total
    }

    private func smooth(_ x: Double, _ y: Double) -> Double {
        let (left, top) = (x.rounded(.down), y.rounded(.down))
        let (u, v) = (Self.fade(x - left), Self.fade(y - top))
        let (column, row) = (Int(left), Int(top))
        let upper = at(column, row) * (1 - u) + at(column + 1, row) * u
        let lower = at(column, row + 1) * (1 - u) + at(column + 1, row + 1) * u
        return upper * (1 - v) + lower * v
    }

    private func at(_ column: Int, _ row: Int) -> Double {
        lattice[(row & (Self.period - 1)) * Self.period + (column & (Self.period - 1))]
    }

    /// 3 t^2 - 2 t^3: no kinks at the lattice lines.
    private static func fade(_ t: Double) -> Double { t * t * (3 - 2 * t) }
}
