import Foundation
import Tensors

/// Drawing of stained cells in transmitted light: every structure adds optical density, light follows Beer-Lambert's law.
struct CellRendering {
    /// Optical density of a unit of cytoplasm stain in red, green and blue.
    private let cytoplasm: [Double]
    /// Optical density of a unit of nucleus stain in red, green and blue.
    private let nucleus: [Double]
    /// Light that passes where nothing absorbs.
    private let lamp: [Double]
    private let coarse: FractalNoise
    private let fine: FractalNoise
    private let side: Int

    /// Draws stains, lamp and textures of one image.
    init(side: Int, using generator: inout SeededGenerator) {
        self.side = side
        func around(_ values: [Double]) -> [Double] { values.map { $0 * generator.uniform(0.88, 1.12) } }
        cytoplasm = around([0.42, 0.62, 0.30])
        nucleus = around([0.95, 0.88, 0.42])
        lamp = around([0.90, 0.87, 0.88]).map { min($0, 0.95) }
        coarse = FractalNoise(octaves: 4, using: &generator)
        fine = FractalNoise(octaves: 3, using: &generator)
    }

    /// Light per pixel and channel, about 0...1, `[side, side, 3]`.
    ///
    /// - Parameters:
    ///   - placement: The cells.
    ///   - stain: Factor on all optical densities; small values make a pale image.
    ///   - clutter: 0...1, the amount of unlabelled structure.
    func render(
        _ placement: CellPlacement, stain: Double, clutter: Double, using generator: inout SeededGenerator
    ) -> [Double] {
        var density = background(clutter: clutter)
        for (index, shape) in placement.shapes.enumerated() {
            paint(shape, label: UInt16(index + 1), labels: placement.labels, into: &density, using: &generator)
        }
        FalseStructures(side: side, clutter: clutter, using: &generator).paint(into: &density, stain: cytoplasm)
        for index in density.indices { density[index] = lamp[index % 3] * exp(-stain * density[index]) }
        return density
    }

    /// A mottled background, slightly in the cytoplasm's colour.
    private func background(clutter: Double) -> [Double] {
        var density = [Double](repeating: 0, count: side * side * 3)
        let strength = 0.10 + 0.16 * clutter
        for y in 0..<side {
            for x in 0..<side {
                let large = coarse.value(Double(x) / 38, Double(y) / 38)
                let small = fine.value(Double(x) / 6, Double(y) / 6)
                let amount = 0.12 + strength * (large + 0.35 * small)
                for channel in 0..<3 { density[(y * side + x) * 3 + channel] = max(amount, 0) * cytoplasm[channel] }
            }
        }
        return density
    }

    private func paint(
        _ shape: CellShape, label: UInt16, labels: [UInt16], into density: inout [Double],
        using generator: inout SeededGenerator
    ) {
        let body = generator.uniform(0.30, 0.75)
        let membrane = generator.uniform(0.25, 0.65)
        let granularity = generator.uniform(0.25, 0.7)
        let grain = generator.uniform(2.2, 4.5)
        let phase = (generator.uniform(0, 60), generator.uniform(0, 60))
        let kernel = nucleusShape(shape, using: &generator)
        let chromatin = generator.uniform(0.65, 1.15)
        let window = shape.window(width: side, height: side, margin: 6)
        for row in window.rows {
            for column in window.columns {
                let pixel = row * side + column
                let (ratio, outline) = shape.relative(Double(column), Double(row))
                let distance = (ratio - 1) * outline  // pixels outside the outline, roughly
                let owner = labels[pixel]
                // A cell shades neither its neighbour nor its hidden part.
                guard distance < 5, owner == label || owner == 0 else { continue }
                let noise = fine.value(phase.0 + Double(column) / grain, phase.1 + Double(row) / grain)
                let slow = coarse.value(phase.1 + Double(column) / 14, phase.0 + Double(row) / 14)
                let inside = 1 / (1 + exp(distance / 0.55))
                let thickness = 0.55 + 0.45 * max(1 - ratio * ratio, 0).squareRoot()
                var light = body * thickness * (1 + granularity * noise + 0.3 * slow) * inside
                light += membrane * exp(-(distance + 1) * (distance + 1) / 2.6) * (1 + 0.35 * slow)
                // The bright rim that refraction puts around a cell.
                light -= 0.10 * exp(-(distance - 2.4) * (distance - 2.4) / 2.5)
                let (depth, size) = kernel.relative(Double(column), Double(row))
                let core = inside / (1 + exp((depth - 1) * size / 0.8)) * chromatin * (1 + 0.45 * noise)
                for channel in 0..<3 {
                    let place = pixel * 3 + channel
                    density[place] = max(density[place] + light * cytoplasm[channel] + core * nucleus[channel], 0)
                }
            }
        }
    }

    /// The nucleus: smaller and rounder than the cell, and slightly off its centre.
    private func nucleusShape(_ shape: CellShape, using generator: inout SeededGenerator) -> CellShape {
        let direction = generator.uniform(0, 2 * Double.pi)
        let offset = shape.radius * generator.uniform(0, 0.28)
        return CellShape(
            x: shape.x + offset * cos(direction), y: shape.y + offset * sin(direction),
            radius: shape.radius * generator.uniform(0.28, 0.46), irregularity: 0.12, using: &generator)
    }
}
