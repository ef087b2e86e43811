import JSONReading

/// The boxes of Kvasir-SEG: `{NAME: {"height": H, "width": W, "bbox": [{"xmin": x, "ymin": y, "xmax": x, "ymax": y}]}}`.
struct KvasirBoxes {
    /// One image.
    struct Image: Equatable, Sendable {
        var id: String
        var width = 0
        var height = 0
        /// Clipped to the image, right and bottom exclusive.
        var boxes: [Box] = []
        /// The fault that makes the record unusable.
        var fault: AnnotationFault?
    }

    /// The images in the order of the file, including those with faulty records.
    private(set) var images: [Image] = []

    private static let mostImages = 20_000

    /// Reads a file below the root and records every fault; after a JSON fault the images before it are available.
    init(_ list: String, in folder: AnnotatedFolder, _ report: inout AnnotationReport) {
        do throws(AnnotationFault) {
            try read(list, in: folder, &report)
        } catch {
            // A report that does not stop at the first error lists this one too.
            try? report.add(error)
        }
    }

    private mutating func read(
        _ list: String, in folder: AnnotatedFolder, _ report: inout AnnotationReport
    ) throws(AnnotationFault) {
        guard folder.exists(list) else {
            throw AnnotationFault(
                file: folder.path(list), .unreadable,
                "is missing; it holds the boxes of the data set (data.annotations can name another file)")
        }
        var reader = AnnotationReader(try folder.annotationFile(list))
        guard try reader.kind() == .object else { throw reader.fault(.wrongType, "the boxes are not an object") }
        try reader.object(
            limit: Self.mostImages, repeated: { fault throws(AnnotationFault) in try report.add(fault) }
        ) { reader, id throws(AnnotationFault) in
            let record = "image \(id.debugDescription)"
            do throws(AnnotationFault) {
                let isName = !id.isEmpty && !id.contains("/") && !id.utf8.contains(0)
                _ = try reader.peek()
                let start = reader.offset
                var (image, faults) = try Self.image(id, &reader)
                if !isName { faults.add(.path, "the name \(id.debugDescription) is not a file name") }
                for fault in faults.faults {
                    let fault = AnnotationFault(
                        file: reader.path, record: record, offset: start, fault.rule, fault.found)
                    if fault.rule.severity == .error { image.fault = image.fault ?? fault }
                    try report.add(fault)
                }
                if isName { images.append(image) }
            } catch {
                throw error.inside(record)
            }
        }
        try reader.finish()
        if images.isEmpty, report.errors == 0 { throw reader.fault(.missingKey, "no image") }
    }

    private static func image(
        _ id: String, _ reader: inout AnnotationReader
    ) throws(AnnotationFault) -> (image: Image, faults: RecordFaults) {
        var image = Image(id: id)
        var faults = RecordFaults()
        guard try reader.kind() == .object else {
            try reader.skip()
            faults.add(.wrongType, "an image that is not an object")
            return (image, faults)
        }
        var seen: [String] = []
        var corners: [Box] = []
        try reader.object { reader, key throws(AnnotationFault) in
            switch key {
            case "height", "width":
                seen.append(key)
                guard let value = try reader.integerOrNil(), value > 0 else {
                    faults.add(.wrongType, "'\(key)' is not a positive whole number")
                    return
                }
                if key == "width" { image.width = value } else { image.height = value }
            case "bbox":
                seen.append(key)
                guard try reader.kind() == .array else {
                    try reader.skip()
                    faults.add(.wrongType, "'bbox' is not a list")
                    return
                }
                try reader.array { reader throws(AnnotationFault) in
                    if let box = try Self.box(&reader, &faults) { corners.append(box) }
                }
            default: try reader.skip()
            }
        }
        for key in ["height", "width", "bbox"] where !seen.contains(key) {
            faults.add(.missingKey, "'\(key)' is missing")
        }
        guard image.width > 0, image.height > 0 else { return (image, faults) }
        for box in corners {
            if let problem = box.problem(width: image.width, height: image.height) { faults.add(problem) }
            image.boxes.append(box.clipped(width: image.width, height: image.height))
        }
        return (image, faults)
    }

    /// The box of xmin, ymin, xmax and ymax; nil if it is faulty.
    private static func box(_ reader: inout AnnotationReader, _ faults: inout RecordFaults) throws(AnnotationFault)
        -> Box?
    {
        guard try reader.kind() == .object else {
            try reader.skip()
            faults.add(.wrongType, "a box that is not an object")
            return nil
        }
        let keys = ["xmin", "ymin", "xmax", "ymax"]
        var corners: [Double?] = [nil, nil, nil, nil]
        var seen: [String] = []
        try reader.object { reader, key throws(AnnotationFault) in
            guard let place = keys.firstIndex(of: key) else { return try reader.skip() }
            seen.append(key)
            if let number = try reader.numberOrNil(), abs(number) <= PolygonRasterisation.coordinateLimit {
                corners[place] = number
            } else {
                faults.add(.wrongType, "'\(key)' is not a coordinate")
            }
        }
        for key in keys where !seen.contains(key) {
            faults.add(.missingKey, "a box without '\(key)'")
        }
        let numbers = corners.compactMap { $0 }
        return numbers.count == 4 ? Box(x0: numbers[0], y0: numbers[1], x1: numbers[2], y1: numbers[3]) : nil
    }
}
