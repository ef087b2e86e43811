import Datasets
import Evaluation
import Foundation
import Imaging

/// The masks the anchor found in one image, stored as a file of the run.
struct AutomaticLabels: Codable, Equatable {
    /// The inputs of the labels: base weights, preprocessing, settings and image. Labels with other inputs are
    /// regenerated.
    var identity: String
    /// Width of the image.
    var width: Int
    /// Height of the image.
    var height: Int
    /// Tight boxes, as x0, y0, x1 and y1. // n x 4
    var boxes: [[Double]]
    /// Masks in COCO's compressed text form. // n
    var masks: [String]
    /// What each was decoded from; nil in files of earlier versions. // n
    var origins: [MaskOrigin]?

    /// Converts labels to the stored form.
    init(_ labels: [AutomaticSegmenter.Label], identity: String, width: Int, height: Int) {
        (self.identity, self.width, self.height) = (identity, width, height)
        boxes = labels.map { [$0.box.x0, $0.box.y0, $0.box.x1, $0.box.y1] }
        masks = labels.map(\.mask.compressed)
        let known = labels.compactMap(\.origin)
        origins = known.count == labels.count ? known : nil
    }

    /// Whether a file holds labels of another identity.
    static func isForeign(path: String, identity: String) -> Bool {
        guard let data = FileManager.default.contents(atPath: path),
            let labels = try? JSONDecoder().decode(Self.self, from: data)
        else { return false }
        return labels.identity != identity
    }

    /// Reads a file; nil if it is missing, damaged, or holds labels of another identity.
    init?(path: String, identity: String) {
        guard let data = FileManager.default.contents(atPath: path),
            let labels = try? JSONDecoder().decode(Self.self, from: data), labels.identity == identity,
            labels.boxes.count == labels.masks.count, labels.boxes.allSatisfy({ $0.count == 4 }),
            labels.width > 0, labels.height > 0,
            labels.origins.map({ $0.count == labels.masks.count && $0.allSatisfy(\.isWhole) }) ?? true
        else { return nil }
        self = labels
    }

    /// Writes the file atomically. Throws `ImagingError`.
    func write(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        try ImageFile.write(Array(try encoder.encode(self)), to: path)
    }

    /// The image with these labels instead of its own. Throws `ShapeFault` for invalid masks.
    func sample(_ id: String, _ image: Image) throws -> Sample {
        let encodings = try masks.map { try RunLengthEncoding(compressed: $0, width: width, height: height) }
        return Sample(
            id: id, image: image, instances: try InstanceMasks(encodings, width: width, height: height),
            boxes: boxes.map { Box(x0: $0[0], y0: $0[1], x1: $0[2], y1: $0[3]) })
    }
}

/// A data set whose labels were found by the anchor and are stored in files of the run.
struct AutomaticDataset: SegmentationDataset {
    let base: any SegmentationDataset
    /// The folder of the files.
    let folder: String
    /// The inputs of the labels besides the image.
    let identity: String
    /// Whether labels are of use only if it is known what they were decoded from.
    var needsOrigins = false

    var count: Int { base.count }
    func id(_ index: Int) -> String { base.id(index) }
    func image(_ index: Int) throws -> Image { try base.image(index) }
    func fingerprint(_ index: Int) -> String { base.fingerprint(index) }

    /// The identity of an image's labels.
    func identity(_ index: Int) -> String { identity + " " + base.fingerprint(index) }

    /// The file of an image.
    func path(_ index: Int) -> String { folder + "/" + String(format: "%06d", index + 1) + ".json" }

    func sample(_ index: Int) throws -> Sample {
        let image = try base.image(index)
        let labels = try labels(index)
        guard labels.width == image.width, labels.height == image.height else {
            throw gone(index, "is for another image")
        }
        do { return try labels.sample(base.id(index), image) } catch is ShapeFault { throw gone(index, "is damaged") }
    }

    func survey(_ index: Int) throws -> ImageSurvey {
        ImageSurvey(instances: try labels(index).masks.count, kinds: [.masks, .boxes])
    }

    /// The labels of an image, if they are made and whole.
    func stored(_ index: Int) -> AutomaticLabels? {
        guard let labels = AutomaticLabels(path: path(index), identity: identity(index)) else { return nil }
        return needsOrigins && labels.origins == nil ? nil : labels
    }

    /// The labels of an image. Throws `DatasetError` where they are missing.
    func labels(_ index: Int) throws -> AutomaticLabels {
        if let labels = stored(index) { return labels }
        // An image that cannot be read has no labels; its own error is more specific.
        _ = try base.image(index)
        throw gone(index, "is missing or damaged")
    }

    private func gone(_ index: Int, _ what: String) -> DatasetError {
        DatasetError(
            .unreadableFile, at: path(index), what, remedy: "repeat the same command, which recreates it")
    }
}
