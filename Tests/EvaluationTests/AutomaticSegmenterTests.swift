import Datasets
import Evaluation
import Foundation
import Imaging
import Kernels
import Machine
import ModelLoading
import SegmentAnything
import Testing

/// Automatic masks from an image to labels and files.
@Suite struct AutomaticSegmenterTests {
    private func mask(_ rows: [String]) -> AutomaticMask {
        let runs = MaskRuns(pixels: rows.joined().map { $0 == "#" }, width: rows[0].count, height: rows.count)
        return AutomaticMask(
            mask: runs, predictedIoU: 0.75, stabilityScore: 0.5, point: (1.5, 0.5),
            crop: PixelBox(x0: 0, y0: 0, x1: rows[0].count, y1: rows.count))
    }

    private var masks: [AutomaticMask] { [mask([".#..", ".#.."]), mask(["###.", "###."]), mask(["...#", "...#"])] }

    @Test func smallerMasksLieOverLargerOnes() throws {
        let labels = try AutomaticMaskRecord.labels(masks, width: 4, height: 2)
        #expect(labels.labels == [2, 1, 2, 3, 2, 1, 2, 3])
    }

    /// The file is read back as COCO annotations, and has what SA-1B's records have.
    @Test func recordsAreReadAsCOCO() throws {
        let path = FileManager.default.temporaryDirectory.path + "/automatic-\(UUID().uuidString).json"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try AutomaticMaskRecord(masks, fileName: "a b.png", width: 4, height: 2).write(to: path)
        #expect(COCOAnnotations.check(path: path).faults.filter { $0.rule.severity == .error } == [])
        let read = try COCOAnnotations(path: path)
        #expect(read.images.map(\.fileName) == ["a b.png"] && read.annotations(ofImage: 0).count == 3)
        #expect(try read.outline(1) == [masks[1].mask.encoding()])
        #expect(read[1].box == Box(x0: 0, y0: 0, x1: 2, y1: 1))
        let root = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: path)))
        let record = try #require(root as? [String: Any])
        let image = try #require(record["image"] as? [String: Any])
        #expect(image["width"] as? Int == 4 && image["height"] as? Int == 2 && image["image_id"] as? Int == 1)
        let annotation = try #require((record["annotations"] as? [[String: Any]])?[1])
        #expect(annotation["bbox"] as? [Int] == [0, 0, 2, 1] && annotation["area"] as? Int == 6)
        #expect(annotation["predicted_iou"] as? Double == 0.75 && annotation["stability_score"] as? Double == 0.5)
        #expect(annotation["crop_box"] as? [Int] == [0, 0, 4, 2] && annotation["id"] as? Int == 2)
        #expect(annotation["point_coords"] as? [[Double]] == [[1.5, 0.5]])
        let segmentation = try #require(annotation["segmentation"] as? [String: Any])
        #expect(segmentation["size"] as? [Int] == [2, 4])
        #expect(segmentation["counts"] as? String == "062")
    }

    @Test func labelsAreTightAndTheSameEveryTime() throws {
        BLASEnvironment.useSingleThread()
        var model = ModelSettings()
        model.kind = .tiny
        let loaded = try LoadedModel(model)
        var settings = AutomaticMaskConfiguration()
        settings.pointsPerSide = 3
        (settings.predictedIoUThreshold, settings.stabilityScoreThreshold) = (-99, 0)
        settings.boxSuppressionThreshold = 1
        let image = Image(
            width: 50, height: 40, channels: 3, pixels: (0..<6000).map { UInt8(truncatingIfNeeded: $0 * $0 / 7) })
        func labels(threads: Int) throws -> [AutomaticSegmenter.Label] {
            try AutomaticSegmenter(loaded, settings: settings, workspace: Workspace(threads: threads)).labels(of: image)
        }
        let found = try labels(threads: 1)
        #expect(!found.isEmpty)
        #expect(found.allSatisfy { $0.mask.width == 50 && $0.mask.height == 40 && $0.mask.box == $0.box })
        #expect(try labels(threads: 2) == found)
    }
}
