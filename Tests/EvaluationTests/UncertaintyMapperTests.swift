import Datasets
import Evaluation
import Foundation
import Imaging
import Kernels
import Machine
import ModelLoading
import Recipes
import SegmentAnything
import Testing

/// Maps of pseudo-masks, from an image to bytes.
@Suite struct UncertaintyMapperTests {
    private let loaded: LoadedModel
    private let image: Image
    private let labels: [AutomaticSegmenter.Label]

    init() throws {
        BLASEnvironment.useSingleThread()
        var model = ModelSettings()
        model.kind = .tiny
        loaded = try LoadedModel(model)
        // Not square, so that part of the model's square is padding.
        image = Image(
            width: 48, height: 32, channels: 3,
            pixels: (0..<48 * 32 * 3).map { UInt8(truncatingIfNeeded: $0 / 3 % 48 * 5 + $0 / 144 * 3) })
        var settings = AutomaticMaskConfiguration()
        (settings.pointsPerSide, settings.predictedIoUThreshold, settings.stabilityScoreThreshold) = (3, -99, 0)
        settings.boxSuppressionThreshold = 1
        labels = try AutomaticSegmenter(loaded, settings: settings, workspace: Workspace(threads: 1)).labels(of: image)
    }

    private func maps(_ comparison: UncertaintyMapper.Comparison, threads: Int = 1) throws -> PseudoMaps {
        try UncertaintyMapper(loaded, by: comparison, workspace: Workspace(threads: threads)).maps(
            of: image, labels.compactMap(\.origin))
    }

    /// Whether each pixel of the image belongs to a label, row by row.
    private func pixels(of label: AutomaticSegmenter.Label) -> [Bool] {
        let columns = label.mask.counts.enumerated().flatMap { place, count in
            [Bool](repeating: place % 2 == 1, count: Int(count))
        }
        return (0..<image.width * image.height).map {
            columns[$0 % image.width * image.height + $0 / image.width]
        }
    }

    /// The same by the nearest cell of a map.
    private func pixels(of mask: Int, in maps: PseudoMaps) -> [Bool] {
        let frame = loaded.preprocessing.frame(width: image.width, height: image.height)
        let scale = Double(frame.resizedWidth) / Double(image.width) * Double(maps.side) / Double(frame.side)
        return (0..<image.width * image.height).map { place in
            let column = Int((Double(place % image.width) + 0.5) * scale)
            let row = Int((Double(place / image.width) + 0.5) * scale)
            return maps.probability[(mask * maps.side + row) * maps.side + column] > 127
        }
    }

    /// What a mask was decoded from gives the same mask again: no other map is nearer to a label than its own, but for the
    /// rounding of cells, in which masks of noise that are all alike may change places.
    @Test func masksAreDecodedAgain() throws {
        let maps = try maps(.confidence)
        #expect(labels.count > 3 && maps.count == labels.count && maps.side == 4 * loaded.model.encoder.embeddingSide)
        let enlarged = labels.indices.map { pixels(of: $0, in: maps) }
        var nearest = 0
        for (index, label) in labels.enumerated() {
            let truth = pixels(of: label)
            let overlaps = enlarged.map { mask -> Double in
                let both = zip(mask, truth).count { $0 && $1 }
                return Double(both) / Double(max(zip(mask, truth).count { $0 || $1 }, 1))
            }
            let best = overlaps.max() ?? 0
            #expect(overlaps[index] >= best - 0.02, "mask \(index): \(overlaps)")
            if overlaps[index] == best { nearest += 1 }
        }
        #expect(4 * nearest >= 3 * labels.count, "\(nearest) of \(labels.count)")
    }

    @Test func comparisonsAreWhatTheySay() throws {
        let own = try maps(.confidence)
        for (s, r) in zip(own.probability, own.refined) {
            // A logit of just above 0 rounds to 128.
            #expect(r == (s > 127 ? 255 : 0))
        }
        let boxes = try maps(.discrepancy)
        #expect(boxes.probability == own.probability && boxes.refined != own.refined)
        #expect(try maps(.discrepancy, threads: 3) == boxes, "the same with any threads")
        let values = UncertaintyMapper(loaded, by: .discrepancy, workspace: Workspace(threads: 1)).uncertainty(
            of: boxes, width: image.width, height: image.height)
        #expect(values.count == image.width * image.height)
        #expect(values.allSatisfy { (0...1).contains($0) } && values.contains { $0 > 0 })
    }

    @Test func originsAreCheckedWhenRead() throws {
        let box = MaskOrigin(box: Box(x0: 1, y0: 2, x1: 30, y1: 20), points: [], candidate: nil)
        #expect(box.isWhole)
        let json = Data(#"{"box":[1,2,3],"points":[]}"#.utf8)
        #expect(try !JSONDecoder().decode(MaskOrigin.self, from: json).isWhole)
        let other = Data(#"{"points":[[1,2,1]],"candidate":3}"#.utf8)
        #expect(try !JSONDecoder().decode(MaskOrigin.self, from: other).isWhole)
        #expect(MaskOrigin(box: nil, points: [], candidate: nil).isWhole == false)
        #expect(try JSONDecoder().decode(MaskOrigin.self, from: JSONEncoder().encode(box)) == box)
    }
}
