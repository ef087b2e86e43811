import Imaging

/// SA-1B: images with a JSON file of the same name, in the root and in folders of it, in order of their paths.
///
/// An annotation has a box [x, y, width, height] and runs. Boxes without width or height and masks without a pixel are left out,
/// boxes are clipped to the image. There is no published split; WeSAM draws 200 images, which `data.limit` and `data.splitSeed` do.
struct SA1BDataset: SegmentationDataset {
    private let folder: AnnotatedFolder
    private let entries: [LabelledImages.Entry]

    /// Lists the folders without reading the files. Throws `DatasetError` if there is no image.
    init(_ options: DatasetOptions) throws(DatasetError) {
        let folder = try AnnotatedFolder(options)
        var entries: [LabelledImages.Entry] = []
        for place in [""] + (try folder.folders(in: "")) {
            let prefix = place.isEmpty ? "" : place + "/"
            let annotated = Set(try folder.names(in: place, extensions: ["json"]))
            let names = try folder.names(in: place, extensions: ["jpg"])
            _ = try LabelledImages.byName(names, place, folder)
            for name in names {
                let stem = RelativePath.withoutExtension(name)
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
        let image = try folder.image(entries[index].image)
        return try labels(file, size: (image.width, image.height))
            .sample(id: id(index), image: image, location: file.path)
    }

    /// The number of instances that the sample would have; reads the annotations, but of the image only the header.
    func instanceCount(_ index: Int) throws -> Int {
        let file = try file(index)
        return try labels(file, size: folder.size(entries[index].image)).count(location: file.path)
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

    /// Checks every file and, where its image can be read, what depends on its size; notes every fault.
    static func check(_ options: DatasetOptions, limit: Int) throws(DatasetError) -> AnnotationReport {
        let dataset = try SA1BDataset(options)
        let folder = dataset.folder.withoutRetries()
        var report = AnnotationReport(limit: limit)
        for entry in dataset.entries {
            // A missing file is a fault of the image, told when the sample is read.
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

    /// The instances of a file for an image of this size; without one, what depends on it is not looked at.
    private static func labels(
        _ file: AnnotationFile, size: (width: Int, height: Int)?,
        _ add: (AnnotationFault) throws(AnnotationFault) -> Void
    ) throws(AnnotationFault) -> InstanceLabels {
        var reader = JSONReader(file)
        guard try reader.kind() == .object else { throw reader.fault(.wrongType, "annotations that are no object") }
        var labels: [InstanceLabel]?
        var number = 0
        try reader.object { reader, key throws(AnnotationFault) in
            guard key == "annotations" else { return try reader.skip() }
            guard try reader.kind() == .array else { throw reader.fault(.wrongType, "'annotations' is no list") }
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

    /// One annotation in an image of this size, nil if it is to be left out, and what is wrong with it.
    private static func label(
        _ reader: inout JSONReader, size: (width: Int, height: Int)?
    ) throws(AnnotationFault) -> (label: InstanceLabel?, faults: [ShapeFault]) {
        guard try reader.kind() == .object else {
            try reader.skip()
            return (nil, [ShapeFault(.wrongType, "an annotation that is no object")])
        }
        var faults: [ShapeFault] = []
        var shape: COCOShape? = COCOShape.none
        var numbers: [Double]?
        var hasBox = false
        try reader.object { reader, key throws(AnnotationFault) in
            switch key {
            case "bbox":
                hasBox = true
                var values: [Double] = []
                if try reader.numbers(into: &values), values.count == 4 {
                    numbers = values
                } else {
                    faults.append(ShapeFault(.wrongType, "'bbox' is not [x, y, width, height]"))
                }
            case "segmentation": shape = try COCOShape.read(&reader) { faults.append(ShapeFault($0, $1)) }
            default: try reader.skip()
            }
        }
        if shape == COCOShape.none { faults.append(ShapeFault(.missingKey, "'segmentation' is missing")) }
        if !hasBox { faults.append(ShapeFault(.missingKey, "'bbox' is missing")) }
        guard let size, let shape, let numbers, shape != .none, numbers[2] != 0, numbers[3] != 0 else {
            return (nil, faults)
        }
        do throws(ShapeFault) {
            for number in numbers { try PolygonRasterisation.check(coordinate: number) }
            let box = Box(x0: numbers[0], y0: numbers[1], x1: numbers[0] + numbers[2], y1: numbers[1] + numbers[3])
            if let problem = box.problem(width: size.width, height: size.height) { faults.append(problem) }
            var label = try shape.label(width: size.width, height: size.height)
            label.box = box.clipped(width: size.width, height: size.height)
            return (label.isEmptyMask ? nil : label, faults)
        } catch {
            faults.append(error)
            return (nil, faults)
        }
    }
}
