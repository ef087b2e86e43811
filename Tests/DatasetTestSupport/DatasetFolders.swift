package import Datasets
import Foundation
import Imaging
package import TestSupport

// Folders of data sets that tests fill.

extension TemporaryFolder {
    /// A folder with empty folders for images and labels.
    package convenience init() throws { try self.init("datasets", folders: ["images", "labels"]) }

    package func addImage(_ name: String, width: Int = 4, height: Int = 3, value: UInt8 = 9) throws {
        let image = Image(width: width, height: height, channels: 3, filledWith: value)
        if name.hasSuffix("png") {
            try image.writePNG(to: path + "/images/" + name)
        } else {
            try image.writeJPEG(to: path + "/images/" + name)
        }
    }

    package func addLabel(_ name: String, width: Int = 4, height: Int = 3, _ values: [Int: UInt16] = [:]) throws {
        var label = LabelImage(width: width, height: height, labels: [UInt16](repeating: 0, count: width * height))
        for (place, value) in values { label.labels[place] = value }
        try label.writePNG(to: path + "/labels/" + name)
    }

    package func open(binarise: UInt8? = nil) throws -> any SegmentationDataset {
        try DatasetRegistry.open("folder", DatasetOptions(root: path, binariseThreshold: binarise))
    }
}

extension TemporaryFolder {
    /// Writes a text below the folder.
    package func addText(_ name: String, _ text: String) throws {
        let url = URL(fileURLWithPath: path + "/" + name)
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: url)
    }

    package func open(
        _ format: String, annotations: String? = nil, binarise: UInt8? = nil,
        rules: DatasetOptions.LabelRules = .corrected
    ) throws -> any SegmentationDataset {
        try DatasetRegistry.open(format, options(annotations: annotations, binarise: binarise, rules: rules))
    }

    package func options(
        annotations: String? = nil, binarise: UInt8? = nil, rules: DatasetOptions.LabelRules = .corrected
    ) -> DatasetOptions {
        DatasetOptions(root: path, binariseThreshold: binarise, annotations: annotations, labelRules: rules)
    }
}
