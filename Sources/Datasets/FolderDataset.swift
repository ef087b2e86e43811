import Foundation
import Imaging

/// The plain layout: `images/` with PNG or JPEG files and a folder of label files with the same stems.
///
/// A label file is a PNG of instance numbers (8 or 16 bits, grey or palette indices, 0 is background), or with
/// `binariseThreshold` any image whose first channel above the threshold is one instance (Kvasir-SEG: `masks`, 127).
/// Images are ordered by file name, compared by Unicode scalars. Label files without an image are ignored. Symbolic links
/// are followed as long as they stay below the root, and out of it where the options say so.
public struct FolderDataset: SegmentationDataset {
    /// One image with its label.
    private struct Entry: Sendable {
        let id: String
        let image: String
        /// Nil where there is none.
        let label: String?
    }

    private let entries: [Entry]
    private let file: DatasetFile
    /// What labels are called, for messages.
    private let labelPattern: String
    private let binariseThreshold: UInt8?
    private let exif: ImageFile.ExifOrientation

    /// Lists the folder without reading the files.
    ///
    /// Throws `DatasetError` if a folder is missing, two files share a stem, or there is no image.
    public init(_ options: DatasetOptions) throws { try self.init(options, retry: .standard) }

    /// `init(_:)` with another rule for errors that may pass.
    package init(_ options: DatasetOptions, retry: ReadRetry) throws {
        (binariseThreshold, exif) = (options.binariseThreshold, options.exif)
        file = DatasetFile(
            realRoot: DatasetFile.realPath(options.root) ?? options.root, followsSymlinks: options.followsSymlinks,
            retry: retry)
        let imagesFolder = try Self.folder(options.imagesFolder, key: "data.images", options, file)
        let labelsFolder = try Self.folder(options.labelsFolder, key: "data.labels", options, file)
        let images = try Self.files(in: imagesFolder, extensions: ["png", "jpg", "jpeg"])
        let labelExtensions = options.binariseThreshold == nil ? ["png"] : ["png", "jpg", "jpeg"]
        guard !images.isEmpty else {
            throw DatasetError(
                .emptyDataset, at: imagesFolder, "holds no PNG or JPEG file", remedy: "put the images there")
        }
        labelPattern = labelsFolder + "/NAME." + labelExtensions.joined(separator: "|")
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
            return Entry(
                id: stem, image: imagesFolder + "/" + name, label: labels[stem].map { labelsFolder + "/" + $0 })
        }
    }

    public var count: Int { entries.count }

    public func id(_ index: Int) -> String { entries[index].id }

    public func sample(_ index: Int) throws -> Sample {
        let entry = entries[index]
        let image = try file.reading(entry.image) {
            try ImageFile.decode(path: $0, exif: exif, followingLinks: false)
        }
        let masks = try masks(of: entry, width: image.width, height: image.height)
        return Sample(id: entry.id, image: image.rgb(), instances: masks)
    }

    public func instanceCount(_ index: Int) throws -> Int {
        let entry = entries[index]
        let size = try file.reading(entry.image) {
            try ImageFile.size(path: $0, exif: exif, followingLinks: false)
        }
        return try masks(of: entry, width: size.width, height: size.height).count
    }

    /// The image's name and the sizes of its two files in bytes, as in `cells-0001 20133+410`.
    public func fingerprint(_ index: Int) -> String {
        let entry = entries[index]
        let sizes = [entry.image, entry.label].map { $0.flatMap(DatasetFile.byteCount).map(String.init) ?? "-" }
        return entry.id + " " + sizes.joined(separator: "+")
    }

    /// The masks of an image of this size.
    private func masks(of entry: Entry, width: Int, height: Int) throws -> InstanceMasks {
        guard let label = entry.label else {
            throw DatasetError(
                .missingLabel, at: entry.image, "has no label \(labelPattern.replacing("NAME", with: entry.id))",
                remedy: "add the label (all zeros if there is no instance) or remove the image")
        }
        let masks = try masks(in: label)
        guard masks.width == width && masks.height == height else {
            throw DatasetError(
                .sizeMismatch, at: label,
                "is \(masks.width)x\(masks.height) but its image is \(width)x\(height)",
                remedy: "make the label as large as \(entry.image)")
        }
        return masks
    }

    private func masks(in label: String) throws -> InstanceMasks {
        try file.reading(label) { path in
            if let threshold = binariseThreshold {
                return InstanceMasks(
                    try ImageFile.decode(path: path, followingLinks: false), above: threshold)
            }
            let labels = try LabelFile.decode(path: path, followingLinks: false)
            let distinct = InstanceMasks.distinctLabels(labels)
            let bytes = InstanceMasks.byteCount(count: distinct, width: labels.width, height: labels.height)
            guard bytes <= Self.maskByteLimit else {
                throw DatasetError(
                    .unreadableFile, at: label,
                    "holds \(distinct) different values, which would take \(bytes >> 20) MiB of masks",
                    remedy: "give instance numbers, or set data.binarise for an intensity image")
            }
            return InstanceMasks(labels: labels)
        }
    }

    /// Bytes that the masks of one image may take.
    private static let maskByteLimit = 1 << 30

    /// The path of a folder below the root.
    private static func folder(
        _ name: String, key: String, _ options: DatasetOptions, _ file: DatasetFile
    ) throws -> String {
        guard !name.hasPrefix("/"), !name.split(separator: "/").contains(".."), !name.utf8.contains(0) else {
            throw DatasetError(
                .invalidOption, at: key, "'\(name)' does not lie below the data set's folder",
                remedy: "name a folder inside data.root, as in images")
        }
        let path = options.root + "/" + name
        if let real = DatasetFile.realPath(path), !options.followsSymlinks,
            !DatasetFile.isInside(real + "/", file.realRoot)
        {
            throw DatasetError(
                .outsideRoot, at: path, "is a link to \(real), outside the data set",
                remedy: "copy the folder there, or set data.followSymlinks=true")
        }
        return path
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
