import Foundation
import Tensors

/// Structures easily mistaken for cells: fibres, rings and specks without a label.
struct FalseStructures {
    /// A curved thread of the given optical density.
    private struct Fibre {
        let points: [(x: Double, y: Double)]
        let width: Double
        let density: Double
    }

    private let side: Int
    private let fibres: [Fibre]
    private let ghosts: [(shape: CellShape, density: Double, isRing: Bool)]

    /// Draws structures; `clutter` from 0 (none) to 1.
    init(side: Int, clutter: Double, using generator: inout SeededGenerator) {
        self.side = side
        let fibreCount = Int((5 * clutter * generator.uniform(0.6, 1.2)).rounded())
        fibres = (0..<fibreCount).map { _ in Self.fibre(side: side, using: &generator) }
        let ghostCount = Int((16 * clutter * generator.uniform(0.7, 1.2)).rounded())
        ghosts = (0..<ghostCount).map { _ in
            let isRing = generator.chance(0.5)
            let radius = Double(side) * (isRing ? generator.uniform(0.03, 0.09) : generator.uniform(0.008, 0.03))
            let shape = CellShape(
                x: generator.uniform(0, Double(side)), y: generator.uniform(0, Double(side)), radius: radius,
                irregularity: 0.4, using: &generator)
            return (shape, generator.uniform(0.15, 0.45), isRing)
        }
    }

    /// Adds the structures to optical densities, `[side, side, 3]`.
    func paint(into density: inout [Double], stain: [Double]) {
        for (shape, strength, isRing) in ghosts {
            let window = shape.window(width: side, height: side, margin: 10)
            for row in window.rows {
                for column in window.columns {
                    let (ratio, outline) = shape.relative(Double(column), Double(row))
                    let distance = (ratio - 1) * outline
                    let amount =
                        isRing ? exp(-distance * distance / 9) : 1.5 / (1 + exp(distance / 1.2))
                    add(amount * strength, row * side + column, stain, &density)
                }
            }
        }
        for fibre in fibres { paint(fibre, into: &density, stain: stain) }
    }

    private func paint(_ fibre: Fibre, into density: inout [Double], stain: [Double]) {
        // The nearest point of the thread determines the density, so that its own bends do not add up.
        var nearest = [Double](repeating: .infinity, count: side * side)
        let reach = Int(3 * fibre.width) + 1
        func span(_ centre: Double) -> Range<Int> {
            let lower = max(Int(centre) - reach, 0)
            return lower..<max(min(Int(centre) + reach + 1, side), lower)
        }
        for point in fibre.points {
            for row in span(point.y) {
                for column in span(point.x) {
                    let (dx, dy) = (Double(column) - point.x, Double(row) - point.y)
                    let place = row * side + column
                    nearest[place] = min(nearest[place], dx * dx + dy * dy)
                }
            }
        }
        for place in nearest.indices where nearest[place] < .infinity {
            add(fibre.density * exp(-nearest[place] / (2 * fibre.width * fibre.width)), place, stain, &density)
        }
    }

    private func add(_ amount: Double, _ pixel: Int, _ stain: [Double], _ density: inout [Double]) {
        for channel in 0..<3 { density[pixel * 3 + channel] += amount * stain[channel] }
    }

    private static func fibre(side: Int, using generator: inout SeededGenerator) -> Fibre {
        var x = generator.uniform(0, Double(side))
        var y = generator.uniform(0, Double(side))
        var heading = generator.uniform(0, 2 * Double.pi)
        var bend = generator.uniform(-0.02, 0.02)
        let length = Int(generator.uniform(0.4, 1.1) * Double(side))
        var points: [(x: Double, y: Double)] = []
        for _ in 0..<length where x > -20 && y > -20 && x < Double(side + 20) && y < Double(side + 20) {
            points.append((x, y))
            bend = min(max(bend + generator.uniform(-0.004, 0.004), -0.05), 0.05)
            heading += bend
            x += cos(heading)
            y += sin(heading)
        }
        return Fibre(points: points, width: generator.uniform(0.8, 1.9), density: generator.uniform(0.25, 0.7))
    }
}
