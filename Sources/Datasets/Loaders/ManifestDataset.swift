public import Imaging

/// Images listed one a line in a JSON Lines file, in its order.
///
/// The file is `root/manifest.jsonl` or `data.annotations`; paths are relative to it. A line is an object with
/// `image` and any of `boxes` ([x0, y0, x1, y1] each), `points` (for each instance a list of [x, y, 1 or 0]), `polygons` (for
/// each instance a list of [x, y, x, y, ...]) or `mask` (a label image, read as in the folder layout), `width` and `height`.
/// Lists of one line describe the same instances in the same order; an image without labels is allowed.
public struct ManifestDataset: SegmentationDataset {
    /// One line.
    private struct Entry: Sendable {
        let id: String
        let image: String
        let number: Int
        let range: Range<Int>
        /// Why no image can be told from the line; the faults of other lines are found when they are read.
        var fault: AnnotationFault?
    }

    private let folder: AnnotatedFolder
    private let file: AnnotationFile
    /// The manifest's folder below the root.
    private let base: String
    private let binariseThreshold: UInt8?
    private let entries: [Entry]

    /// Reads the manifest without opening an image. Throws `DatasetError` if it cannot be read or lists no image; a line at
    /// fault is an image that cannot be read.
    public init(_ options: DatasetOptions) throws(DatasetError) {
        let folder = try AnnotatedFolder(options)
        var report = AnnotationReport(stoppingAtFirstError: true)
        do throws(AnnotationFault) {
            try self.init(options, folder, &report)
        } catch {
            throw error.error
        }
        file.noteContent()
        guard !entries.isEmpty else {
            throw DatasetError(.emptyDataset, at: file.path, "lists no image", remedy: "use another manifest")
        }
    }

    public var count: Int { entries.count }

    public func id(_ index: Int) -> String { entries[index].id }

    public func histogram(_ index: Int) throws -> SampleHistogram? { try folder.histogram(entries[index].image) }

    public var seenFiles: SeenFiles? { folder.seenFiles }

    public func sample(_ index: Int) throws -> Sample {
        let line = try line(index)
        let (image, orientation) = try folder.picture(entries[index].image)
        let size = (image.width, image.height)
        let labels = try labels(line, index, size: size)
        var sample: Sample
        if let mask = line.mask {
            let (masks, values) = try masks(mask, line, index, size: size)
            sample = Sample(
                id: id(index), image: image, instances: masks,
                boxes: line.boxes == nil ? nil : labels.instances.compactMap(\.box), points: line.points)
            sample.values = values
        } else {
            sample = try labels.sample(
                id: id(index), image: image, location: location(index), isLabelled: line.polygons != nil)
        }
        sample.orientation = orientation
        return sample
    }

    /// The survey of the sample; reads a label image, but of the image only the header.
    public func survey(_ index: Int) throws -> ImageSurvey {
        let line = try line(index)
        let head = try folder.head(entries[index].image)
        let size = (width: head.width, height: head.height)
        let (labels, orientation) = (try labels(line, index, size: size), folder.unapplied(head))
        guard let mask = line.mask else {
            return try labels.survey(location: location(index), orientation: orientation)
        }
        let masks = try masks(mask, line, index, size: size).masks
        var survey = ImageSurvey(
            masks: masks, boxes: line.boxes == nil ? nil : labels.instances.compactMap(\.box), orientation: orientation)
        if line.points?.allSatisfy({ !$0.isEmpty }) == true { survey.kinds.insert(.points) }
        return survey
    }

    private func location(_ index: Int) -> String { "\(file.path): line \(entries[index].number)" }

    /// The image's name and the sizes of the image and its line in bytes.
    public func fingerprint(_ index: Int) -> String {
        let entry = entries[index]
        return "\(entry.id) \(entry.fault == nil ? folder.byteCount(entry.image) : "-")+\(entry.range.count)"
    }

    private func line(_ index: Int) throws(DatasetError) -> ManifestLine {
        do throws(AnnotationFault) {
            try file.checkUnchanged()
            let entry = entries[index]
            if let fault = entry.fault { throw fault }
            return try ManifestLine(file, entry.range, record: "line \(entry.number)") {
                fault throws(AnnotationFault) in throw fault
            }
        } catch {
            throw error.error
        }
    }

    /// The instances of a line without its label image, in an image of this size, with all checks.
    private func labels(
        _ line: ManifestLine, _ index: Int, size: (width: Int, height: Int)
    ) throws(DatasetError) -> InstanceLabels {
        if let width = line.width, let height = line.height, size != (width, height) {
            throw folder.sizeMismatch(entries[index].image, is: size, not: (width, height))
        }
        do throws(ShapeFault) {
            return try line.labels(width: size.width, height: size.height) { warning in _ = warning }
        } catch {
            throw AnnotationFault(file: location(index), error.rule, error.found).error
        }
    }

    /// The masks of a line's label image, which must be as many as the line's other labels.
    private func masks(
        _ mask: String, _ line: ManifestLine, _ index: Int, size: (width: Int, height: Int)
    ) throws -> (masks: InstanceMasks, values: [UInt16]?) {
        let relative = RelativePath.resolve(mask, from: base) ?? mask
        let (masks, values) = try folder.read(relative) { file -> (InstanceMasks, [UInt16]?) in
            if let binariseThreshold {
                return (InstanceMasks(try ImageFile.decode(file), above: binariseThreshold), nil)
            }
            return try InstanceMasks.numbered(LabelFile.decode(file), of: file.path)
        }
        try folder.check(relative, size: (masks.width, masks.height), image: entries[index].image, size)
        for (name, count) in [("boxes", line.boxes?.count), ("points", line.points?.count)] {
            guard let count, count != masks.count else { continue }
            throw AnnotationFault(
                file: location(index), .labelCount, "\(masks.count) instances in '\(mask)' but \(count) in '\(name)'"
            ).error
        }
        return (masks, values)
    }
}

// Reading and checking the whole manifest.
extension ManifestDataset {
    /// Checks every line and, by their headers, the images; records every fault.
    ///
    /// - Parameter limit: Maximum faults listed in the report; more are counted.
    public static func check(_ options: DatasetOptions, limit: Int = 10_000) throws(DatasetError) -> AnnotationReport {
        let folder = try AnnotatedFolder(options).withoutRetries()
        var report = AnnotationReport(limit: limit)
        do throws(AnnotationFault) {
            let dataset = try ManifestDataset(options, folder, &report)
            for (index, entry) in dataset.entries.enumerated() {
                guard let line = try? dataset.line(index) else { continue }
                let record = "line \(entry.number)"
                var size: (width: Int, height: Int)?
                try report.add(image: entry.image, in: folder, dataset.file.path, record) { width, height in
                    size = (width, height)
                    guard let wide = line.width, let high = line.height, (wide, high) != (width, height) else {
                        return nil
                    }
                    return (wide, high)
                }
                guard let size else { continue }
                try dataset.check(line, size: size, record: record, &report)
            }
        } catch {
            try? report.add(error)
        }
        return report
    }

    private func check(
        _ line: ManifestLine, size: (width: Int, height: Int), record: String, _ report: inout AnnotationReport
    ) throws(AnnotationFault) {
        var faults: [ShapeFault] = []
        do throws(ShapeFault) {
            let labels = try line.labels(width: size.width, height: size.height) { faults.append($0) }
            if let problem = labels.problem { faults.append(problem) }
        } catch {
            faults.append(error)
        }
        for fault in faults {
            try report.add(AnnotationFault(file: file.path, record: record, fault.rule, fault.found))
        }
        if let mask = line.mask {
            try report.add(image: RelativePath.resolve(mask, from: base) ?? mask, in: folder, file.path, record) {
                ($0, $1) == size ? nil : size
            }
        }
    }

    private init(
        _ options: DatasetOptions, _ folder: AnnotatedFolder, _ report: inout AnnotationReport
    ) throws(AnnotationFault) {
        let name = options.annotations ?? "manifest.jsonl"
        self.folder = folder
        binariseThreshold = options.binariseThreshold
        file = try folder.annotationFile(name)
        base = name.split(separator: "/").dropLast().joined(separator: "/")
        var entries: [Entry] = []
        var numbers: [String: Int] = [:]
        for (number, range) in try file.lines() {
            let record = "line \(number)"
            var first: AnnotationFault?
            do throws(AnnotationFault) {
                let line = try ManifestLine(file, range, record: record) { fault throws(AnnotationFault) in
                    first = first ?? fault
                    try report.add(fault, ofImage: number)
                }
                for path in [line.image, line.mask].compactMap({ $0 }) where !path.isEmpty {
                    if let problem = RelativePath.problem(path, from: base) {
                        throw AnnotationFault(file: file.path, record: record, offset: range.lowerBound, .path, problem)
                    }
                }
                guard !line.image.isEmpty, let image = RelativePath.resolve(line.image, from: base) else {
                    throw first ?? AnnotationFault(file: file.path, record: record, .missingKey, "'image' is missing")
                }
                let id = RelativePath.withoutExtension(image)
                if let other = numbers.updateValue(number, forKey: id) {
                    throw AnnotationFault(
                        file: file.path, record: record, offset: range.lowerBound, .duplicateImage,
                        "line \(other) has an image of the same name")
                }
                entries.append(Entry(id: id, image: image, number: number, range: range))
            } catch {
                if error != first { try report.add(error, ofImage: number) }
                entries.append(Entry(id: record, image: "", number: number, range: range, fault: error))
            }
        }
        self.entries = entries
    }
}

extension ManifestLine {
    /// The instances of the line in an image of this size; `warn` receives what is clipped. Throws unusable labels.
    fileprivate func labels(
        width: Int, height: Int, _ warn: (ShapeFault) -> Void
    ) throws(ShapeFault) -> InstanceLabels {
        let count = polygons?.count ?? boxes?.count ?? points?.count ?? 0
        var labels: [InstanceLabel] = []
        for index in 0..<count {
            var label = InstanceLabel()
            if let polygons {
                label = try COCOShape.polygons(polygons[index]).label(width: width, height: height)
            }
            if let boxes {
                if let problem = boxes[index].problem(width: width, height: height) {
                    if problem.rule.severity == .error { throw problem }
                    warn(problem)
                }
                label.box = boxes[index].clipped(width: width, height: height)
            }
            if let points {
                for point in points[index] {
                    guard point.x >= 0, point.y >= 0, point.x < Double(width), point.y < Double(height) else {
                        throw ShapeFault(.badPoint, "the point (\(point.x), \(point.y)) is outside the image")
                    }
                }
                label.points = points[index]
            }
            if !label.isEmptyMask { labels.append(label) }
        }
        return InstanceLabels(labels)
    }
}
