import Datasets
import Foundation
import Imaging
import Tensors
import Testing

/// One image with one mask of two parts, or with annotated outlines.
private struct ShapeDataset: SegmentationDataset {
    var sampleToGive: Sample
    var count: Int { 1 }

    func id(_ index: Int) -> String { "shape" }
    func sample(_ index: Int) throws -> Sample { sampleToGive }
}

@Suite struct CoarsePromptTests {
    private static let image = Image(
        width: 64, height: 48, channels: 3, pixels: [UInt8](repeating: 90, count: 64 * 48 * 3))

    private func mask(_ isSet: (Int, Int) -> Bool) -> InstanceMasks {
        var masks = InstanceMasks(count: 1, width: 64, height: 48)
        for y in 0..<48 {
            for x in 0..<64 where isSet(x, y) { masks[0, x: x, y: y] = true }
        }
        return masks
    }

    private func prompts(_ sample: Sample, _ options: PromptOptions, side: Int = 64) throws -> Prompts {
        let preparation = ExamplePreparation(
            dataset: ShapeDataset(sampleToGive: sample), preprocessing: Preprocessing(kind: .sam, side: side),
            prompts: options, seed: 1)
        return try preparation.evaluationExample(0).prompts[0]
    }

    /// Borders, simplifications and tolerances as computed by OpenCV 5 for masks of one outer part.
    @Test func outlinesAreThoseOfTheReferenceAlgorithm() throws {
        let file = try #require(
            Bundle.module.url(forResource: "outlines", withExtension: "txt", subdirectory: "Fixtures"))
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 60)
        for line in lines {
            let fields = line.split(separator: " ")
            let (width, height) = (try #require(Int(fields[0])), try #require(Int(fields[1])))
            let (tolerance, perimeter) = (try #require(Double(fields[2])), try #require(Double(fields[3])))
            func corners(_ text: Substring) -> [OutlinePixel] {
                text.split(separator: ",").map { pair in
                    let numbers = pair.split(separator: ":").compactMap { Int($0) }
                    return OutlinePixel(x: numbers[0], y: numbers[1])
                }
            }
            let mask = fields[4].utf8.map { UInt8($0 - 48) }
            let outline = Outline.ofLargestPart(mask, width: width, height: height)
            #expect(outline == corners(fields[5]))
            #expect(abs(Outline.perimeter(outline) - perimeter) < 1e-3 * perimeter + 1e-9)
            #expect(Outline.simplified(outline, tolerance: tolerance) == corners(fields[6]))
        }
    }

    @Test func theLargestPartCounts() {
        let (width, height) = (9, 4)
        let mask: [UInt8] = [
            1, 0, 0, 0, 0, 1, 1, 1, 0,
            0, 0, 0, 0, 0, 1, 1, 1, 0,
            0, 1, 1, 0, 0, 0, 0, 0, 0,
            0, 1, 1, 0, 0, 0, 0, 0, 0,
        ]
        let outline = Outline.ofLargestPart(mask, width: width, height: height)
        #expect(Set(outline.map { [$0.x, $0.y] }) == [[5, 0], [5, 1], [7, 1], [7, 0]])
        #expect(Outline.ofLargestPart([0, 0], width: 2, height: 1) == [])
        #expect(Outline.ofLargestPart([0, 1], width: 2, height: 1) == [OutlinePixel(x: 1, y: 0)])
    }

    @Test func aCoarseBoxGoesThroughThePixelsOfTheRim() throws {
        let sample = Sample(
            id: "a", image: Self.image, instances: mask { (10..<50).contains($0) && (8..<40).contains($1) })
        let made = try prompts(sample, PromptOptions(kind: .coarse))
        #expect(made.kind == .coarse && made.masks == nil)
        #expect(made.boxes?.elements == [10, 8, 49, 39])
        // A line is too thin for an outline: its tight rectangle.
        let line = Sample(id: "b", image: Self.image, instances: mask { (10..<50).contains($0) && $1 == 8 })
        #expect(try prompts(line, PromptOptions(kind: .coarse)).boxes?.elements == [10, 8, 50, 9])
    }

    @Test func aCoarseMaskFillsTheOutline() throws {
        let isSet = { (x: Int, y: Int) in (x - 30) * (x - 30) + (y - 24) * (y - 24) <= 400 }
        let sample = Sample(id: "a", image: Self.image, instances: mask(isSet))
        let made = try prompts(sample, PromptOptions(kind: .coarse, coarse: .mask, maskSide: 32), side: 128)
        let grid = try #require(made.masks)
        #expect(grid.shape == [1, 32, 32] && made.boxes == nil && made.count == 1)
        let values = grid.elements
        #expect(Set(values) == [10, -10])
        // The frame is twice the image and a cell four frame pixels: two image pixels a cell, rows below 24 are padding.
        #expect(values[(24 * 32)...].allSatisfy { $0 == -10 })
        var (both, either) = (0, 0)
        for row in 0..<24 {
            for column in 0..<32 {
                let (drawn, full) = (values[row * 32 + column] > 0, isSet(2 * column + 1, 2 * row + 1))
                both += drawn && full ? 1 : 0
                either += drawn || full ? 1 : 0
            }
        }
        #expect(Double(both) / Double(either) > 0.5 && both < either, "coarse, but not far off")
    }

    @Test func annotationsAreTakenWithoutALookAtMasks() throws {
        let polygon = Polygon(vertices: [.init(x: 4, y: 6), .init(x: 20, y: 6), .init(x: 12, y: 30)])
        let points = [LabelledPoint(x: 12, y: 9, isForeground: true), LabelledPoint(x: 40, y: 40, isForeground: false)]
        let sample = Sample(
            id: "a", image: Self.image, instances: mask { $0 > 50 && $1 > 40 }, points: [points], polygons: [polygon])
        func made(_ kind: PromptKind, _ source: PromptSource) throws -> Prompts {
            try prompts(sample, PromptOptions(kind: kind, source: source))
        }
        #expect(try made(.box, .annotations).boxes?.elements == [4, 6, 20, 30])
        #expect(try made(.coarse, .annotations).boxes?.elements == [4, 6, 20, 30])
        #expect(try made(.point, .annotations).points?.elements == [12, 9, 40, 40])
        #expect(try made(.box, .simulated).boxes?.elements == [51, 41, 64, 48])
        #expect(try made(.point, .simulated).points?.shape == [1, 10, 2])
        let bare = Sample(id: "b", image: Self.image, instances: mask { $0 > 50 && $1 > 40 })
        for kind in PromptKind.allCases {
            #expect(throws: DatasetError.self) { try prompts(bare, PromptOptions(kind: kind, source: .annotations)) }
        }
    }
}
