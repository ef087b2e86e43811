import Foundation
import Tensors

/// Cells scattered over an image, single and in clumps, with the resulting label image.
struct CellPlacement {
    /// The cells; cell k has label k + 1.
    let shapes: [CellShape]
    /// The label of every pixel: the first cell to claim it, 0 for none.
    let labels: [UInt16]

    /// Draws 8 to 30 cells for an image of the given side.
    ///
    /// Radii follow a skewed distribution between 4 % and 13 % of the side. Half of the cells are placed beside an
    /// earlier one so that they touch; a cell is dropped if more than a tenth of it would be under others.
    init(side: Int, using generator: inout SeededGenerator) {
        let wanted = 8 + generator.index(below: 23)
        // Crowded images get smaller cells, so that the desired number fits.
        let crowding = (14.0 / Double(max(wanted, 14))).squareRoot()
        var shapes: [CellShape] = []
        var labels = [UInt16](repeating: 0, count: side * side)
        var attempts = 0
        while shapes.count < wanted && attempts < wanted * 60 {
            attempts += 1
            let size = 0.045 + 0.075 * generator.unit() * generator.uniform(0.4, 1)
            let radius = Double(side) * size * crowding
            var x = generator.uniform(0.02, 0.98) * Double(side)
            var y = generator.uniform(0.02, 0.98) * Double(side)
            if !shapes.isEmpty && generator.chance(0.5) {
                let neighbour = shapes[generator.index(below: shapes.count)]
                let direction = generator.uniform(0, 2 * Double.pi)
                let distance = (neighbour.radius + radius) * generator.uniform(0.9, 1.05)
                x = neighbour.x + distance * cos(direction)
                y = neighbour.y + distance * sin(direction)
            }
            let irregularity = generator.uniform(0.1, 0.38)
            let shape = CellShape(x: x, y: y, radius: radius, irregularity: irregularity, using: &generator)
            if Self.claim(shape, label: UInt16(shapes.count + 1), side: side, labels: &labels) { shapes.append(shape) }
        }
        self.shapes = shapes
        self.labels = labels
    }

    /// Assigns the free pixels of a cell its label, unless too many are taken or too few are in the image.
    private static func claim(_ shape: CellShape, label: UInt16, side: Int, labels: inout [UInt16]) -> Bool {
        let window = shape.window(width: side, height: side, margin: 0)
        var free: [Int] = []
        var taken = 0
        for row in window.rows {
            for column in window.columns where shape.relative(Double(column), Double(row)).ratio < 1 {
                if labels[row * side + column] == 0 {
                    free.append(row * side + column)
                } else {
                    taken += 1
                }
            }
        }
        let area = Double.pi * shape.radius * shape.radius
        guard Double(free.count) > 0.55 * area, taken * 10 < free.count + taken else { return false }
        for pixel in free { labels[pixel] = label }
        return true
    }
}
