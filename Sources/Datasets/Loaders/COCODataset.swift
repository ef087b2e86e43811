public import Imaging

/// Images with the annotations of a COCO instances file, in ascending order of the images' numbers.
///
/// The layout is COCO's: images in `root/images` (`data.images`, as in `val2017`), annotations in
/// `root/annotations/instances_IMAGES.json` or at `data.annotations`. Outlines become masks with the pixels of
/// pycocotools; an annotation without outline has its box alone.
///
/// An image with an annotation at fault throws that fault; the others can be used without it. By the corrected rules
/// crowds (but see `CrowdTally`), boxes without width or height and outlines without a pixel are left out, and boxes are
/// clipped to the image. The released rules are those of WeSAM's code: crowds count; an annotation is left out if its
/// box has no width, or no height and its mask fewer than 100 pixels; masks past the 151st are ignored; boxes are kept.
public struct COCODataset: SegmentationDataset {
    /// The annotations.
    public let annotations: COCOAnnotations
    private let folder: AnnotatedFolder
    private let imagesFolder: String
    private let rules: DatasetOptions.LabelRules
    private let crowds: DatasetOptions.Crowds
    private let annotationsName: String
    /// The first error in the annotations of an image, by the image's number.
    private let faults: [Int: AnnotationFault]

    /// Instances after which the released code stops.
    private static let releasedLimit = 151

    /// Reads the annotations without opening an image.
    ///
    /// Throws `DatasetError` at the first error that concerns more than one image, or if there is no image.
    public init(_ options: DatasetOptions) throws(DatasetError) {
        folder = try AnnotatedFolder(options)
        (imagesFolder, rules, crowds) = (options.imagesFolder, options.labelRules, options.crowds)
        annotationsName = Self.annotationsName(options)
        let path = Self.annotationsPath(options)
        var report = AnnotationReport(stoppingAtFirstError: true)
        do throws(AnnotationFault) {
            annotations = try Self.annotations(options, folder, &report)
        } catch {
            throw error.error
        }
        faults = report.imageFaults
        annotations.file.noteContent()
        guard !annotations.images.isEmpty else {
            throw DatasetError(.emptyDataset, at: path, "lists no image", remedy: "use another annotation file")
        }
    }

    /// The path of the annotations below the root.
    private static func annotationsName(_ options: DatasetOptions) -> String {
        options.annotations ?? "annotations/instances_\(options.imagesFolder).json"
    }

    private static func annotationsPath(_ options: DatasetOptions) -> String {
        options.root + "/" + annotationsName(options)
    }

    private static func annotations(
        _ options: DatasetOptions, _ folder: AnnotatedFolder, _ report: inout AnnotationReport
    ) throws(AnnotationFault) -> COCOAnnotations {
        try COCOAnnotations(path: annotationsPath(options), report: &report) { () throws(AnnotationFault) in
            try folder.annotationFile(annotationsName(options))
        }
    }

    public var count: Int { annotations.images.count }

    /// Six images for training to one for evaluation, in order, as WeSAM splits val2017.
    public var publishedSplit: (training: [Int], evaluation: [Int])? { KToOneSplit(k: 6).apply(count: count) }

    public func id(_ index: Int) -> String { RelativePath.withoutExtension(annotations.images[index].fileName) }

    public func sample(_ index: Int) throws -> Sample {
        let (image, orientation) = try folder.picture(file(index))
        try check(index, size: (image.width, image.height))
        var sample = try labels(index).labels.sample(id: id(index), image: image, location: location(index))
        sample.orientation = orientation
        return sample
    }

    /// The masks of the sample; of the image only the header is read.
    public func masks(_ index: Int) throws -> InstanceMasks? {
        let size = try folder.size(file(index))
        try check(index, size: size)
        return try labels(index).labels.masks(width: size.width, height: size.height, location: location(index))
    }

    public func files(_ index: Int) -> [String] { [file(index), annotationsName] }

    public func histogram(_ index: Int) throws -> SampleHistogram? { try folder.histogram(file(index)) }

    public var seenFiles: SeenFiles? { folder.seenFiles }

    /// The image, also of one whose annotations are at fault.
    public func image(_ index: Int) throws -> Image {
        let image = try folder.image(file(index))
        try check(index, size: (image.width, image.height))
        return image
    }

    /// The survey of the sample; reads outlines, but of the image only the header.
    public func survey(_ index: Int) throws -> ImageSurvey {
        let head = try folder.head(file(index))
        try check(index, size: (head.width, head.height))
        let (labels, withoutPixels) = try labels(index)
        var survey = try labels.survey(location: location(index), orientation: folder.unapplied(head))
        survey.withoutPixels = withoutPixels
        (survey.crowds, survey.crowdsTaken) = marked(index)
        return survey
    }

    /// The annotation file.
    package var path: String { annotations.file.path }

    /// Annotations with `iscrowd` 1 of the listed images: those left out, and those taken by `CrowdTally`'s rule.
    package var marked: (leftOut: Int, taken: Int) {
        (0..<count).reduce((0, 0)) { sum, index in
            let own = marked(index)
            return (sum.0 + own.leftOut, sum.1 + own.taken)
        }
    }

    private func marked(_ index: Int) -> (leftOut: Int, taken: Int) {
        guard rules == .corrected else { return (0, 0) }
        let crowded = annotations.annotations(ofImage: index).filter { annotations[$0].isCrowd }
        let leftOut = crowded.count(where: isLeftOutAsCrowd)
        return (leftOut, crowds == .auto ? crowded.count - leftOut : 0)
    }

    private func isLeftOutAsCrowd(_ number: Int) -> Bool {
        guard annotations[number].isCrowd else { return false }
        switch crowds {
        case .auto: return !(annotations.crowds.areInstances && annotations.hasRuns(number))
        case .skip: return true
        case .take: return false
        }
    }

    private func file(_ index: Int) -> String { imagesFolder + "/" + annotations.images[index].fileName }

    private func location(_ index: Int) -> String {
        "\(annotations.file.path): image \(annotations.images[index].id)"
    }

    private func check(_ index: Int, size: (width: Int, height: Int)) throws(DatasetError) {
        let record = annotations.images[index]
        guard size == (record.width, record.height) else {
            throw folder.sizeMismatch(file(index), is: size, not: (record.width, record.height))
        }
    }

    /// The image's name, its size in bytes and a digest of its annotations, as in `000000000139 161811+5f0b1c9d3e27a846`.
    ///
    /// The digest is of numbers, boxes and lengths of outlines, so that no outline has to be read.
    public func fingerprint(_ index: Int) -> String {
        "\(id(index)) \(folder.byteCount(file(index)))+\(annotations.digest(ofImage: index))"
    }

    /// The instances of an image, and the number of annotations left out because they have no pixel.
    private func labels(_ index: Int) throws(DatasetError) -> (labels: InstanceLabels, withoutPixels: Int) {
        let record = annotations.images[index]
        if let fault = faults[record.id] { throw fault.error }
        var labels: [InstanceLabel] = []
        var withoutPixels = 0
        for number in annotations.annotations(ofImage: index) {
            let annotation = annotations[number]
            switch rules {
            case .corrected:
                if isLeftOutAsCrowd(number) { continue }
                let size = annotations.boxSize(number)
                if annotation.box != nil, size.width == 0 || size.height == 0 {
                    withoutPixels += 1
                    continue
                }
                var label = try annotations.label(number)
                label.box = annotation.box?.clipped(width: record.width, height: record.height)
                if label.isEmptyMask { withoutPixels += 1 } else { labels.append(label) }
            case .released:
                if labels.count == Self.releasedLimit { return (InstanceLabels(labels), withoutPixels) }
                var label = try annotations.label(number)
                label.box = annotation.box
                let size = annotations.boxSize(number)
                if size.width == 0 || (size.height == 0 && Self.pixels(label.masks) < 100) { continue }
                labels.append(label)
            }
        }
        return (InstanceLabels(labels), withoutPixels)
    }

    /// The number of pixels in the union of masks of one size.
    private static func pixels(_ masks: [RunLengthEncoding]) -> Int {
        guard let first = masks.first else { return 0 }
        let union = masks.dropFirst().reduce(first) { (try? $0.union($1)) ?? $0 }
        return union.area
    }

    /// Checks annotations and, by their headers, images; records every fault.
    ///
    /// - Parameter limit: Maximum faults listed in the report; more are counted.
    public static func check(_ options: DatasetOptions, limit: Int = 10_000) throws(DatasetError) -> AnnotationReport {
        let folder = try AnnotatedFolder(options).withoutRetries()
        let path = annotationsPath(options)
        var report = AnnotationReport(limit: limit)
        do throws(AnnotationFault) {
            let annotations = try annotations(options, folder, &report)
            for (index, image) in annotations.images.enumerated() where image.width > 0 && !image.fileName.isEmpty {
                let record = "image \(image.id)"
                try report.add(image: options.imagesFolder + "/" + image.fileName, in: folder, path, record) {
                    $0 == image.width && $1 == image.height ? nil : (image.width, image.height)
                }
                let kinds = annotations.annotations(ofImage: index).map { annotations[$0].hasOutline }
                if kinds.contains(true), kinds.contains(false) {
                    try report.add(
                        AnnotationFault(
                            file: path, record: record, .partialLabels,
                            "some annotations have no outline, so the masks of the others are not used"))
                }
            }
        } catch {
            // The report contains it.
        }
        return report
    }
}

extension AnnotationReport {
    /// Checks an image by its header; `expected` returns the correct size if it differs from the given one.
    mutating func add(
        image: String, in folder: AnnotatedFolder, _ file: String, _ record: String?,
        _ expected: (_ width: Int, _ height: Int) -> (width: Int, height: Int)?
    ) throws(AnnotationFault) {
        let size: (width: Int, height: Int)
        do {
            size = try folder.size(image)
        } catch {
            let found = (error as? DatasetError).map { "\($0.location): \($0.problem)" } ?? "\(error)"
            try add(AnnotationFault(file: file, record: record, .imageFile, found))
            return
        }
        guard let other = expected(size.width, size.height) else { return }
        let mismatch = folder.sizeMismatch(image, is: size, not: other)
        let isTurned = size == (other.height, other.width)
        let turn = (isTurned ? folder.remedyForTurn(image) : nil).map { "; \($0)" } ?? ""
        try add(
            AnnotationFault(
                file: file, record: record, .imageSize, "\(mismatch.location) \(mismatch.problem)\(turn)"))
    }
}
