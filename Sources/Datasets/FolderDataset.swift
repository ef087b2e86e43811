import Foundation
import Imaging

/// The plain layout: `images/` with PNG or JPEG files and a folder of label files with the same stems.
///
/// A label file is a PNG of instance numbers (8 or 16 bits, grey or palette indices, 0 is background), or with
/// `binariseThreshold` any image whose first channel above the threshold is one instance (Kvasir-SEG: `masks`, 127).
/// Images are ordered by file name, compared by Unicode scalars. Label files without an image are ignored.
public struct FolderDataset: SegmentationDataset {
    /// One image with its label.
    private struct Entry: Sendable {
        let id: String
        let image: String
        let label: String
    }

    private let entries: [Entry]
    private let binariseThreshold: UInt8?
    private let exif: ImageFile.ExifOrientation

    /// Lists the folder without reading the files.
    ///
    /// Throws `DatasetError` if a folder or a label is missing, two files share a stem, or there is no image.
    public init(_ options: DatasetOptions) throws {
        (binariseThreshold, exif) = (options.binariseThreshold, options.exif)
        let imagesFolder = options.root + "/" + options.imagesFolder
        let labelsFolder = options.root + "/" + options.labelsFolder
        let images = try Self.files(in: imagesFolder, extensions: ["png", "jpg", "jpeg"])
        guard !images.isEmpty else {
            throw DatasetError(
                .emptyDataset, at: imagesFolder, "holds no PNG or JPEG file", remedy: "put the images there")
        }
        let labelExtensions = options.binariseThreshold == nil ? ["png"] : ["png", "jpg", "jpeg"]
        var labels: [String: String] = [:]
        for name in try Self.files(in: labelsFolder, extensions: labelExtensions) {
            if let other = labels.updateValue(name, forKey: Self.stem(name)) {
                throw DatasetError(
                    .ambiguousName, at: labelsFolder + "/" + name, "\(other) is a label for the same image",
                    remedy: "remove one of the two")
            }
        }
        var previous: [String: String] = [:]
        entries = try images.map { name in
            let stem = Self.stem(name)
            if let other = previous.updateValue(name, forKey: stem) {
                throw DatasetError(
                    .ambiguousName, at: imagesFolder + "/" + name, "\(other) has the same stem",
                    remedy: "rename one of the two and its label")
            }
            guard let label = labels[stem] else {
                throw DatasetError(
                    .missingLabel, at: imagesFolder + "/" + name,
                    "has no label \(stem).\(labelExtensions.joined(separator: "|")) in \(labelsFolder)",
                    remedy: "add the label (all zeros if there is no instance) or remove the image")
            }
            return Entry(id: stem, image: imagesFolder + "/" + name, label: labelsFolder + "/" + label)
        }
    }

    public var count: Int { entries.count }

    public func id(_ index: Int) -> String { entries[index].id }

    public func sample(_ index: Int) throws -> Sample {
        let entry = entries[index]
        let image = try Self.reading(entry.image) { try ImageFile.decode(path: entry.image, exif: exif) }
        let masks = try masks(of: entry)
        guard masks.width == image.width && masks.height == image.height else {
            throw DatasetError(
                .sizeMismatch, at: entry.label,
                "is \(masks.width)x\(masks.height) but its image is \(image.width)x\(image.height)",
                remedy: "make the label as large as \(entry.image)")
        }
        return Sample(id: entry.id, image: image.rgb(), instances: masks)
    }

    public func instanceCount(_ index: Int) throws -> Int { try masks(of: entries[index]).count }

    private func masks(of entry: Entry) throws -> InstanceMasks {
        try Self.reading(entry.label) {
            if let threshold = binariseThreshold {
                return InstanceMasks(try ImageFile.decode(path: entry.label), above: threshold)
            }
            let labels = try LabelFile.decode(path: entry.label)
            let distinct = InstanceMasks.distinctLabels(labels)
            let bytes = distinct * labels.width * labels.height / 8
            guard bytes <= Self.maskByteLimit else {
                throw DatasetError(
                    .unreadableFile, at: entry.label,
                    "holds \(distinct) different values, which would take \(bytes >> 20) MiB of masks",
                    remedy: "give instance numbers, or set data.binarise for an intensity image")
            }
            return InstanceMasks(labels: labels)
        }
    }

    /// Bytes that the masks of one image may take.
    private static let maskByteLimit = 1 << 30

    /// Runs a decoder and names its file in the error if it fails.
    private static func reading<Result>(_ path: String, _ decode: () throws -> Result) throws -> Result {
        do {
            return try decode()
        } catch let error as ImagingError {
            throw DatasetError(.unreadableFile, at: path, error.cause, remedy: error.remedy)
        }
    }

    /// The visible files of a folder with one of the extensions, in order of their names.
    private static func files(in folder: String, extensions: [String]) throws -> [String] {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: folder)
        } catch {
            throw DatasetError(
                .missingFolder, at: folder, "cannot be listed", remedy: "check the path, the layout and its permissions"
            )
        }
        return
            names
            .filter { !$0.hasPrefix(".") && extensions.contains(fileExtension($0)) }
            .sorted { $0.unicodeScalars.lexicographicallyPrecedes($1.unicodeScalars) }
    }

    private static func fileExtension(_ name: String) -> String {
        name.split(separator: ".", omittingEmptySubsequences: false).last.map { $0.lowercased() } ?? ""
    }

    private static func stem(_ name: String) -> String {
        name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name
    }
}
