public import Imaging

/// A folder of LabelMe files, each of which names its image, in order of the files' names.
///
/// The files are in `root` or in the folder `data.annotations` below it. Polygons and circles give masks, rectangles
/// boxes, points point prompts, on the object unless the shape has the flag `background`. Shapes of one label and one
/// `group_id` are one instance. Polygons are filled as in COCO; a circle has the pixels with their centres in it.
/// Pictures embedded in the files (`imageData`) are not read.
public struct LabelMeDataset: SegmentationDataset {
    /// Where a published data set has its files.
    struct Layout {
        /// The folder of LabelMe files.
        var files: String
        /// The folder of the images, `NAME.jpg` to `NAME.json`; what the files say of their images is not used.
        var images: String
    }

    private var folder: AnnotatedFolder
    private let annotationsFolder: String
    private let imagesFolder: String?
    private let names: [String]
    public internal(set) var publishedSplit: (training: [Int], evaluation: [Int])?

    /// Lists the folder without reading the files. Throws `DatasetError` if it holds no JSON file, or two of one name.
    public init(_ options: DatasetOptions) throws(DatasetError) {
        try self.init(options, nil)
    }

    /// The same in a published layout.
    init(
        _ options: DatasetOptions, _ layout: Layout?, noting note: DatasetNote = DatasetRegistry.refuse
    ) throws(DatasetError) {
        folder = try AnnotatedFolder(options)
        annotationsFolder = layout?.files ?? options.annotations ?? ""
        imagesFolder = layout?.images
        names = try folder.names(in: annotationsFolder, extensions: ["json"])
        guard !names.isEmpty else {
            throw DatasetError(
                .emptyDataset, at: folder.path(annotationsFolder), "holds no JSON file",
                remedy: "name the folder of LabelMe files in data.annotations")
        }
        _ = try LabelledImages.byName(names, annotationsFolder, folder, noting: note)
    }

    public var count: Int { names.count }

    public func id(_ index: Int) -> String { RelativePath.withoutExtension(names[index]) }

    public func sample(_ index: Int) throws -> Sample {
        let (file, image) = try read(index)
        let (pixels, orientation) = try folder.picture(image)
        let size = (pixels.width, pixels.height)
        var sample = try labels(index, file, image: image, size: size)
            .sample(id: id(index), image: pixels, location: path(index))
        sample.orientation = orientation
        return sample
    }

    /// The masks of the sample; of the image only the header is read.
    public func masks(_ index: Int) throws -> InstanceMasks? {
        let (file, image) = try read(index)
        let size = try folder.size(image)
        return try labels(index, file, image: image, size: size)
            .masks(width: size.width, height: size.height, location: path(index))
    }

    public func files(_ index: Int) -> [String] { ((try? read(index)).map { [$0.image] } ?? []) + [name(index)] }

    public func histogram(_ index: Int) throws -> SampleHistogram? { try folder.histogram(read(index).image) }

    public var seenFiles: SeenFiles? { folder.seenFiles }

    /// The survey of the sample; reads the header of the image.
    public func survey(_ index: Int) throws -> ImageSurvey {
        let (file, image) = try read(index)
        let head = try folder.head(image)
        return try labels(index, file, image: image, size: (head.width, head.height))
            .survey(location: path(index), orientation: folder.unapplied(head))
    }

    /// The file's name and its size in bytes; the image is not looked up.
    public func fingerprint(_ index: Int) -> String {
        id(index) + " " + folder.byteCount(name(index))
    }

    /// The path of a file below the root.
    private func name(_ index: Int) -> String {
        annotationsFolder.isEmpty ? names[index] : annotationsFolder + "/" + names[index]
    }

    private func path(_ index: Int) -> String { folder.path(name(index)) }

    /// A file and the path of its image below the root.
    private func read(_ index: Int) throws(DatasetError) -> (file: LabelMeFile, image: String) {
        do throws(AnnotationFault) {
            let file = try LabelMeFile(folder.annotationFile(name(index))) { fault throws(AnnotationFault) in
                throw fault
            }
            return (file, try imagePath(index, file))
        } catch {
            throw error.error
        }
    }

    private func imagePath(_ index: Int, _ file: LabelMeFile) throws(AnnotationFault) -> String {
        if let imagesFolder { return "\(imagesFolder)/\(id(index)).jpg" }
        if let problem = RelativePath.problem(file.imagePath, from: annotationsFolder) {
            throw AnnotationFault(file: path(index), .path, problem)
        }
        return RelativePath.resolve(file.imagePath, from: annotationsFolder) ?? file.imagePath
    }

    private func labels(
        _ index: Int, _ file: LabelMeFile, image: String, size: (width: Int, height: Int)
    ) throws(DatasetError) -> InstanceLabels {
        if let stated = file.size, stated != size { throw folder.sizeMismatch(image, is: size, not: stated) }
        do throws(AnnotationFault) {
            return try Self.labels(file.shapes, size: size, path: path(index)) { fault throws(AnnotationFault) in
                if fault.rule.severity == .error { throw fault }
            }
        } catch {
            throw error.error
        }
    }

    /// The instances of the shapes in an image of this size.
    private static func labels(
        _ shapes: [LabelMeFile.Shape], size: (width: Int, height: Int), path: String,
        _ add: (AnnotationFault) throws(AnnotationFault) -> Void
    ) throws(AnnotationFault) -> InstanceLabels {
        var labels: [InstanceLabel] = []
        var places: [[String?]: Int] = [:]
        for (index, shape) in shapes.enumerated() {
            var place = labels.count
            if let group = shape.group {
                let key = [shape.label, String(group)]
                place = places[key] ?? place
                places[key] = place
            }
            if place == labels.count { labels.append(InstanceLabel()) }
            var fault: ShapeFault?
            do throws(ShapeFault) {
                fault = try labels[place].add(shape, width: size.width, height: size.height)
            } catch {
                fault = error
            }
            if let fault {
                try add(AnnotationFault(file: path, record: "shapes[\(index)]", fault.rule, fault.found))
            }
        }
        return InstanceLabels(labels.filter { !$0.isEmptyMask && $0 != InstanceLabel() })
    }

    /// Checks every file and, by their headers, the images; records every fault.
    ///
    /// - Parameter limit: Maximum faults listed in the report; more are counted.
    public static func check(_ options: DatasetOptions, limit: Int = 10_000) throws(DatasetError) -> AnnotationReport {
        try check(options, nil, limit: limit)
    }

    /// The same in a published layout.
    static func check(
        _ options: DatasetOptions, _ layout: Layout?, limit: Int
    ) throws(DatasetError) -> AnnotationReport {
        var report = AnnotationReport(limit: limit)
        var dataset = try LabelMeDataset(options, layout) { twin throws(DatasetError) in
            try? report.add(AnnotationFault(file: twin.location, .duplicateImage, twin.problem))
        }
        dataset.folder = dataset.folder.withoutRetries()
        var owners: [String: String] = [:]
        for index in 0..<dataset.count {
            try? dataset.check(index, &report, &owners)
        }
        return report
    }

    /// Records the faults of one file. Throws after one that makes further checks of it pointless.
    private func check(
        _ index: Int, _ report: inout AnnotationReport, _ owners: inout [String: String]
    ) throws(AnnotationFault) {
        let path = path(index)
        do throws(AnnotationFault) {
            let file = try LabelMeFile(folder.annotationFile(name(index))) { fault throws(AnnotationFault) in
                try report.add(fault)
            }
            guard !file.imagePath.isEmpty else { return }
            let image = try imagePath(index, file)
            if let other = owners.updateValue(names[index], forKey: image) {
                try report.add(AnnotationFault(file: path, .duplicateImage, "\(other) is for the same image"))
            }
            var size: (width: Int, height: Int)?
            try report.add(image: image, in: folder, path, nil) { width, height in
                size = (width, height)
                return file.size.flatMap { $0 == (width, height) ? nil : $0 }
            }
            guard let size else { return }
            let labels = try Self.labels(file.shapes, size: size, path: path) { fault throws(AnnotationFault) in
                try report.add(fault)
            }
            if let problem = labels.problem {
                try report.add(AnnotationFault(file: path, problem.rule, problem.found))
            }
        } catch {
            try report.add(error)
        }
    }
}

extension InstanceLabel {
    /// Adds a shape in an image of this size; returns a minor fault, throws a serious one.
    fileprivate mutating func add(_ shape: LabelMeFile.Shape, width: Int, height: Int) throws(ShapeFault) -> ShapeFault?
    {
        let numbers = shape.coordinates
        switch shape.kind {
        case .polygon:
            masks.append(try PolygonRasterisation.encode(polygon: numbers, width: width, height: height))
            offer(polygon: numbers)
        case .circle:
            let radius =
                ((numbers[2] - numbers[0]) * (numbers[2] - numbers[0])
                + (numbers[3] - numbers[1]) * (numbers[3] - numbers[1])).squareRoot()
            masks.append(
                try PolygonRasterisation.encode(
                    discAround: (numbers[0], numbers[1]), radius: radius, width: width, height: height))
        case .rectangle:
            let rectangle = Box(
                x0: min(numbers[0], numbers[2]), y0: min(numbers[1], numbers[3]), x1: max(numbers[0], numbers[2]),
                y1: max(numbers[1], numbers[3]))
            let problem = rectangle.problem(width: width, height: height)
            if let problem, problem.rule.severity == .error { throw problem }
            guard box == nil else { throw ShapeFault(.labelCount, "a second rectangle in one group") }
            box = rectangle.clipped(width: width, height: height)
            return problem
        case .point:
            guard numbers[0] >= 0, numbers[1] >= 0, numbers[0] <= Double(width), numbers[1] <= Double(height) else {
                throw ShapeFault(.badPoint, "the point (\(numbers[0]), \(numbers[1])) is outside the image")
            }
            // LabelMe's coordinates are continuous; a point prompt is the index of a pixel.
            points.append(
                LabelledPoint(
                    x: min(numbers[0].rounded(.down), Double(width - 1)),
                    y: min(numbers[1].rounded(.down), Double(height - 1)), isForeground: !shape.isBackground))
        }
        return nil
    }
}
