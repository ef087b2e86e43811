import Foundation
import Tensors

/// The outline of a synthetic cell: an ellipse whose radius is perturbed by a few harmonics of the angle.
struct CellShape {
    /// Column of the centre.
    let x: Double
    /// Row of the centre.
    let y: Double
    /// Radius of the circle of the same area as the ellipse.
    let radius: Double
    /// Long axis over short axis.
    let elongation: Double
    /// Direction of the long axis.
    let angle: Double
    /// Amplitude and phase of the harmonics 2, 3, ... of the radius.
    private let harmonics: [(amplitude: Double, phase: Double)]

    /// Draws the shape of a cell at a position.
    init(x: Double, y: Double, radius: Double, irregularity: Double, using generator: inout SeededGenerator) {
        self.x = x
        self.y = y
        self.radius = radius
        elongation = 1 + 0.7 * generator.unit() * generator.unit()
        angle = generator.uniform(0, Double.pi)
        harmonics = (2..<8).map { order in
            (irregularity * generator.uniform(0.3, 1) / Double(order), generator.uniform(0, 2 * Double.pi))
        }
    }

    /// A point relative to the cell: distance from the centre over the outline's radius in that direction, and that radius.
    func relative(_ column: Double, _ row: Double) -> (ratio: Double, outline: Double) {
        let (dx, dy) = (column - x, row - y)
        let along = (dx * cos(angle) + dy * sin(angle)) / elongation.squareRoot()
        let across = (dy * cos(angle) - dx * sin(angle)) * elongation.squareRoot()
        let direction = atan2(across, along)
        var outline = radius
        for (index, harmonic) in harmonics.enumerated() {
            outline += radius * harmonic.amplitude * cos(Double(index + 2) * direction + harmonic.phase)
        }
        outline = max(outline, radius * 0.3)
        return ((along * along + across * across).squareRoot() / outline, outline)
    }

    /// A distance from the centre that no point of the outline reaches.
    var reach: Double {
        radius * elongation.squareRoot() * (1 + harmonics.reduce(0) { $0 + $1.amplitude })
    }

    /// The pixels of an image within `reach` plus a margin, empty if the cell is outside.
    func window(width: Int, height: Int, margin: Double) -> (columns: Range<Int>, rows: Range<Int>) {
        func range(_ centre: Double, _ limit: Int) -> Range<Int> {
            let first = min(max(Int(centre - reach - margin), 0), limit)
            return first..<max(first, min(Int(centre + reach + margin) + 2, limit))
        }
        return (range(x, width), range(y, height))
    }
}
