import Imaging

/// Images with label files beside them, the shape of most published data sets.
///
/// A data set of this shape states its entries in order, how their label files are read, and its split.
struct LabelledImages: SegmentationDataset {
    /// One image with its label files, by their paths below the root.
    struct Entry: Sendable {
        var id: String
        var image: String
        var labels: [String]
        /// A fault known since the folders were listed; thrown when the image is read.
        var fault: DatasetError?

        /// The fault of a missing image file.
        fileprivate var missingImage: DatasetError? { fault?.code == .unreadableFile ? fault : nil }
    }

    /// The contents of label files.
    struct Labels: Sendable {
        var masks: InstanceMasks
        /// Boxes that differ from the tight ones of the masks.
        var boxes: [Box]?
        /// The value of each instance, where values are instance numbers.
        var values: [UInt16]?
    }

    /// Reads the labels of an image of this size; they must have the same size.
    typealias Reading =
        @Sendable (_ folder: AnnotatedFolder, _ entry: Entry, _ size: (width: Int, height: Int)) throws -> Labels

    let folder: AnnotatedFolder
    let entries: [Entry]
    let publishedSplit: (training: [Int], evaluation: [Int])?
    var publishedMemory: [Int]?
    private let read: Reading

    /// Creates a data set of entries with different names.
    init(
        _ folder: AnnotatedFolder, _ entries: [Entry], split: (training: [Int], evaluation: [Int])? = nil,
        _ read: @escaping Reading
    ) {
        (self.folder, self.entries, self.read) = (folder, entries, read)
        publishedSplit = split
    }

    /// Creates a data set that is split into k images for training and one for evaluation, in order.
    init(_ folder: AnnotatedFolder, _ entries: [Entry], k: Int, _ read: @escaping Reading) {
        self.init(folder, entries, split: KToOneSplit(k: k).apply(count: entries.count), read)
    }

    /// Creates a data set whose authors published a training and an evaluation part.
    init(_ folder: AnnotatedFolder, training: [Entry], evaluation: [Entry], _ read: @escaping Reading) {
        let split = (Array(0..<training.count), Array(training.count..<training.count + evaluation.count))
        self.init(folder, training + evaluation, split: split, read)
    }

    var count: Int { entries.count }

    func id(_ index: Int) -> String { entries[index].id }

    func sample(_ index: Int) throws -> Sample {
        let entry = entries[index]
        if let fault = entry.missingImage { throw fault }
        let (image, orientation) = try folder.picture(entry.image)
        if let fault = entry.fault { throw fault }
        let labels = try read(folder, entry, (image.width, image.height))
        var sample = Sample(id: entry.id, image: image, instances: labels.masks, boxes: labels.boxes)
        (sample.values, sample.orientation) = (labels.values, orientation)
        return sample
    }

    func image(_ index: Int) throws -> Image { try folder.image(entries[index].image) }

    func histogram(_ index: Int) throws -> SampleHistogram? { try folder.histogram(entries[index].image) }

    var seenFiles: SeenFiles? { folder.seenFiles }

    /// The masks of the sample; reads the label files, but of the image only the header.
    func masks(_ index: Int) throws -> InstanceMasks? {
        let entry = entries[index]
        if let fault = entry.fault { throw fault }
        let head = try folder.head(entry.image)
        return try read(folder, entry, (head.width, head.height)).masks
    }

    func files(_ index: Int) -> [String] { [entries[index].image] + entries[index].labels }

    /// The survey of the sample; reads the label files, but of the image only the header.
    func survey(_ index: Int) throws -> ImageSurvey {
        let entry = entries[index]
        if let fault = entry.missingImage { throw fault }
        let head = try folder.head(entry.image)
        if let fault = entry.fault { throw fault }
        let labels = try read(folder, entry, (head.width, head.height))
        return ImageSurvey(masks: labels.masks, boxes: labels.boxes, orientation: folder.unapplied(head))
    }

    /// Faults known since the folders were listed, and those of reading the image and its label files.
    func faults(_ index: Int) throws -> [DatasetError] {
        let entry = entries[index]
        var faults = entry.fault.map { [$0] } ?? []
        guard entry.missingImage == nil else { return faults }
        do {
            _ = try folder.image(entry.image)
        } catch let error as DatasetError {
            faults.append(error)
        }
        guard !entry.labels.isEmpty, let size = try? folder.size(entry.image) else { return faults }
        do {
            _ = try read(folder, entry, size)
        } catch let error as DatasetError {
            if !faults.contains(error) { faults.append(error) }
        }
        return faults
    }

    /// The image's name and the sizes of its files in bytes, as in `cells-0001 20133+410`.
    func fingerprint(_ index: Int) -> String {
        let entry = entries[index]
        let labels = entry.labels.isEmpty ? ["-"] : entry.labels.map(folder.byteCount)
        return entry.id + " " + ([folder.byteCount(entry.image)] + labels).joined(separator: "+")
    }
}

// Listing of folders.
extension LabelledImages {
    /// A folder of images and a folder of label files with the same names up to the extension.
    struct Part {
        var images: String
        var labels: String
        var imageExtensions = ["jpg"]
        var labelExtensions = ["png"]
        /// A prefix for the names of the images, if several parts have images of the same name.
        var prefix = ""
    }

    /// The images of a part in order of their names; label files without an image are ignored.
    ///
    /// Throws `DatasetError` if a folder is missing or holds two files of the same name, or there is no image.
    static func pairs(
        _ part: Part, in folder: AnnotatedFolder,
        noting note: DatasetNote = DatasetRegistry.refuse
    ) throws(DatasetError) -> [Entry] {
        let images = try files(part.images, part.imageExtensions, in: folder)
        let labels = try byName(
            folder.names(in: part.labels, extensions: part.labelExtensions), part.labels, folder, noting: note)
        let first = try byName(images, part.images, folder, noting: note)
        return images.filter { first[RelativePath.withoutExtension($0)] == $0 }.map { name in
            let stem = RelativePath.withoutExtension(name)
            let label = labels[stem].map { part.labels + "/" + $0 }
            let pattern = folder.path("\(part.labels)/\(stem).\(part.labelExtensions.joined(separator: "|"))")
            return entry(part.prefix + stem, part.images + "/" + name, label, pattern: pattern, folder)
        }
    }

    /// An image with its label; if that is nil, it is missing, and `pattern` describes where it belongs.
    static func entry(
        _ id: String, _ image: String, _ label: String?, pattern: String, _ folder: AnnotatedFolder
    ) -> Entry {
        var entry = Entry(id: id, image: image, labels: label.map { [$0] } ?? [])
        if label == nil {
            entry.fault = DatasetError(
                .missingLabel, at: folder.path(image), "has no label \(pattern)",
                remedy: "add the label (all zeros if there is no instance) or remove the image")
        }
        return entry
    }

    /// The files of a folder of images. Throws `DatasetError` also if there is none.
    static func files(
        _ images: String, _ extensions: [String], in folder: AnnotatedFolder
    ) throws(DatasetError) -> [String] {
        let names = try folder.names(in: images, extensions: extensions)
        guard !names.isEmpty else {
            let others = UnusedImages(in: images, of: folder, used: []).lines.map(\.text)
            throw DatasetError(
                .emptyDataset, at: folder.path(images),
                "holds no \(extensions.map { "." + $0 }.joined(separator: " or ")) file",
                remedy: others.isEmpty ? "put the images there" : others.joined(separator: "; "))
        }
        return names
    }

    /// File names by their part before the last dot; of two with equal parts the first, if `note` accepts it.
    static func byName(
        _ names: [String], _ place: String, _ folder: AnnotatedFolder,
        noting note: DatasetNote = DatasetRegistry.refuse
    ) throws(DatasetError) -> [String: String] {
        var byName: [String: String] = [:]
        for name in names {
            let stem = RelativePath.withoutExtension(name)
            if let other = byName[stem] {
                try note(
                    DatasetError(
                        .ambiguousName, at: folder.path(place.isEmpty ? name : place + "/" + name),
                        "\(other) has the same name before the ending, so that both would be '\(stem)'",
                        remedy: "remove or rename one of the two"))
                continue
            }
            byName[stem] = name
        }
        return byName
    }
}
