import JSONReading

/// Reads the sections of a COCO file and checks them.
struct COCOParser: ~Copyable {
    var report: AnnotationReport
    private(set) var images: [COCOAnnotations.Image] = []
    private(set) var categories: [COCOAnnotations.Category] = []
    private(set) var columns = COCOColumns()

    private var imageOffsets: [Int] = []
    private var imageIDs: Set<Int> = []
    private var annotationIDs: Set<Int> = []
    private var categoryIDs: Set<Int> = []
    /// Faults of the record being read, whose number may be its last member.
    private var pending: [(rule: AnnotationRule, found: String)] = []
    private var isRecordSound = true
    /// The number of the image that the record being read belongs to, where only that image is at fault.
    private var imageOfRecord: Int?

    init(report: AnnotationReport) { self.report = report }

    /// Reads the whole text. Throws a fault of its syntax, or the first error if the report stops at that.
    mutating func read(_ reader: inout AnnotationReader) throws(AnnotationFault) {
        guard try reader.kind() == .object else {
            throw reader.fault(.wrongType, "a COCO file is an object with images and annotations")
        }
        var sections: Set<String> = []
        try readSections(&reader, &sections)
        try reader.finish()
        for section in ["images", "annotations"] where !sections.contains(section) {
            try report.add(AnnotationFault(file: reader.path, .missingKey, "the list '\(section)' is missing"))
        }
    }

    private mutating func readSections(
        _ reader: inout AnnotationReader, _ sections: inout Set<String>
    ) throws(AnnotationFault) {
        try reader.object { reader, section throws(AnnotationFault) in
            sections.insert(section)
            switch section {
            case "images":
                try readList(&reader, section) { parser, reader throws(AnnotationFault) in
                    try parser.readImage(&reader)
                }
            case "annotations":
                try readList(&reader, section) { parser, reader throws(AnnotationFault) in
                    try parser.readAnnotation(&reader)
                }
            case "categories":
                try readList(&reader, section) { parser, reader throws(AnnotationFault) in
                    try parser.readCategory(&reader)
                }
            default: try reader.skip()
            }
        }
    }

    /// Reads a list of records; `record` returns the record's name.
    private mutating func readList(
        _ reader: inout AnnotationReader, _ section: String,
        _ record: (inout COCOParser, inout AnnotationReader) throws(AnnotationFault) -> String?
    ) throws(AnnotationFault) {
        if section == "categories", try reader.takesNull() { return }
        guard try reader.kind() == .array else {
            try report.add(reader.fault(.wrongType, "'\(section)' is not a list"))
            try reader.skip()
            return
        }
        var index = 0
        try reader.array { reader throws(AnnotationFault) in
            let isObject = try reader.kind() == .object
            let start = reader.offset
            pending.removeAll(keepingCapacity: true)
            isRecordSound = true
            imageOfRecord = nil
            var name: String?
            if isObject {
                do throws(AnnotationFault) {
                    name = try record(&self, &reader)
                } catch {
                    throw error.inside("\(section)[\(index)]")
                }
            } else {
                note(.wrongType, "a record that is not an object")
                try reader.skip()
            }
            for fault in pending {
                try report.add(
                    AnnotationFault(
                        file: reader.path, record: name ?? "\(section)[\(index)]", offset: start, fault.rule,
                        fault.found), ofImage: imageOfRecord)
            }
            index += 1
        }
    }

    private mutating func note(_ rule: AnnotationRule, _ found: String) {
        pending.append((rule, found))
        if rule.severity == .error { isRecordSound = false }
    }

    private mutating func integer(_ reader: inout AnnotationReader, _ key: String) throws(AnnotationFault) -> Int? {
        let value = try reader.integerOrNil()
        if value == nil { note(.wrongType, "'\(key)' is not a whole number") }
        return value
    }

    private mutating func string(_ reader: inout AnnotationReader, _ key: String) throws(AnnotationFault) -> String? {
        let value = try reader.stringOrNil()
        if value == nil { note(.wrongType, "'\(key)' is not a text") }
        return value
    }

    /// Records required keys that are neither present nor already reported with a wrong type.
    private mutating func require(_ values: [(key: String, isThere: Bool)], _ seen: [String]) {
        for value in values where !value.isThere && !seen.contains(value.key) {
            note(.missingKey, "'\(value.key)' is missing")
        }
    }

    // MARK: Records

    private mutating func readImage(_ reader: inout AnnotationReader) throws(AnnotationFault) -> String? {
        let start = reader.offset
        var id: Int?
        var fileName: String?
        var width: Int?
        var height: Int?
        var seen: [String] = []
        try reader.object { reader, key throws(AnnotationFault) in
            seen.append(key)
            switch key {
            case "id": id = try integer(&reader, key)
            case "file_name": fileName = try string(&reader, key)
            case "width": width = try integer(&reader, key)
            case "height": height = try integer(&reader, key)
            default: try reader.skip()
            }
        }
        require(["id", "file_name", "width", "height"].map { ($0, false) }, seen)
        if let width, let height {
            do throws(ShapeFault) {
                _ = try RunLengthEncoding.pixels(width: width, height: height)
            } catch {
                note(.badValue, "an image of \(width)x\(height) pixels")
            }
        }
        if let fileName, let problem = RelativePath.problem(fileName) { note(.path, problem) }
        guard let id else { return nil }
        guard imageIDs.insert(id).inserted else {
            note(.duplicateImage, "another image has this number")
            return "image \(id)"
        }
        // A faulty image keeps its number, so that its annotations are not reported as belonging to no image.
        images.append(
            COCOAnnotations.Image(
                id: id, fileName: fileName ?? "", width: isRecordSound ? width ?? 0 : 0,
                height: isRecordSound ? height ?? 0 : 0))
        imageOffsets.append(start)
        return "image \(id)"
    }

    private mutating func readCategory(_ reader: inout AnnotationReader) throws(AnnotationFault) -> String? {
        var id: Int?
        var name: String?
        var seen: [String] = []
        try reader.object { reader, key throws(AnnotationFault) in
            seen.append(key)
            switch key {
            case "id": id = try integer(&reader, key)
            case "name": name = try string(&reader, key)
            default: try reader.skip()
            }
        }
        require([("id", false), ("name", false)], seen)
        guard let id else { return nil }
        if categoryIDs.insert(id).inserted {
            categories.append(COCOAnnotations.Category(id: id, name: name ?? ""))
        } else {
            note(.duplicateCategory, "another category has this number")
        }
        return "category \(id)"
    }

    private mutating func readAnnotation(_ reader: inout AnnotationReader) throws(AnnotationFault) -> String? {
        let start = reader.offset
        var id: Int?
        var image: Int?
        var category: Int?
        var (isCrowd, hasAttributes) = (false, false)
        var box: SIMD4<Double>?
        var outline = 0..<0
        var maskSize = SIMD2<Int32>()
        var seen: [String] = []
        try reader.object { reader, key throws(AnnotationFault) in
            switch key {
            case "id":
                id = try integer(&reader, key)
                seen.append(key)
            case "image_id":
                image = try integer(&reader, key)
                seen.append(key)
            case "category_id":
                if try !reader.takesNull() { category = try integer(&reader, key) }
            case "iscrowd":
                if try !reader.takesNull() { isCrowd = try flag(&reader, key) }
            case "attributes":
                hasAttributes = true
                try reader.skip()
            case "bbox":
                if try reader.takesNull() { return }
                box = try COCOBox.read(&reader) { note($0, $1) }
                seen.append(key)
            case "segmentation":
                _ = try reader.peek()
                let first = reader.offset
                let shape = try COCOShape.read(&reader) { note($0, $1) }
                guard shape != COCOShape.none else { return }
                outline = first..<reader.offset
                seen.append(key)
                if case .runs(let runs) = shape { maskSize = [Int32(runs.width), Int32(runs.height)] }
            default: try reader.skip()
            }
        }
        require([("id", false), ("image_id", false)], seen)
        if !seen.contains("bbox"), !seen.contains("segmentation") {
            note(.noLabel, "neither 'bbox' nor 'segmentation'")
        }
        imageOfRecord = image
        guard let id else { return nil }
        if !annotationIDs.insert(id).inserted { note(.duplicateAnnotation, "another annotation has this number") }
        guard let image else { return "annotation \(id)" }
        columns.ids.append(id)
        columns.images.append(image)
        columns.categories.append(category ?? COCOColumns.noCategory)
        columns.isCrowd.append(isCrowd)
        columns.boxes.append(box ?? SIMD4(.nan, .nan, .nan, .nan))
        columns.offsets.append(start)
        columns.outlineOffsets.append(outline.lowerBound)
        columns.outlineLengths.append(Int32(clamping: outline.count))
        columns.maskSizes.append(maskSize)
        columns.crowds.add(isCrowd: isCrowd, hasOutline: !outline.isEmpty, isRuns: maskSize.x > 0, hasAttributes)
        return "annotation \(id)"
    }

    private mutating func flag(_ reader: inout AnnotationReader, _ key: String) throws(AnnotationFault) -> Bool {
        if try reader.kind() == .literal { return try reader.literal() ?? false }
        let value = try reader.integerOrNil()
        if value != 0 && value != 1 { note(.wrongType, "'\(key)' is neither 0 nor 1") }
        return value == 1
    }

    // MARK: References

    /// Sorts the images and performs the checks of annotations that need all images.
    mutating func resolve(file: String) throws(AnnotationFault) {
        let order = images.indices.sorted { images[$0].id < images[$1].id }
        images = order.map { images[$0] }
        imageOffsets = order.map { imageOffsets[$0] }
        try checkNames(file: file)
        var place: [Int: Int] = [:]
        place.reserveCapacity(images.count)
        for (index, image) in images.enumerated() { place[image.id] = index }
        try checkFaultyImages(place)
        for annotation in 0..<columns.count {
            func fault(_ rule: AnnotationRule, _ found: String) -> AnnotationFault {
                AnnotationFault(
                    file: file, record: "annotation \(columns.ids[annotation])", offset: columns.offsets[annotation],
                    rule, found)
            }
            let category = columns.categories[annotation]
            if category != COCOColumns.noCategory, !categories.isEmpty, !categoryIDs.contains(category) {
                try report.add(fault(.unknownCategory, "no category has the number \(category)"))
            }
            guard let index = place[columns.images[annotation]] else {
                try report.add(fault(.unknownImage, "no image has the number \(columns.images[annotation])"))
                columns.images[annotation] = -1
                continue
            }
            columns.images[annotation] = index
            if let problem = sizeProblem(annotation, images[index]) {
                try report.add(fault(problem.rule, problem.found), ofImage: images[index].id)
            }
        }
    }

    /// Throws the fault of an annotation whose image is not listed, so that no image would be left out for it.
    private func checkFaultyImages(_ place: [Int: Int]) throws(AnnotationFault) {
        if let number = report.imageFaults.keys.filter({ place[$0] == nil }).min(),
            let fault = report.imageFaults[number]
        {
            throw fault
        }
    }

    /// Checks for two images of one name, which would be one image twice.
    private mutating func checkNames(file: String) throws(AnnotationFault) {
        var names: [String: Int] = [:]
        for (index, image) in images.enumerated() where !image.fileName.isEmpty {
            guard let other = names.updateValue(image.id, forKey: RelativePath.withoutExtension(image.fileName)) else {
                continue
            }
            try report.add(
                AnnotationFault(
                    file: file, record: "image \(image.id)", offset: imageOffsets[index], .duplicateImage,
                    "image \(other) has the same name"))
        }
    }

    /// The fault of an annotation that does not fit the size of its image.
    private func sizeProblem(_ annotation: Int, _ image: COCOAnnotations.Image) -> ShapeFault? {
        guard image.width > 0 else { return nil }
        let size = columns.maskSizes[annotation]
        if size.x > 0, Int(size.x) != image.width || Int(size.y) != image.height {
            return ShapeFault(
                .maskSize, "the runs are \(size.x)x\(size.y), the image \(image.width)x\(image.height)")
        }
        let box = columns.boxes[annotation]
        guard box.z > 0, box.w > 0 else { return nil }
        let corners = Box(x0: box.x, y0: box.y, x1: box.x + box.z, y1: box.y + box.w)
        return corners.problem(width: image.width, height: image.height)
    }
}

extension Box {
    /// What is wrong with a box in an image of this size.
    package func problem(width: Int, height: Int) -> ShapeFault? {
        let (right, bottom) = (Double(width), Double(height))
        var text: String { "the box [\(x0), \(y0), \(x1), \(y1)]" }
        guard x1 > x0, y1 > y0 else { return ShapeFault(.badBox, "\(text) is empty") }
        guard x0 < right, y0 < bottom, x1 > 0, y1 > 0 else {
            return ShapeFault(.badBox, "\(text) is outside the image of \(width)x\(height)")
        }
        guard x0 >= -1, y0 >= -1, x1 <= right + 1, y1 <= bottom + 1 else {
            return ShapeFault(.clippedBox, "\(text) extends over the edge of the image of \(width)x\(height)")
        }
        return nil
    }

    /// The part inside an image of this size.
    func clipped(width: Int, height: Int) -> Box {
        Box(
            x0: min(max(x0, 0), Double(width)), y0: min(max(y0, 0), Double(height)),
            x1: min(max(x1, 0), Double(width)), y1: min(max(y1, 0), Double(height)))
    }
}
