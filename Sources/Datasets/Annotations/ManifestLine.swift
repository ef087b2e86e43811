import JSONReading

/// One line of a manifest: an image and its labels of any kinds.
struct ManifestLine: Equatable {
    /// The path of the image relative to the manifest.
    var image = ""
    var width: Int?
    var height: Int?
    /// Boxes as the corners [x0, y0, x1, y1] on the axes of `Box`.
    var boxes: [Box]?
    /// The points of each instance.
    var points: [[LabelledPoint]]?
    /// For each instance, polygons whose union is its mask.
    var polygons: [[[Double]]]?
    /// The path of a label image relative to the manifest.
    var mask: String?

    /// Maximum reported faults of one line.
    private static let mostFaults = 100
    private static let keys = ["boxes", "height", "image", "mask", "points", "polygons", "width"]

    /// Reads a line; every fault goes to `add`, which ends the reading by throwing. Throws a fault of its syntax.
    init(
        _ file: AnnotationFile, _ range: Range<Int>, record: String,
        _ add: (AnnotationFault) throws(AnnotationFault) -> Void
    ) throws(AnnotationFault) {
        var reader = AnnotationReader(file, range)
        var faults: [(rule: AnnotationRule, found: String)] = []
        func note(_ rule: AnnotationRule, _ found: String) {
            // Each element of a misplaced list would repeat the same fault.
            guard faults.count < Self.mostFaults, faults.last?.rule != rule || faults.last?.found != found else {
                return
            }
            faults.append((rule, found))
        }
        do throws(AnnotationFault) {
            if try reader.kind() == .object {
                try reader.object { reader, key throws(AnnotationFault) in
                    try readMember(&reader, key, note)
                }
            } else {
                try reader.skip()
                faults.append((.wrongType, "a line that is not an object"))
            }
            try reader.finish()
        } catch {
            throw error.inside(record)
        }
        if faults.isEmpty { checkTogether(note) }
        for fault in faults {
            try add(
                AnnotationFault(file: file.path, record: record, offset: range.lowerBound, fault.rule, fault.found))
        }
    }

    private mutating func readMember(
        _ reader: inout AnnotationReader, _ key: String, _ note: (AnnotationRule, String) -> Void
    ) throws(AnnotationFault) {
        switch key {
        case "image", "mask":
            let path = try reader.stringOrNil()
            if path == nil { note(.wrongType, "'\(key)' is not a text") }
            if key == "image" { image = path ?? "" } else { mask = path }
        case "width", "height":
            let value = try reader.integerOrNil()
            if value.map({ $0 > 0 }) != true { note(.wrongType, "'\(key)' is not a positive whole number") }
            if key == "width" { width = value } else { height = value }
        case "boxes": boxes = try Self.readBoxes(&reader, note)
        case "points": points = try Self.readPoints(&reader, note)
        case "polygons":
            polygons = try Self.readList(&reader, key, note) { reader throws(AnnotationFault) in
                switch try COCOShape.read(&reader, note) {
                case .polygons(let polygons): return polygons
                case nil: return nil
                default:
                    note(.wrongType, "an instance of 'polygons' that is not a list of polygons")
                    return nil
                }
            }
        default:
            note(.unknownKey, "'\(key)' is none of " + Self.keys.joined(separator: ", "))
            try reader.skip()
        }
    }

    private static func readBoxes(
        _ reader: inout AnnotationReader, _ note: (AnnotationRule, String) -> Void
    ) throws(AnnotationFault) -> [Box]? {
        var corners: [Double] = []
        return try readList(&reader, "boxes", note) { reader throws(AnnotationFault) in
            guard try reader.numbers(into: &corners), corners.count == 4 else {
                note(.wrongType, "a box that is not [x0, y0, x1, y1]")
                return nil
            }
            if let corner = corners.first(where: { !(abs($0) <= PolygonRasterisation.coordinateLimit) }) {
                note(.notFinite, "a box with the corner \(corner)")
                return nil
            }
            let box = Box(x0: corners[0], y0: corners[1], x1: corners[2], y1: corners[3])
            if box.x1 <= box.x0 || box.y1 <= box.y0 { note(.badBox, "the box \(corners) is empty") }
            return box
        }
    }

    private static func readPoints(
        _ reader: inout AnnotationReader, _ note: (AnnotationRule, String) -> Void
    ) throws(AnnotationFault) -> [[LabelledPoint]]? {
        var numbers: [Double] = []
        return try readList(&reader, "points", note) { reader throws(AnnotationFault) in
            try readList(&reader, "points", note) { reader throws(AnnotationFault) in
                guard try reader.numbers(into: &numbers), numbers.count == 3 else {
                    note(.wrongType, "a point that is not [x, y, label]")
                    return nil
                }
                guard numbers[2] == 0 || numbers[2] == 1 else {
                    note(
                        .badValue,
                        "a point of the label \(numbers[2]), which is neither 1 (on the object) nor 0 (off it)")
                    return nil
                }
                guard abs(numbers[0]) <= PolygonRasterisation.coordinateLimit,
                    abs(numbers[1]) <= PolygonRasterisation.coordinateLimit
                else {
                    note(.notFinite, "the point (\(numbers[0]), \(numbers[1]))")
                    return nil
                }
                return LabelledPoint(x: numbers[0], y: numbers[1], isForeground: numbers[2] == 1)
            }
        }
    }

    /// Consumes a list; elements that are nil are left out, since their fault was recorded.
    private static func readList<Element>(
        _ reader: inout AnnotationReader, _ key: String, _ note: (AnnotationRule, String) -> Void,
        _ element: (inout AnnotationReader) throws(AnnotationFault) -> Element?
    ) throws(AnnotationFault) -> [Element]? {
        guard try reader.kind() == .array else {
            note(.wrongType, "'\(key)' is not a list of lists")
            try reader.skip()
            return nil
        }
        var elements: [Element] = []
        try reader.array { reader throws(AnnotationFault) in
            if let value = try element(&reader) { elements.append(value) }
        }
        return elements
    }

    private func checkTogether(_ note: (AnnotationRule, String) -> Void) {
        guard !image.isEmpty else { return note(.missingKey, "'image' is missing") }
        if (width == nil) != (height == nil) { note(.missingKey, "'width' and 'height' belong together") }
        if mask != nil, polygons != nil { note(.labelCount, "both 'mask' and 'polygons'") }
        let counts = [("boxes", boxes?.count), ("points", points?.count), ("polygons", polygons?.count)]
            .compactMap { name, count in count.map { (name, $0) } }
        if let first = counts.first, let other = counts.first(where: { $0.1 != first.1 }) {
            note(.labelCount, "\(first.1) instances in '\(first.0)' but \(other.1) in '\(other.0)'")
        }
    }
}

extension AnnotationFile {
    /// The ranges of the lines that are not blank, without their ends; line numbers count from 1.
    func lines() throws(AnnotationFault) -> [(number: Int, range: Range<Int>)] {
        var lines: [(number: Int, range: Range<Int>)] = []
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 1)
        defer { buffer.deallocate() }
        var (number, start, offset, isBlank) = (1, textStart, textStart, true)
        while true {
            let count = try read(into: buffer, at: offset)
            for index in 0..<count {
                let byte = buffer[index]
                if byte == 0x0a {
                    if !isBlank { lines.append((number, start..<offset + index)) }
                    (number, start, isBlank) = (number + 1, offset + index + 1, true)
                } else if byte != 0x20, byte != 0x0d, byte != 0x09 {
                    isBlank = false
                }
            }
            offset += count
            if count < buffer.count { break }
        }
        if !isBlank { lines.append((number, start..<offset)) }
        return lines
    }
}
