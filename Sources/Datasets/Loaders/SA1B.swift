import Imaging
import JSONReading

/// SA-1B: images with a JSON file of the same name, in the root and its folders, in order of their paths.
///
/// An annotation has a box [x, y, width, height] and runs. Boxes without width or height and masks without a pixel are
/// left out, boxes are clipped to the image. There is no published split; WeSAM draws 200 images, as `data.limit` and
/// `data.splitSeed` can.
struct SA1BDataset: SegmentationDataset {
    private let folder: AnnotatedFolder
    private let entries: [LabelledImages.Entry]

    /// Lists the folders without reading the files. Throws `DatasetError` if there is no image.
    ///
    /// - Parameter note: Receives images of one name; if it returns, the later ones are left out.
    init(_ options: DatasetOptions, noting note: DatasetNote = DatasetRegistry.refuse) throws(DatasetError) {
        let folder = try AnnotatedFolder(options)
        var entries: [LabelledImages.Entry] = []
        for place in [""] + (try folder.folders(in: "")) {
            let prefix = place.isEmpty ? "" : place + "/"
            let annotated = Set(try folder.names(in: place, extensions: ["json"]))
            let names = try folder.names(in: place, extensions: ["jpg"])
            let first = try LabelledImages.byName(names, place, folder, noting: note)
            for name in names {
                let stem = RelativePath.withoutExtension(name)
                guard first[stem] == name else { continue }
                let label = prefix + stem + ".json"
                entries.append(
                    LabelledImages.entry(
                        prefix + stem, prefix + name, annotated.contains(stem + ".json") ? label : nil,
                        pattern: folder.path(label), folder))
            }
        }
        guard !entries.isEmpty else {
            throw DatasetError(
                .emptyDataset, at: folder.root, "holds no .jpg file, nor does a folder in it",
                remedy: "unpack the archives sa_NNNNNN.tar there")
        }
        (self.folder, self.entries) = (folder, entries)
    }

    var count: Int { entries.count }

    func id(_ index: Int) -> String { entries[index].id }

    func sample(_ index: Int) throws -> Sample {
        let file = try file(index)
        let (image, orientation) = try folder.picture(entries[index].image)
        var sample = try labels(file, size: (image.width, image.height))
            .sample(id: id(index), image: image, location: file.path)
        sample.orientation = orientation
        return sample
    }

    func histogram(_ index: Int) throws -> SampleHistogram? { try folder.histogram(entries[index].image) }

    var seenFiles: SeenFiles? { folder.seenFiles }

    /// The survey of the sample; reads the annotations, but of the image only the header.
    func survey(_ index: Int) throws -> ImageSurvey {
        let file = try file(index)
        let head = try folder.head(entries[index].image)
        return try labels(file, size: (head.width, head.height))
            .survey(location: file.path, orientation: folder.unapplied(head))
    }

    /// The faults of the image file and, separately, of its annotations.
    func faults(_ index: Int) throws -> [DatasetError] {
        var faults: [DatasetError] = []
        do {
            _ = try folder.image(entries[index].image)
        } catch let error as DatasetError {
            faults.append(error)
        }
        do {
            _ = try labels(file(index), size: folder.size(entries[index].image))
        } catch let error as DatasetError {
            if !faults.contains(error) { faults.append(error) }
        }
        return faults
    }

    /// The image's name and the sizes of its files in bytes, as in `sa_1 20133+4101`.
    func fingerprint(_ index: Int) -> String {
        let entry = entries[index]
        return "\(entry.id) \(folder.byteCount(entry.image))+\(entry.labels.first.map(folder.byteCount) ?? "-")"
    }

    private func file(_ index: Int) throws(DatasetError) -> AnnotationFile {
        if let fault = entries[index].fault { throw fault }
        do throws(AnnotationFault) {
            return try folder.annotationFile(entries[index].labels.first ?? "")
        } catch {
            throw error.error
        }
    }

    /// Checks every file and, if its image can be read, whatever depends on its size; records every fault.
    static func check(_ options: DatasetOptions, limit: Int) throws(DatasetError) -> AnnotationReport {
        // Images of one name are reported when the data set is opened.
        let dataset = try SA1BDataset(options) { twin throws(DatasetError) in _ = twin }
        let folder = dataset.folder.withoutRetries()
        var report = AnnotationReport(limit: limit)
        for entry in dataset.entries {
            // A missing file is a fault of the image, reported when the sample is read.
            guard let label = entry.labels.first else { continue }
            do throws(AnnotationFault) {
                _ = try labels(folder.annotationFile(label), size: try? folder.size(entry.image)) {
                    fault throws(AnnotationFault) in try report.add(fault)
                }
            } catch {
                try? report.add(error)
            }
        }
        return report
    }

    private func labels(
        _ file: AnnotationFile, size: (width: Int, height: Int)
    ) throws(DatasetError) -> InstanceLabels {
        do throws(AnnotationFault) {
            return try Self.labels(file, size: size) { fault throws(AnnotationFault) in
                if fault.rule.severity == .error { throw fault }
            }
        } catch {
            throw error.error
        }
    }

    /// The instances of a file for an image of this size; without a size, checks that need it are skipped.
    private static func labels(
        _ file: AnnotationFile, size: (width: Int, height: Int)?,
        _ add: (AnnotationFault) throws(AnnotationFault) -> Void
    ) throws(AnnotationFault) -> InstanceLabels {
        var reader = AnnotationReader(file)
        guard try reader.kind() == .object else { throw reader.fault(.wrongType, "annotations that are not an object") }
        var labels: [InstanceLabel]?
        var number = 0
        try reader.object { reader, key throws(AnnotationFault) in
            guard key == "annotations" else { return try reader.skip() }
            guard try reader.kind() == .array else { throw reader.fault(.wrongType, "'annotations' is not a list") }
            labels = []
            try reader.array { reader throws(AnnotationFault) in
                let record = "annotations[\(number)]"
                number += 1
                do throws(AnnotationFault) {
                    _ = try reader.peek()
                    let start = reader.offset
                    let (label, faults) = try label(&reader, size: size)
                    for fault in faults {
                        try add(
                            AnnotationFault(file: file.path, record: record, offset: start, fault.rule, fault.found))
                    }
                    if let label { labels?.append(label) }
                } catch {
                    throw error.inside(record)
                }
            }
        }
        try reader.finish()
        guard let labels else { throw reader.fault(.missingKey, "'annotations' is missing") }
        return InstanceLabels(labels)
    }

    /// One annotation in an image of this size, nil if it must be left out, and its faults.
    private static func label(
        _ reader: inout AnnotationReader, size: (width: Int, height: Int)?
    ) throws(AnnotationFault) -> (label: InstanceLabel?, faults: [ShapeFault]) {
        var faults = RecordFaults()
        guard try reader.kind() == .object else {
            try reader.skip()
            return (nil, [ShapeFault(.wrongType, "an annotation that is not an object")])
        }
        var shape: COCOShape? = COCOShape.none
        var box: SIMD4<Double>?
        var hasBox = false
        try reader.object { reader, key throws(AnnotationFault) in
            switch key {
            case "bbox":
                hasBox = true
                box = try COCOBox.read(&reader) { faults.add($0, $1) }
            case "segmentation": shape = try COCOShape.read(&reader) { faults.add($0, $1) }
            default: try reader.skip()
            }
        }
        if shape == COCOShape.none { faults.add(.missingKey, "'segmentation' is missing") }
        if !hasBox { faults.add(.missingKey, "'bbox' is missing") }
        guard let size else { return (nil, faults.faults) }
        var label = InstanceLabel()
        if let shape, shape != .none {
            do throws(ShapeFault) {
                label = try shape.label(width: size.width, height: size.height)
            } catch {
                faults.add(error)
            }
        }
        if let box, box.z > 0, box.w > 0 {
            let corners = Box(x0: box.x, y0: box.y, x1: box.x + box.z, y1: box.y + box.w)
            if let problem = corners.problem(width: size.width, height: size.height) { faults.add(problem) }
            label.box = corners.clipped(width: size.width, height: size.height)
        }
        let isWhole = label.box != nil && !label.masks.isEmpty && !label.isEmptyMask
        return (isWhole ? label : nil, faults.faults)
    }
}
