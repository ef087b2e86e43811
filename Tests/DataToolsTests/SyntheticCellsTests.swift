import Datasets
import DataTools
import Foundation
import Imaging
import Testing

@Suite struct SyntheticCellsTests {
    /// Mean and standard deviation of an image's green channel.
    func statistics(_ image: Image) -> (mean: Double, deviation: Double) {
        let values = stride(from: 1, to: image.pixels.count, by: 3).map { Double(image.pixels[$0]) }
        let mean = values.reduce(0, +) / Double(values.count)
        let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
        return (mean, variance.squareRoot())
    }

    @Test func imagesDependOnSeedAndIndexAlone() throws {
        let cells = try SyntheticCells(side: 96, seed: 5, severity: 2)
        let first = cells.sample(3)
        let again = try SyntheticCells(side: 96, seed: 5, severity: 2).sample(3)
        #expect(first.image == again.image && first.labels == again.labels)
        #expect(cells.sample(4).labels != first.labels)
        #expect(try SyntheticCells(side: 96, seed: 6, severity: 2).sample(3).labels != first.labels)
    }

    @Test func severityChangesTheImageButNotTheLabels() throws {
        let clear = try SyntheticCells(side: 128, seed: 5, severity: 0).sample(0)
        let poor = try SyntheticCells(side: 128, seed: 5, severity: 5).sample(0)
        #expect(clear.labels == poor.labels)
        // Cells are darker than the background, and less so when the stain is weak.
        func contrast(_ sample: (image: Image, labels: LabelImage)) -> Double {
            var sums = [0.0, 0.0]
            var counts = [0.0, 0.0]
            for (pixel, label) in sample.labels.labels.enumerated() {
                let part = label == 0 ? 0 : 1
                sums[part] += Double(sample.image.pixels[pixel * 3 + 1])
                counts[part] += 1
            }
            return sums[0] / counts[0] - sums[1] / counts[1]
        }
        #expect(contrast(clear) > 25)
        #expect(contrast(poor) < 0.5 * contrast(clear))
        #expect(statistics(clear.image).mean > 100)
    }

    @Test func cellsAreSeveralAndNotTiny() throws {
        let cells = try SyntheticCells(side: 256, seed: 1, severity: 0)
        for index in 0..<6 {
            let masks = InstanceMasks(labels: cells.sample(index).labels)
            #expect((8...30).contains(masks.count), "image \(index) has \(masks.count) cells")
            for instance in 0..<masks.count { #expect(masks.pixelCount(of: instance) >= 60) }
        }
    }

    @Test func writtenFoldersOpenAsDataSets() throws {
        let folder = NSTemporaryDirectory() + "kedge-cells-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try SyntheticCells.write(to: folder, count: 2, side: 64, seed: 9, severity: 1)
        let dataset = try DatasetRegistry.open("folder", DatasetOptions(root: folder))
        #expect(dataset.count == 2 && dataset.id(1) == "cells-0001")
        let sample = try dataset.sample(1)
        let drawn = try SyntheticCells(side: 64, seed: 9, severity: 1).sample(1)
        #expect(sample.image == drawn.image)
        #expect(sample.instances == InstanceMasks(labels: drawn.labels))
        let text = try String(contentsOfFile: folder + "/README.txt", encoding: .utf8)
        #expect(text.contains("seed: 9") && text.contains("severity: 1 of 5"))
    }

    @Test func senselessOptionsAreErrors() {
        #expect(throws: DatasetError.self) { try SyntheticCells(side: 320, seed: 1, severity: 6) }
        #expect(throws: DatasetError.self) { try SyntheticCells(side: 8, seed: 1, severity: 0) }
        #expect(throws: DatasetError.self) {
            try SyntheticCells.write(to: "/dev/null/cells", count: 1, seed: 1, severity: 0)
        }
    }
}
