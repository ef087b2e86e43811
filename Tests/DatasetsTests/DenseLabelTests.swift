import Datasets
import DatasetTestSupport
import Foundation
import Imaging
import Tensors
import Testing
import TestSupport

/// Labels of thousands of instances: nothing holds a bitmap of each.
@Suite struct DenseLabelTests {
    /// A label with `across` times `across` squares of a side, numbered row by row from 1.
    private func tile(across: Int, pitch: Int, side: Int) -> LabelImage {
        let size = across * pitch
        var labels = LabelImage(width: size, height: size, labels: [UInt16](repeating: 0, count: size * size))
        labels.labels.withUnsafeMutableBufferPointer { labels in
            for number in 0..<across * across {
                let (left, top) = (number % across * pitch + 1, number / across * pitch + 1)
                for y in top..<top + side {
                    for x in left..<left + side { labels[y * size + x] = UInt16(number + 1) }
                }
            }
        }
        return labels
    }

    private func folder(_ labels: LabelImage) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try folder.addImage("a.png", width: labels.width, height: labels.height)
        try labels.writePNG(to: folder.path + "/labels/a.png")
        return folder
    }

    /// As bitmaps the masks would take 2 GiB.
    @Test func thousandsOfInstancesAreReadAndChosenFrom() throws {
        let folder = try folder(tile(across: 64, pitch: 32, side: 21))
        let dataset = try folder.open()
        defer { withExtendedLifetime(folder) {} }
        let survey = try dataset.survey(0)
        #expect(survey.instances == 4096 && survey.boxesWithMask == 0)
        let masks = try #require(try dataset.sample(0).instances)
        #expect(masks.count == 4096 && masks.byteCount <= 4096 * 21 * 12)
        #expect(masks.box(of: 65) == Box(x0: 33, y0: 33, x1: 54, y1: 54) && masks.pixelCount(of: 4095) == 441)
        let preparation = ExamplePreparation(
            dataset: dataset, preprocessing: Preprocessing(kind: .sam, side: 256),
            prompts: PromptOptions(kind: .box, maximumInstances: 40), flips: .never, keepsMasks: true, seed: 3)
        let request = SampleRequest(epoch: 0, step: 0, position: 0, sampleIndex: 0)
        let example = try preparation.trainingExample(request)
        // The choice is the head of a permutation of all instances, by the seed alone.
        var generator = SeededGenerator(seed: 3, epoch: 0, sample: 0, purpose: "instance cap")
        let chosen = generator.permutation(4096).prefix(40)
        let corners = try #require(example.prompts.boxes).elements
        for (place, instance) in chosen.enumerated() {
            #expect(corners[4 * place] == Float(instance % 64 * 32 + 1) / 8)
            #expect(corners[4 * place + 1] == Float(instance / 64 * 32 + 1) / 8)
        }
        #expect(example.masks?.count == 40)
        #expect(try preparation.evaluationExample(0).count == 4096)
    }

    /// Values that are scattered over single pixels are brightnesses, however few bytes their masks take.
    @Test func intensityImagesAreStillRefused() throws {
        var labels = tile(across: 1, pitch: 256, side: 1)
        var generator = SeededGenerator(seed: 5, purpose: "intensities")
        for place in labels.labels.indices { labels.labels[place] = UInt16(generator.index(below: 4096)) }
        let folder = try folder(labels)
        let dataset = try folder.open()
        defer { withExtendedLifetime(folder) {} }
        for read in [{ _ = try dataset.sample(0) }, { _ = try dataset.survey(0) }] {
            let error = #expect(throws: DatasetError.self) { try read() }
            #expect(error?.problem.contains("scattered over single pixels") == true)
        }
    }

    /// Any sequence of changes to pixels leaves what the same changes to a plain array leave.
    @Test func runsAgreeWithBitmaps() throws {
        let (width, height) = (13, 7)
        var generator = SeededGenerator(seed: 9, purpose: "pixels")
        var masks = InstanceMasks(count: 3, width: width, height: height)
        var plain = [[UInt8]](repeating: [UInt8](repeating: 0, count: width * height), count: 3)
        for _ in 0..<4000 {
            let (instance, x, y) = (
                generator.index(below: 3), generator.index(below: width), generator.index(below: height)
            )
            let value = generator.chance(0.6)
            masks[instance, x: x, y: y] = value
            plain[instance][y * width + x] = value ? 1 : 0
        }
        #expect(masks.bitmaps == plain.flatMap { $0 })
        for instance in 0..<3 {
            for place in plain[instance].indices {
                let isSet = masks[instance, x: place % width, y: place / width]
                #expect(isSet == (plain[instance][place] == 1))
            }
            // The same mask made of columns is equal, so that runs have one form.
            let encoding = try masks.runLengthEncoding(of: instance)
            #expect(try InstanceMasks([encoding], width: width, height: height) == masks.selecting([instance]))
            let image = Image(width: width, height: height, channels: 1, pixels: plain[instance])
            for flip in Flip.allCases {
                #expect(masks.flipped(flip).bitmap(of: instance) == image.flipped(flip).pixels)
            }
        }
    }

    @Test func piecesOfMasks() {
        let rows = ["1.1..222", ".1...2.2", "...1.222", "3......."]
        let labels = LabelImage(
            width: 8, height: 4, labels: rows.joined().map { UInt16($0.wholeNumberValue ?? 0) })
        let masks = InstanceMasks(labels: labels)
        #expect(masks.pieces(of: 0).sorted() == [1, 3] && masks.pieces(of: 1) == [8] && masks.pieces(of: 2) == [1])
        #expect(masks.pieceCount == 4)
        #expect(masks.rim() == nil)
        let outlined = LabelImage(width: 5, height: 3, labels: [2, 2, 2, 2, 0, 2, 1, 1, 2, 0, 2, 2, 2, 2, 0])
        #expect(InstanceMasks(labels: outlined).rim() == nil, "the rim is far larger than what it surrounds")
        let larger = LabelImage(
            width: 6, height: 5,
            labels: [2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 2, 2, 1, 1, 1, 1, 2, 2, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2])
        #expect(InstanceMasks(labels: larger).rim() == 1)
    }
}
