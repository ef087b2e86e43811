public import Imaging

/// The plain layout: `images/` with PNG or JPEG files and a folder of label files with the same stems.
///
/// Images are ordered by file name, compared by Unicode scalars. Label files without an image are ignored. Symbolic links
/// are followed if they stay below the root, and out of it only if the options allow it.
public struct FolderDataset: SegmentationDataset {
    /// The contents of label files.
    public enum Labels: Sendable {
        /// `labels/STEM.png` of instance numbers (8 or 16 bits, grey or palette indices, 0 is background), or with
        /// `binariseThreshold` any image, where the first channel above the threshold is one instance.
        case numbers
        /// `labels/STEM.png` of foreground and background; each piece of the foreground is an instance, where pixels
        /// that touch at a side or a corner are one piece, in order of the first pixel row by row.
        case components
        /// `labels/STEM/*.png` or `labels/STEM_*.png`: the foreground of each file is an instance, in order of the names.
        case files
        /// None: the images are for prompts that need no label.
        case none

        /// Whether each image has one file of its own name.
        fileprivate var areOnePerImage: Bool {
            switch self {
            case .numbers, .components: true
            case .files, .none: false
            }
        }
    }

    private let images: LabelledImages
    private let imagesFolder: String
    /// Label files that belong to no image, in order.
    package let unusedLabels: [String]

    /// Lists the folder without reading the files.
    ///
    /// Foreground is every value but 0, or with `binariseThreshold` the first channel above it; the files may then be
    /// JPEG. Throws `DatasetError` if a folder is missing, two files share a stem, or there is no image.
    public init(_ options: DatasetOptions, labels: Labels = .numbers) throws {
        try self.init(options, labels: labels, retry: .current, noting: DatasetRegistry.refuse)
    }

    /// `init(_:labels:)` with another treatment of faults.
    ///
    /// - Parameter note: Receives files that share a stem; if it returns, the later of the two is left out.
    package init(
        _ options: DatasetOptions, labels: Labels = .numbers, retry: ReadRetry = .current,
        noting note: DatasetNote = DatasetRegistry.refuse
    ) throws {
        let folder = try AnnotatedFolder(options, retry: retry)
        let threshold = options.binariseThreshold
        imagesFolder = options.imagesFolder
        let part = LabelledImages.Part(
            images: options.imagesFolder, labels: options.labelsFolder, imageExtensions: ["png", "jpg", "jpeg"],
            labelExtensions: threshold == nil ? ["png"] : ["png", "jpg", "jpeg"])
        switch labels {
        case .numbers:
            images = LabelledImages(
                folder, try LabelledImages.pairs(part, in: folder, noting: note),
                threshold == nil ? LabelReading.numbers() : LabelReading.object(threshold))
        case .components:
            images = LabelledImages(
                folder, try LabelledImages.pairs(part, in: folder, noting: note), LabelReading.components(threshold))
        case .none:
            images = try LabelledImages.unlabelled(part, in: folder, noting: note)
        case .files:
            images = LabelledImages(
                folder, try LabelledImages.filesPerInstance(part, in: folder, noting: note),
                LabelReading.files(threshold))
        }
        unusedLabels = try labels.areOnePerImage ? images.unused(part) : []
    }

    public var count: Int { images.count }

    public func id(_ index: Int) -> String { images.id(index) }

    public func sample(_ index: Int) throws -> Sample { try images.sample(index) }

    public func image(_ index: Int) throws -> Image { try images.image(index) }

    public func survey(_ index: Int) throws -> ImageSurvey { try images.survey(index) }

    public func masks(_ index: Int) throws -> InstanceMasks? { try images.masks(index) }

    public func files(_ index: Int) -> [String] { images.files(index) }

    public func faults(_ index: Int) throws -> [DatasetError] { try images.faults(index) }

    public var unusedImages: UnusedImages? {
        let prefix = imagesFolder.count + 1
        return UnusedImages(
            in: imagesFolder, of: images.folder, used: Set(images.entries.map { String($0.image.dropFirst(prefix)) }))
    }

    public func histogram(_ index: Int) throws -> SampleHistogram? { try images.histogram(index) }

    public var seenFiles: SeenFiles? { images.seenFiles }

    /// The image's name and the sizes of its files in bytes, as in `cells-0001 20133+410`.
    public func fingerprint(_ index: Int) -> String { images.fingerprint(index) }
}

extension LabelledImages {
    /// Label files of a part without an image, in order of their names.
    fileprivate func unused(_ part: Part) throws(DatasetError) -> [String] {
        let used = Set(entries.flatMap(\.labels))
        return try folder.names(in: part.labels, extensions: part.labelExtensions).map { part.labels + "/" + $0 }
            .filter { !used.contains($0) }.map(folder.path)
    }

    /// The images of a part, ignoring any labels.
    fileprivate static func unlabelled(
        _ part: Part, in folder: AnnotatedFolder, noting note: DatasetNote
    ) throws(DatasetError) -> LabelledImages {
        let names = try files(part.images, part.imageExtensions, in: folder)
        let first = try byName(names, part.images, folder, noting: note)
        let entries = names.filter { first[RelativePath.withoutExtension($0)] == $0 }.map {
            Entry(id: RelativePath.withoutExtension($0), image: part.images + "/" + $0, labels: [])
        }
        return LabelledImages(folder, entries) { _, _, size in
            Labels(masks: InstanceMasks(count: 0, width: size.width, height: size.height))
        }
    }

    /// The images of a part with a label file per instance: those in the folder of the image's name, or those whose names
    /// begin with it and an underscore; among several such images the one with the longest name.
    fileprivate static func filesPerInstance(
        _ part: Part, in folder: AnnotatedFolder, noting note: DatasetNote
    ) throws(DatasetError) -> [Entry] {
        let names = try files(part.images, part.imageExtensions, in: folder)
        let first = try byName(names, part.images, folder, noting: note)
        let images = names.filter { first[RelativePath.withoutExtension($0)] == $0 }
        let stems = Set(first.keys)
        let folders = Set(try folder.folders(in: part.labels))
        var labels: [String: [String]] = [:]
        for name in try folder.names(in: part.labels, extensions: part.labelExtensions) {
            let lines = name.indices.reversed().filter { name[$0] == "_" }
            guard let line = lines.first(where: { stems.contains(String(name[..<$0])) }) else { continue }
            labels[String(name[..<line]), default: []].append(part.labels + "/" + name)
        }
        var entries: [Entry] = []
        for name in images {
            let stem = RelativePath.withoutExtension(name)
            let place = part.labels + "/" + stem
            var found = labels[stem]
            if folders.contains(stem) {
                if found != nil {
                    try note(
                        DatasetError(
                            .ambiguousName, at: folder.path(place), "there are files \(stem)_* for the same image too",
                            remedy: "keep the folder or the files"))
                }
                found = try folder.names(in: place, extensions: part.labelExtensions).map { place + "/" + $0 }
            }
            let types = part.labelExtensions.joined(separator: "|")
            var entry = entry(
                stem, part.images + "/" + name, found == nil ? nil : "",
                pattern: "\(folder.path(place))/*.\(types) or \(folder.path(place))_*.\(types)", folder)
            entry.labels = found ?? []
            entries.append(entry)
        }
        return entries
    }
}
