import Foundation
import JSONReading

/// One LabelMe file: the shapes of one image.
struct LabelMeFile {
    /// A shape.
    struct Shape: Equatable {
        /// The type of the shape.
        enum Kind: String { case polygon, rectangle, circle, point }

        var kind: Kind
        var label: String
        /// Shapes of one label and one group are one instance.
        var group: Int?
        /// x and y of the points in turn.
        var coordinates: [Double]
        /// Whether a point is off the object.
        var isBackground: Bool
    }

    /// The path of the image relative to the file.
    var imagePath = ""
    /// The size the file states; nil if it states none.
    var size: (width: Int, height: Int)?
    var shapes: [Shape] = []

    /// Reads a file; every fault goes to `add`, which ends the reading by throwing. Throws a fault of its syntax.
    init(
        _ file: AnnotationFile, _ add: (AnnotationFault) throws(AnnotationFault) -> Void
    ) throws(AnnotationFault) {
        var reader = AnnotationReader(file)
        guard try reader.kind() == .object else { throw reader.fault(.wrongType, "a LabelMe file is an object") }
        var (width, height): (Int?, Int?)
        var hasShapes = false
        var path: String?
        try reader.object { reader, key throws(AnnotationFault) in
            _ = try reader.peek()
            let start = reader.offset
            func note(_ rule: AnnotationRule, _ found: String) throws(AnnotationFault) {
                try add(AnnotationFault(file: file.path, offset: start, rule, found))
            }
            switch key {
            case "imagePath":
                path = try reader.stringOrNil()
                if path == nil { try note(.wrongType, "'imagePath' is not a text") }
            case "imageWidth", "imageHeight":
                if try reader.kind() == .literal {
                    _ = try reader.literal()
                    return
                }
                let value = try reader.integerOrNil()
                if value.map({ $0 > 0 }) != true { try note(.wrongType, "'\(key)' is not a positive whole number") }
                if key == "imageWidth" { width = value } else { height = value }
            case "shapes":
                hasShapes = true
                guard try reader.kind() == .array else {
                    try note(.wrongType, "'shapes' is not a list")
                    try reader.skip()
                    return
                }
                try readShapes(&reader, add)
            default: try reader.skip()
            }
        }
        try reader.finish()
        if !hasShapes { try add(AnnotationFault(file: file.path, .missingKey, "'shapes' is missing")) }
        if let path {
            // LabelMe on Windows writes backslashes as separators.
            imagePath = path.replacing("\\", with: "/")
        } else {
            try add(AnnotationFault(file: file.path, .missingKey, "'imagePath' is missing"))
        }
        if let width, let height, width > 0, height > 0 { size = (width, height) }
    }

    private mutating func readShapes(
        _ reader: inout AnnotationReader, _ add: (AnnotationFault) throws(AnnotationFault) -> Void
    ) throws(AnnotationFault) {
        var index = 0
        try reader.array { reader throws(AnnotationFault) in
            _ = try reader.peek()
            let start = reader.offset
            var faults: [(rule: AnnotationRule, found: String)] = []
            do throws(AnnotationFault) {
                if let shape = try Self.readShape(&reader, &faults) { shapes.append(shape) }
            } catch {
                throw error.inside("shapes[\(index)]")
            }
            for fault in faults {
                try add(
                    AnnotationFault(
                        file: reader.path, record: "shapes[\(index)]", offset: start, fault.rule, fault.found))
            }
            index += 1
        }
    }

    private static func readShape(
        _ reader: inout AnnotationReader, _ faults: inout [(rule: AnnotationRule, found: String)]
    ) throws(AnnotationFault) -> Shape? {
        guard try reader.kind() == .object else {
            try reader.skip()
            faults.append((.wrongType, "a shape that is not an object"))
            return nil
        }
        var shape = Shape(kind: .polygon, label: "", group: nil, coordinates: [], isBackground: false)
        var hasPoints = false
        var unknownKind: String?
        try reader.object { reader, key throws(AnnotationFault) in
            switch key {
            case "label":
                guard let label = try reader.stringOrNil() else {
                    faults.append((.wrongType, "'label' is not a text"))
                    return
                }
                shape.label = label
            case "group_id":
                if try reader.kind() == .literal {
                    _ = try reader.literal()
                } else {
                    shape.group = try reader.integerOrNil()
                    if shape.group == nil { faults.append((.wrongType, "'group_id' is not a whole number")) }
                }
            case "shape_type":
                let name = try reader.stringOrNil() ?? ""
                if let kind = Shape.Kind(rawValue: name) { shape.kind = kind } else { unknownKind = name }
            case "points":
                hasPoints = true
                if try !readPoints(&reader, into: &shape.coordinates) {
                    faults.append((.wrongType, "'points' is not a list of [x, y]"))
                }
            case "flags" where try reader.kind() == .object:
                try reader.object { reader, flag throws(AnnotationFault) in
                    guard flag == "background", try reader.kind() == .literal else { return try reader.skip() }
                    shape.isBackground = try reader.literal() == true
                }
            default: try reader.skip()
            }
        }
        if let unknownKind {
            faults.append((.unsupportedShape, "the shape type \(unknownKind.debugDescription)"))
        }
        if !hasPoints { faults.append((.missingKey, "'points' is missing")) }
        guard faults.isEmpty else { return nil }
        if let problem = shape.problem { faults.append((problem.rule, problem.found)) }
        return faults.isEmpty ? shape : nil
    }

    /// Consumes a list of points; false if it is something else.
    private static func readPoints(
        _ reader: inout AnnotationReader, into coordinates: inout [Double]
    ) throws(AnnotationFault) -> Bool {
        guard try reader.kind() == .array else {
            try reader.skip()
            return false
        }
        var point: [Double] = []
        var arePoints = true
        try reader.array { reader throws(AnnotationFault) in
            arePoints = try reader.numbers(into: &point) && point.count == 2 && arePoints
            guard coordinates.count < 1 << 22 else { throw reader.fault(.syntax, "a shape of more than 2^21 points") }
            coordinates += point
        }
        return arePoints
    }
}

extension LabelMeFile.Shape {
    /// The fault of the shape that does not depend on its position, if any.
    fileprivate var problem: ShapeFault? {
        let points = coordinates.count / 2
        do throws(ShapeFault) {
            for coordinate in coordinates { try PolygonRasterisation.check(coordinate: coordinate) }
            switch kind {
            case .polygon: try PolygonRasterisation.check(polygon: coordinates)
            case .rectangle, .circle:
                guard points == 2 else { throw ShapeFault(.badValue, "a \(kind.rawValue) of \(points) points, not 2") }
            case .point: guard points == 1 else { throw ShapeFault(.badValue, "a point of \(points) points") }
            }
            if kind == .rectangle, coordinates[0] == coordinates[2] || coordinates[1] == coordinates[3] {
                throw ShapeFault(.badBox, "a rectangle without width or height")
            }
            if kind == .circle, coordinates[0] == coordinates[2] && coordinates[1] == coordinates[3] {
                throw ShapeFault(.badValue, "a circle without radius")
            }
            return nil
        } catch {
            return error
        }
    }
}
