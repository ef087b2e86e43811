import Foundation
import Imaging
import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport

/// The automatic mask generator against the official one, on the small model with scaled weights
/// (Fixtures/generate_automatic_masks.py).
@Suite struct GoldenAutomaticMaskTests {
    struct Fixture: Decodable {
        struct Mask: Decodable {
            let counts: [UInt32]
            let area: Int
            let bbox: [Int]
            let predicted_iou: Float
            let stability_score: Float
            let point: [Double]
            let crop_box: [Int]
        }
        struct Arguments: Decodable {
            let points_per_side: Int
            let points_per_batch: Int?
            let pred_iou_thresh: Double
            let stability_score_thresh: Double
            let stability_score_offset: Double
            let box_nms_thresh: Double?
            let crop_n_layers: Int?
            let crop_n_points_downscale_factor: Int?
            let min_mask_region_area: Int?

            var configuration: AutomaticMaskConfiguration {
                var settings = AutomaticMaskConfiguration()
                settings.pointsPerSide = points_per_side
                settings.pointsPerBatch = points_per_batch ?? settings.pointsPerBatch
                settings.predictedIoUThreshold = pred_iou_thresh
                settings.stabilityScoreThreshold = stability_score_thresh
                settings.stabilityScoreOffset = stability_score_offset
                settings.boxSuppressionThreshold = box_nms_thresh ?? settings.boxSuppressionThreshold
                settings.cropLayers = crop_n_layers ?? 0
                settings.cropPointsDownscaleFactor = crop_n_points_downscale_factor ?? 1
                settings.minimumRegionArea = min_mask_region_area ?? 0
                return settings
            }
        }
        struct Case: Decodable {
            let name: String
            let image: [Int]
            let arguments: Arguments
            let masks: [Mask]
        }
        let scales: [String: Float]
        let cases: [Case]

        static func load() throws -> Fixture {
            try JSONDecoder().decode(Fixture.self, from: try golden().files.data(reference))
        }
    }

    private static let reference = "automatic_masks.json"

    /// The small model, from the folder of the masks that were found with it.
    private static func golden() throws -> GoldenModel { try GoldenModel(with: [reference]) }

    /// That model with weights scaled as for the reference.
    private func model(_ scales: [String: Float]) throws -> SegmentAnythingModel {
        let golden = try Self.golden()
        var weights = try golden.weights()
        for (name, scale) in scales {
            let tensor = try #require(weights[name], "\(name)")
            weights[name] = Tensor(tensor.elements.map { $0 * scale }, tensor.shape)
        }
        func edit(_ name: String, _ change: (inout [Float], Shape) -> Void) throws {
            let tensor = try #require(weights["mask_decoder." + name])
            var elements = tensor.elements
            change(&elements, tensor.shape)
            weights["mask_decoder." + name] = Tensor(elements, tensor.shape)
        }
        for layer in [0, 3] {
            try edit("output_upscaling.\(layer).weight") { elements, _ in
                for index in elements.indices { elements[index] = elements[index / 4 * 4] }
            }
        }
        try edit("output_upscaling.3.weight") { elements, shape in
            for input in 0..<shape[0] {
                for part in 0..<4 { elements[input * shape[1] * 4 + part] = 0 }
            }
        }
        try edit("output_upscaling.3.bias") { elements, _ in elements[0] = 1 }
        for mask in 0..<4 {
            let last = "output_hypernetworks_mlps.\(mask).layers.2."
            try edit(last + "weight") { elements, shape in
                for index in 0..<shape[1] { elements[index] = 0 }
            }
            try edit(last + "bias") { elements, _ in elements[0] = -1 }
        }
        return SegmentAnythingModel(golden.configuration, ParameterStore(weights))
    }

    /// The image of the script.
    private func picture(_ width: Int, _ height: Int) -> Image {
        let pixels = (0..<width * height * 3).map { index -> UInt8 in
            let (x, y, c) = (index / 3 % width, index / 3 / width, index % 3)
            let block = x / 23 * 5 + y / 19 * 3
            return UInt8((block * (37 + 20 * c) + (x * (c + 1) + y * (3 - c)) % 7 * 6) % 256)
        }
        return Image(width: width, height: height, channels: 3, pixels: pixels)
    }

    /// SAM's preparation of a part of an image.
    private func prepared(
        _ image: Image, _ crop: PixelBox, side: Int
    ) -> AutomaticMaskGenerator.PreparedCrop {
        let part = image.cropped(x: crop.x0, y: crop.y0, width: crop.width, height: crop.height)
        let frame = MaskFrame(side: side, originalWidth: part.width, originalHeight: part.height)
        let resized = Resize.bilinear(part, width: frame.width, height: frame.height)
        let (mean, deviation): ([Float], [Float]) = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
        var elements = [Float](repeating: 0, count: side * side * 3)
        for (index, value) in resized.pixels.enumerated() {
            let (row, rest) = index.quotientAndRemainder(dividingBy: frame.width * 3)
            elements[row * side * 3 + rest] = (Float(value) - mean[rest % 3]) / deviation[rest % 3]
        }
        return .init(input: Tensor(elements, [side, side, 3]), frame: frame)
    }

    private func masks(
        _ fixture: Fixture, _ sample: Fixture.Case, threads: Int, batch: Int? = nil
    ) throws -> [AutomaticMask] {
        let model = try model(fixture.scales)
        var configuration = sample.arguments.configuration
        configuration.pointsPerBatch = batch ?? configuration.pointsPerBatch
        let generator = try AutomaticMaskGenerator(model, configuration: configuration)
        let image = picture(sample.image[0], sample.image[1])
        return try generator.masks(
            width: image.width, height: image.height, in: PassContext(Workspace(threads: threads))
        ) { prepared(image, $0, side: model.encoder.imageSize) }
    }

    @Test(arguments: 0..<4) func sameMasksInTheSameOrder(_ index: Int) throws {
        let fixture = try Fixture.load()
        try #require(fixture.cases.count > index)
        let sample = fixture.cases[index]
        let found = try masks(fixture, sample, threads: 2)
        try #require(found.count == sample.masks.count, "\(sample.name)")
        #expect(sample.masks.count >= 7)
        for (number, (mask, expected)) in zip(found, sample.masks).enumerated() {
            let label: Comment = "\(sample.name), mask \(number)"
            let pixels = mask.mask.pixels
            let theirs = unpacked(expected.counts, width: mask.mask.width, height: mask.mask.height)
            let different = zip(pixels, theirs).reduce(0) { $0 + ($1.0 == $1.1 ? 0 : 1) }
            // A pixel at the rim may change sides by rounding.
            #expect(different <= 2 && abs(mask.mask.area - expected.area) <= 2, label)
            let box = [mask.extents.x0, mask.extents.y0, mask.extents.width, mask.extents.height]
            #expect(different > 0 || box == expected.bbox, label)
            #expect(abs(mask.predictedIoU - expected.predicted_iou) < 1e-3, label)
            #expect(abs(mask.stabilityScore - expected.stability_score) < 0.02, label)
            #expect(abs(mask.point.x - expected.point[0]) < 1e-5 && abs(mask.point.y - expected.point[1]) < 1e-5, label)
            #expect(
                [mask.crop.x0, mask.crop.y0, mask.crop.width, mask.crop.height] == expected.crop_box, label)
        }
    }

    @Test func threadsChangeNothing() throws {
        let fixture = try Fixture.load()
        for sample in fixture.cases.suffix(2) {
            let (one, three) = (try masks(fixture, sample, threads: 1), try masks(fixture, sample, threads: 3))
            #expect(one.map(\.mask) == three.map(\.mask))
            #expect(one.map(\.predictedIoU) == three.map(\.predictedIoU))
            #expect(one.map(\.stabilityScore) == three.map(\.stabilityScore))
        }
    }

    @Test func batchesChangeNoMask() throws {
        let fixture = try Fixture.load()
        let sample = try #require(fixture.cases.first)
        let (few, all) = (
            try masks(fixture, sample, threads: 2, batch: 3), try masks(fixture, sample, threads: 2, batch: 100)
        )
        #expect(few.map(\.extents) == all.map(\.extents))
        #expect(few.map(\.point.x) == all.map(\.point.x) && few.map(\.point.y) == all.map(\.point.y))
    }

    @Test func settingsThatMeanNothingAreRefused() throws {
        let model = try model([:])
        for change: @Sendable (inout AutomaticMaskConfiguration) -> Void in [
            { $0.pointsPerSide = 0 }, { $0.pointsPerBatch = 0 }, { $0.cropLayers = 4 }, { $0.cropLayers = -1 },
            { $0.cropOverlapRatio = .nan }, { $0.minimumRegionArea = -1 }, { $0.boxSuppressionThreshold = .infinity },
            { $0.stabilityScoreOffset = -1 }, { $0.cropPointsDownscaleFactor = 0 },
            {
                ($0.pointsPerSide, $0.cropLayers, $0.cropPointsDownscaleFactor) = (3, 2, 2)
            },
        ] {
            var settings = AutomaticMaskConfiguration()
            change(&settings)
            do {
                _ = try AutomaticMaskGenerator(model, configuration: settings)
                Issue.record("\(settings) was accepted")
            } catch {
                #expect(error.kind == .settings)
            }
        }
    }

    private func unpacked(_ counts: [UInt32], width: Int, height: Int) -> [Bool] {
        var pixels = [Bool](repeating: false, count: width * height)
        var position = 0
        for (index, count) in counts.enumerated() {
            for place in position..<position + Int(count) where index % 2 == 1 {
                pixels[place % height * width + place / height] = true
            }
            position += Int(count)
        }
        return pixels
    }
}
