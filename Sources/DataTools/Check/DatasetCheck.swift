public import Datasets
import Foundation
public import Imaging
import Tensors

/// A check of a whole data set before a run: reads every image with its labels once and reports every fault.
///
/// Memory is that of one image and a few bytes for each image and instance. Files are not retried: unreadable ones are
/// reported immediately.
public struct DatasetCheck {
    let format: String
    /// The name that the data set gives itself.
    private let domain: String?
    var options: DatasetOptions
    private let limit: Int?
    private var sheet: ContactSheet?
    var findings: DatasetFindings
    /// The first sample with each image.
    private var owners: [UInt64: (id: String, image: Int)] = [:]
    /// What a manifest states of the samples, by their names.
    private let stated: [String: String]
    /// What the samples are, if a manifest of them is asked for.
    private var entries: [(index: Int, entry: ManifestDescription.Entry)]?
    /// The data set as a domain of a continual benchmark, if that was asked for and it could be read.
    public private(set) var manifest: ManifestDescription?
    /// Faults already reported by the check of annotations.
    private var named: Set<String> = []
    /// What the values of label images look like.
    private(set) var values = LabelValues()
    /// True if an image has labels, if only empty ones.
    private(set) var hasLabels = false
    /// Where the run's prompts come from.
    let prompts: PromptSource
    /// True if it has found more faults than it lists.
    private var hasUnlistedFaults = false

    /// Prepares a check.
    ///
    /// - Parameters:
    ///   - format: The data set's name in the registry.
    ///   - limit: Check only the first images, up to this number; nil checks all.
    ///   - prompts: Where the run's prompts come from; with `automatic`, labels without an instance are no error.
    ///   - sheet: Draws some of the images.
    ///   - describesDomain: Whether to make a manifest of what can be read.
    public init(
        format: String, _ options: DatasetOptions, limit: Int? = nil, prompts: PromptSource = .simulated,
        sheet: ContactSheet? = nil, describesDomain: Bool = false
    ) {
        let own = format == "cosam" ? DomainManifest(options) : nil
        (stated, domain) = (own?.digests ?? [:], own?.domain)
        entries = describesDomain ? [] : nil
        self.prompts = prompts
        (self.format, self.options, self.limit, self.sheet) = (format, options, limit, sheet)
        findings = DatasetFindings(format: format, root: options.root, prompts: prompts)
    }

    /// Checks the data set.
    ///
    /// - Returns: The findings, and the picture if one was requested and an image could be read.
    /// - Throws: `DatasetError` if there is nothing to check: the format or the folder does not exist, or an option is
    ///   invalid.
    public mutating func run() throws -> (findings: DatasetFindings, sheet: Image?) {
        try ReadRetry.$current.withValue(ReadRetry(delays: [])) {
            try checkAnnotations()
            if var dataset = try open() {
                if options.needsRanges { dataset = try measured(dataset) }
                try read(dataset)
                try findUnlistedImages(dataset)
                noteWhole(dataset)
                manifest = entries.map {
                    ManifestDescription(
                        dataset, entries: $0, domain: domain.flatMap { $0.isEmpty ? nil : $0 } ?? format,
                        format: format, options)
                }
            } else {
                try readImageFiles()
            }
        }
        return (findings, sheet?.picture())
    }

    // MARK: Annotations and names

    private mutating func checkAnnotations() throws(DatasetError) {
        let found: AnnotationReport?
        do throws(DatasetError) {
            found = try AnnotationCheck.run(format: format, options, limit: DatasetFindings.lineLimit)
        } catch {
            // Opening the data set will report the same error.
            if Self.forbidsOpening(error) { return }
            throw error
        }
        guard let report = found else { return }
        for fault in report.faults {
            findings.add(fault.rule.severity == .error ? .annotation : .annotationWarning, fault.description)
            named.insert(fault.location)
            switch fault.rule {
            case .imageFile: named.insert(Self.head(of: fault.found, before: ": "))
            case .imageSize: named.insert(Self.head(of: fault.found, before: " is "))
            default: break
            }
        }
        // Faults over the limit are not listed, but they count.
        let listed = (findings.count(.annotation), findings.count(.annotationWarning))
        for (kind, dropped) in [
            (DatasetFindings.Kind.annotation, report.errors - listed.0),
            (.annotationWarning, report.warnings - listed.1),
        ] where dropped > 0 {
            findings.add(kind, "\(dropped) more not listed", count: dropped)
        }
        hasUnlistedFaults = report.errors > listed.0
    }

    /// True if an error is a finding about the data set and not a mistake of the call.
    private static func forbidsOpening(_ error: DatasetError) -> Bool {
        [.invalidAnnotation, .ambiguousName, .unreadableFile, .emptyDataset].contains(error.code)
    }

    /// Records an error unless the check of annotations has reported it, or has more of its kind than it lists.
    private mutating func noteIfNew(_ error: DatasetError) {
        if named.contains(error.location) || hasUnlistedFaults && error.code == .invalidAnnotation { return }
        note(error)
    }

    private static func head(of text: String, before separator: String) -> String {
        text.firstRange(of: separator).map { String(text[..<$0.lowerBound]) } ?? text
    }

    /// Opens the data set; nil if recorded faults forbid it.
    private mutating func open() throws -> (any SegmentationDataset)? {
        do {
            var faults: [DatasetError] = []
            let dataset = try DatasetRegistry.open(format, options) { faults.append($0) }
            for fault in faults { noteIfNew(fault) }
            findings.isRefused = !faults.isEmpty
            for label in (Self.images(of: dataset) as? FolderDataset)?.unusedLabels ?? [] {
                findings.add(.unusedLabel, label)
            }
            return dataset
        } catch let error as DatasetError {
            // With findings of its own the report is worth more than the error alone.
            guard Self.forbidsOpening(error) || error.code == .missingFolder && findings.errors > 0 else { throw error }
            if !named.contains(error.location), findings.errors == 0 || error.code != .invalidAnnotation {
                findings.add(.unusable, error.description)
            }
            return nil
        }
    }

    /// The data set that has an image for a sample, where one is made of it that has a mask for a sample.
    static func images(of dataset: any SegmentationDataset) -> any SegmentationDataset {
        (dataset as? SingleMaskDataset)?.base ?? dataset
    }

    /// The data set, read by the ranges of all its images that can be read and are to be checked.
    private mutating func measured(_ dataset: any SegmentationDataset) throws -> any SegmentationDataset {
        var measurement = IntensityMeasurement()
        for index in 0..<min(limit ?? dataset.count, dataset.count) {
            do { try measurement.add(dataset, index) } catch is DatasetError { continue }
        }
        options.measuredRanges = measurement.ranges(options.intensity)
        return try DatasetRegistry.open(format, options) { _ in }
    }

    private mutating func note(_ error: DatasetError) {
        let kind: DatasetFindings.Kind =
            switch error.code {
            case .ambiguousName: .ambiguousName
            case .missingLabel: .missingLabel
            case .sizeMismatch: .sizeMismatch
            case .outsideRoot: .outsideRoot
            case .invalidAnnotation: .annotation
            default: .unreadable
            }
        findings.add(kind, error.description)
    }

    // MARK: Images

    private mutating func read(_ dataset: any SegmentationDataset) throws {
        let count = min(limit ?? dataset.count, dataset.count)
        findings.hasReadLabels = true
        (findings.images, findings.imagesLeftOut) = (count, dataset.count - count)
        for index in 0..<count {
            do {
                let sample = try dataset.sample(index)
                judge(sample, ofImage: dataset.imageNumber(index))
                compareWithManifest(sample, index, dataset)
                sheet?.add(sample, number: index, of: count)
            } catch let error as DatasetError {
                let faults = try dataset.faults(index)
                for fault in faults.isEmpty ? [error] : faults { noteIfNew(fault) }
                sheet?.addUnreadable(dataset.id(index), number: index, of: count)
            }
        }
    }

    /// Decodes every image file if the data set cannot be opened, so that broken ones are reported in the same pass.
    private mutating func readImageFiles() throws {
        let hasImagesFolder = ["coco", "folder", "folder-components", "folder-instances", "images"].contains(format)
        let place = hasImagesFolder ? options.imagesFolder + "/" : ""
        guard let folder = try? AnnotatedFolder(options),
            let files = try? ImageListing.imageFiles(in: options.root + "/" + place)
        else { return }
        findings.images = min(limit ?? files.count, files.count)
        findings.imagesLeftOut = files.count - findings.images
        for file in files.prefix(findings.images) {
            do {
                let image = try folder.image(place + file)
                findings.sizes.append([Int32(image.width), Int32(image.height)])
            } catch let error as DatasetError {
                if !named.contains(error.location) { note(error) }
            }
        }
    }

    /// Finds image files that the annotations of a data set do not name.
    private mutating func findUnlistedImages(_ dataset: any SegmentationDataset) throws {
        let places = ["bsdata": "data", "coco": options.imagesFolder, "cosam": "images"]
        guard let place = places[format] else { return }
        let folder = options.root + "/" + place
        let images = Self.images(of: dataset)
        var listed = Set((0..<images.count).map(images.id))
        if format == "bsdata" {
            // A label without a usable polygon gives no sample, but its image is labelled.
            let labels = (try? ImageListing.imageFiles(in: options.root + "/label") { $0.hasSuffix(".json") }) ?? []
            listed.formUnion(labels.map(RelativePath.withoutExtension))
        }
        for file in (try? ImageListing.imageFiles(in: folder, where: UnusedImages.isImage)) ?? []
        where !listed.contains(RelativePath.withoutExtension(file)) {
            findings.add(.unlistedImage, folder + "/" + file)
        }
    }

    // MARK: Labels

    /// Instances with fewer pixels are doubtful.
    static let tinyArea = 10
    /// An instance covering more than this fraction of its image is doubtful.
    static let wholeShare = 0.95
    /// With at least this many instances, half of them tiny, a label looks smoothed.
    static let smoothedCount = 8

    private mutating func judge(_ sample: Sample, ofImage image: Int) {
        let (width, height) = (sample.image.width, sample.image.height)
        findings.usableImages += 1
        findings.sizes.append([Int32(width), Int32(height)])
        judgeDepth(sample)
        findings.instances.append(Int32(clamping: sample.instanceCount))
        if sample.instances != nil || sample.boxes != nil || sample.points != nil { hasLabels = true }
        if sample.instanceCount > 0 {
            findings.labelKinds.append(sample.labelKinds)
            if sample.instances != nil { findings.imagesWith.masks += 1 }
            if sample.boxes != nil { findings.imagesWith.boxes += 1 }
            if sample.points != nil { findings.imagesWith.points += 1 }
        }
        let digest = Self.digest(sample.image)
        if let owner = owners[digest] {
            if owner.image != image { findings.add(.duplicateImage, "\(sample.id) is as \(owner.id)") }
        } else {
            owners[digest] = (sample.id, image)
        }
        if let orientation = sample.orientation {
            findings.add(
                .orientation,
                "\(sample.id): \(orientation.name) (Exif orientation \(orientation.rawValue))")
        }
        if let masks = sample.instances {
            if ["folder", "manifest"].contains(format), sample.values != nil || options.binariseThreshold != nil {
                values.add(masks, values: sample.values ?? [])
            }
            judgeBoxes(sample, masks)
        }
        judgeAreas(sample, pixels: Double(width * height))
        findings.pixels.all += width * height
        guard !AnnotationCheck.formats.contains(format) else { return }
        for (index, box) in (sample.boxes ?? []).enumerated() {
            guard let problem = box.problem(width: width, height: height) else { continue }
            findings.add(.boxOutside, "\(sample.id): instance \(index + 1): \(problem.found)")
        }
    }

    /// Compares a sample with what the manifest says it was, and describes it for a new one.
    private mutating func compareWithManifest(
        _ sample: Sample, _ index: Int, _ dataset: any SegmentationDataset
    ) {
        let old = stated[sample.id]
        guard old != nil || entries != nil else { return }
        let digest = sample.contentDigest
        if let old, old != digest {
            findings.add(.changedSample, "\(sample.id): SHA-256 \(digest.prefix(16))..., stated \(old.prefix(16))...")
        }
        let files = dataset.files(index)
        entries?.append(
            (
                index,
                ManifestDescription.Entry(
                    name: sample.id, image: files.first, labels: Array(files.dropFirst()), sha256: digest)
            ))
    }

    /// Compares annotated boxes with the boxes around their masks.
    private mutating func judgeBoxes(_ sample: Sample, _ masks: InstanceMasks) {
        guard let boxes = sample.boxes else { return }
        let fits = boxes.indices.compactMap { index in
            masks.box(of: index).map { boxes[index].intersectionOverUnion($0) }
        }
        let poor = fits.filter { $0 < Box.leastFit }
        guard let least = poor.min(), let most = poor.max() else { return }
        let range = [least, most].map { String(format: "%.2f", $0) }
        findings.add(
            .misfitBox,
            "\(sample.id): \(poor.count) of \(boxes.count), IoU "
                + (range[0] == range[1] ? range[0] : "\(range[0]) to \(range[1])"), count: poor.count)
    }

    /// With fewer levels left of more than 8 bits, an image shows little of what its file holds.
    static let fewLevels = 32

    private mutating func judgeDepth(_ sample: Sample) {
        guard let stored = sample.image.stored else { return }
        findings.add(stored)
        guard stored.bits > 8, stored.spread == nil, stored.levels < Self.fewLevels,
            stored.values.low < stored.values.high
        else { return }
        findings.add(
            .fewLevels,
            "\(sample.id): values \(stored.values.low) to \(stored.values.high) become \(stored.levels) level"
                + (stored.levels == 1 ? "" : "s"))
    }

    private mutating func judgeAreas(_ sample: Sample, pixels: Double) {
        var tiny = 0
        for instance in 0..<sample.instanceCount {
            let area: Double
            if let masks = sample.instances {
                let pixelCount = masks.pixelCount(of: instance)
                findings.pixels.labelled += pixelCount
                area = Double(pixelCount)
            } else if let box = sample.boxes?[instance] {
                area = max(box.x1 - box.x0, 0) * max(box.y1 - box.y0, 0)
            } else {
                continue
            }
            findings.areas.append(Float(area / pixels))
            if area < Double(Self.tinyArea) { tiny += 1 }
            if area > Self.wholeShare * pixels {
                let share = Int((100 * area / pixels).rounded())
                findings.add(.wholeImage, "\(sample.id): instance \(instance + 1) covers \(share) %")
            }
        }
        guard tiny > 0 else { return }
        if sample.instances != nil, sample.instanceCount >= Self.smoothedCount, 2 * tiny >= sample.instanceCount {
            findings.add(
                .antiAliased,
                "\(sample.id): \(tiny) of \(sample.instanceCount) instances have fewer than \(Self.tinyArea) pixels")
        } else {
            findings.add(.tinyInstance, "\(sample.id): \(tiny) of \(sample.instanceCount)", count: tiny)
        }
    }

    /// FNV-1a over the size and the values of an image.
    private static func digest(_ image: Image) -> UInt64 {
        let start = (0xcbf2_9ce4_8422_2325 ^ UInt64(image.width)) &* 0x0000_0100_0000_01b3
        return image.pixels.withUnsafeBufferPointer { pixels in
            pixels.reduce(start) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
        }
    }
}
