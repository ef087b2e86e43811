import JSONReading

/// The outline of an annotation as COCO files write it.
enum COCOShape: Equatable {
    /// No outline: null or an empty list.
    case none
    /// Polygons whose union is the mask, each as x and y of its vertices in turn.
    case polygons([[Double]])
    /// Runs down the columns.
    case runs(RunLengthEncoding)

    /// Maximum bytes of the text form of runs.
    private static let longestText = 1 << 26
    /// Maximum polygons of one annotation.
    private static let mostPolygons = 1 << 16

    /// Reads a value; on a fault calls `note` and returns nil.
    static func read(
        _ reader: inout AnnotationReader, _ note: (AnnotationRule, String) -> Void
    ) throws(AnnotationFault) -> COCOShape? {
        switch try reader.kind() {
        case .array: return try readPolygons(&reader, note)
        case .object: return try readRuns(&reader, note)
        case .literal where try reader.literal() == nil: return COCOShape.none
        default:
            if try reader.kind() != .literal { try reader.skip() }
            note(.wrongType, "a segmentation that is neither a list of polygons nor runs")
            return nil
        }
    }

    private static func readPolygons(
        _ reader: inout AnnotationReader, _ note: (AnnotationRule, String) -> Void
    ) throws(AnnotationFault) -> COCOShape? {
        var polygons: [[Double]] = []
        var isSound = true
        var areLists = true
        var coordinates: [Double] = []
        try reader.array { reader throws(AnnotationFault) in
            guard polygons.count < mostPolygons else {
                throw reader.fault(.syntax, "more than \(mostPolygons) polygons in one annotation")
            }
            guard try reader.numbers(into: &coordinates) else {
                if areLists { note(.wrongType, "a polygon that is not a list of numbers") }
                (areLists, isSound) = (false, false)
                return
            }
            do throws(ShapeFault) {
                try PolygonRasterisation.check(polygon: coordinates)
                polygons.append(coordinates)
            } catch {
                note(error.rule, error.found)
                isSound = false
            }
        }
        guard isSound else { return nil }
        return polygons.isEmpty ? COCOShape.none : .polygons(polygons)
    }

    private static func readRuns(
        _ reader: inout AnnotationReader, _ note: (AnnotationRule, String) -> Void
    ) throws(AnnotationFault) -> COCOShape? {
        var size: [Double] = []
        var counts: [Double] = []
        var text: [UInt8]?
        var hasCounts = false
        var isSound = true
        try reader.object { reader, key throws(AnnotationFault) in
            switch key {
            case "size":
                if try !reader.numbers(into: &size) || size.count != 2
                    || size.contains(where: { Int(exactly: $0) == nil })
                {
                    note(.wrongType, "a size of runs that is not [height, width]")
                    isSound = false
                }
            case "counts":
                hasCounts = true
                if try reader.kind() == .string {
                    text = try reader.stringBytes(limit: longestText)
                } else if try !reader.numbers(into: &counts, limit: 1 << 24)
                    || counts.contains(where: { Int(exactly: $0) == nil })
                {
                    note(.wrongType, "runs that are neither a list of whole numbers nor a text")
                    isSound = false
                }
            default: try reader.skip()
            }
        }
        guard isSound else { return nil }
        guard hasCounts, size.count == 2 else {
            note(.missingKey, "runs without \(hasCounts ? "size" : "counts")")
            return nil
        }
        let (height, width) = (Int(size[0]), Int(size[1]))
        do throws(ShapeFault) {
            if let text {
                return .runs(try RunLengthEncoding(compressed: text, width: width, height: height))
            }
            return .runs(try RunLengthEncoding(counts: counts.map { Int($0) }, width: width, height: height))
        } catch {
            note(error.rule, error.found)
            return nil
        }
    }

    /// The masks whose union is the shape's, for an image of this size; none if there is no outline.
    func encodings(width: Int, height: Int) throws(ShapeFault) -> [RunLengthEncoding] {
        switch self {
        case .none: return []
        case .polygons(let polygons):
            var encodings: [RunLengthEncoding] = []
            for polygon in polygons {
                encodings.append(try PolygonRasterisation.encode(polygon: polygon, width: width, height: height))
            }
            return encodings
        case .runs(let runs):
            guard runs.width == width, runs.height == height else {
                throw ShapeFault(.maskSize, "the runs are \(runs.width)x\(runs.height), the image \(width)x\(height)")
            }
            return [runs]
        }
    }
    /// The masks and the largest polygon for an image of this size.
    func label(width: Int, height: Int) throws(ShapeFault) -> InstanceLabel {
        var label = InstanceLabel(masks: try encodings(width: width, height: height))
        if case .polygons(let polygons) = self {
            for polygon in polygons { label.offer(polygon: polygon) }
        }
        return label
    }
}

/// The box of an annotation as COCO files write it: x, y, width and height.
enum COCOBox {
    /// Reads a value; on a fault calls `note`, and returns nil if it is not a box at all.
    static func read(
        _ reader: inout AnnotationReader, _ note: (AnnotationRule, String) -> Void
    ) throws(AnnotationFault) -> SIMD4<Double>? {
        var numbers: [Double] = []
        guard try reader.numbers(into: &numbers), numbers.count == 4 else {
            note(.wrongType, "'bbox' is not [x, y, width, height]")
            return nil
        }
        let box = SIMD4(numbers[0], numbers[1], numbers[2], numbers[3])
        for index in 0..<4 where !(abs(box[index]) <= PolygonRasterisation.coordinateLimit) {
            note(.notFinite, "'bbox' holds \(box[index])")
            return nil
        }
        if box.z < 0 || box.w < 0 {
            note(.badBox, "a box of \(box.z) x \(box.w)")
        } else if box.z == 0 || box.w == 0 {
            note(.emptyBox, "a box of \(box.z) x \(box.w)")
        }
        return box
    }
}
