import JSONReading

/// The annotations of a COCO instances file, without the outlines: those stay in the file until an image needs them.
///
/// A file of 860,000 annotations takes about 90 bytes of memory for each. Images are in ascending order of their numbers.
public struct COCOAnnotations: Sendable {
    /// An image that the file lists.
    public struct Image: Equatable, Sendable {
        /// The number annotations refer to.
        public let id: Int
        /// The path of the image file, relative to the folder of images.
        public let fileName: String
        /// Pixels per row.
        public let width: Int
        /// Rows.
        public let height: Int
    }

    /// A category that the file lists.
    public struct Category: Equatable, Sendable {
        /// The number annotations refer to.
        public let id: Int
        /// Its name.
        public let name: String
    }

    /// An annotation without its outline.
    public struct Annotation: Equatable, Sendable {
        /// Its number.
        public let id: Int
        /// The number of its category; nil if it has none.
        public let categoryID: Int?
        /// Its box as in the file, which may extend over the edge of the image; nil if it has none.
        public let box: Box?
        /// Whether it marks a group of objects as one.
        public let isCrowd: Bool
        /// Whether it has an outline.
        public let hasOutline: Bool
    }

    /// The images in ascending order of their numbers.
    public let images: [Image]
    /// The categories in the order of the file.
    public let categories: [Category]

    let file: AnnotationFile
    private let columns: COCOColumns
    /// The annotations, image by image, each image's in the order of the file.
    private let order: [Int32]
    /// The start of each image's annotations in `order`; one more entry than there are images.
    private let starts: [Int32]

    /// Reads a file. Throws `DatasetError` at the first error.
    public init(path: String) throws(DatasetError) {
        var report = AnnotationReport(stoppingAtFirstError: true)
        do {
            try self.init(path: path, report: &report)
        } catch {
            throw error.error
        }
        if let fault = report.firstImageFault { throw fault.error }
    }

    /// Reads a file and records every fault, those of single annotations without stopping.
    ///
    /// - Parameter limit: Maximum faults listed in the report; more are counted.
    public static func check(path: String, limit: Int = 10_000) -> AnnotationReport {
        var report = AnnotationReport(limit: limit)
        _ = try? COCOAnnotations(path: path, report: &report)
        return report
    }

    /// Reads a file. Throws a fault that ends the reading; the report lists it too unless it stops at the first error.
    ///
    /// - Parameter piece: Bytes of the file in memory at a time.
    package init(
        path: String, report: inout AnnotationReport, piece: Int? = nil
    ) throws(AnnotationFault) {
        try self.init(path: path, report: &report, piece: piece) { () throws(AnnotationFault) in
            try AnnotationFile(path)
        }
    }

    /// Reads a file as `init(path:report:piece:)` does, opened by `open`.
    init(
        path: String, report: inout AnnotationReport, piece: Int? = nil,
        opening open: () throws(AnnotationFault) -> AnnotationFile
    ) throws(AnnotationFault) {
        var parser = COCOParser(report: report)
        do {
            file = try open()
            var reader = AnnotationReader(file, piece: piece ?? AnnotationReader.standardPiece)
            try parser.read(&reader)
            try parser.resolve(file: path)
        } catch {
            report = parser.report
            try report.add(error)
            report.sortByOffset()
            throw error
        }
        report = parser.report
        report.sortByOffset()
        images = parser.images
        categories = parser.categories
        columns = parser.columns
        (order, starts) = columns.byImage(count: images.count)
    }

    /// The indices of an image's annotations, from 0, in the order of the file.
    public func annotations(ofImage image: Int) -> [Int] {
        order[Int(starts[image])..<Int(starts[image + 1])].map { Int($0) }
    }

    /// One annotation.
    public subscript(annotation: Int) -> Annotation {
        let box = columns.boxes[annotation]
        return Annotation(
            id: columns.ids[annotation],
            categoryID: columns.categories[annotation] == COCOColumns.noCategory ? nil : columns.categories[annotation],
            box: box.x.isNaN ? nil : Box(x0: box.x, y0: box.y, x1: box.x + box.z, y1: box.y + box.w),
            isCrowd: columns.isCrowd[annotation], hasOutline: columns.outlineLengths[annotation] > 0)
    }

    /// Whether an annotation's outline is given as runs.
    func hasRuns(_ annotation: Int) -> Bool { columns.maskSizes[annotation].x > 0 }

    /// What kinds of outline mark crowds.
    var crowds: CrowdTally { columns.crowds }

    /// Width and height of an annotation's box as stated in the file.
    func boxSize(_ annotation: Int) -> (width: Double, height: Double) {
        (columns.boxes[annotation].z, columns.boxes[annotation].w)
    }

    /// A digest (FNV-1a) of an image's annotations without reading their outlines, in sixteen characters.
    func digest(ofImage image: Int) -> String {
        var digest: UInt64 = 0xcbf2_9ce4_8422_2325
        for annotation in annotations(ofImage: image) {
            let box = columns.boxes[annotation]
            let facts = [
                UInt64(bitPattern: Int64(columns.ids[annotation])), columns.isCrowd[annotation] ? 1 : 0,
                box.x.bitPattern, box.y.bitPattern, box.z.bitPattern, box.w.bitPattern,
                UInt64(columns.outlineLengths[annotation]),
            ]
            for fact in facts {
                for shift in stride(from: UInt64(0), to: 64, by: 8) {
                    digest = (digest ^ (fact >> shift & 0xff)) &* 0x100_0000_01b3
                }
            }
        }
        let text = String(digest, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }

    /// The masks whose union is an annotation's outline; none if it has no outline.
    ///
    /// Reads the file. Throws `DatasetError` if it was changed since it was opened.
    public func outline(_ annotation: Int) throws(DatasetError) -> [RunLengthEncoding] {
        try label(annotation).masks
    }

    /// An annotation's outline, masks and largest polygon, without its box. Throws as `outline(_:)` does.
    func label(_ annotation: Int) throws(DatasetError) -> InstanceLabel {
        let length = Int(columns.outlineLengths[annotation])
        guard length > 0 else { return InstanceLabel() }
        let start = columns.outlineOffsets[annotation]
        let image = images[Int(columns.images[annotation])]
        do throws(AnnotationFault) {
            try file.checkUnchanged()
            var reader = AnnotationReader(file, start..<start + length)
            var fault: AnnotationFault?
            func note(_ rule: AnnotationRule, _ found: String) {
                fault = AnnotationFault(
                    file: file.path, record: "annotation \(columns.ids[annotation])", offset: start, rule, found)
            }
            if let shape = try COCOShape.read(&reader, note) {
                do throws(ShapeFault) {
                    return try shape.label(width: image.width, height: image.height)
                } catch {
                    note(error.rule, error.found)
                }
            }
            throw fault ?? reader.fault(.unreadable, "it was changed while it was in use")
        } catch {
            throw error.error
        }
    }
}

/// Annotations of a file by what marks a crowd.
///
/// In COCO's own files a crowd has runs and everything else polygons. CVAT and Datumaro write every mask that was
/// painted, or found by a model, as runs with `iscrowd` 1, and beside it a key `attributes` that COCO does not have.
struct CrowdTally: Equatable, Sendable {
    private var crowdRuns = 0
    private var otherRuns = 0
    private var otherOutlines = 0
    private var haveAttributes = true

    mutating func add(isCrowd: Bool, hasOutline: Bool, isRuns: Bool, _ hasAttributes: Bool) {
        switch (isCrowd, isRuns) {
        case (true, true):
            crowdRuns += 1
            haveAttributes = haveAttributes && hasAttributes
        case (true, false): break
        case (false, true): otherRuns += 1
        case (false, false): otherOutlines += hasOutline ? 1 : 0
        }
    }

    /// True if runs with `iscrowd` 1 are masks of single objects: every run-length mask of the file is one, and either
    /// nothing else has an outline or they are of a tool that writes painted masks so.
    var areInstances: Bool { crowdRuns > 0 && otherRuns == 0 && (otherOutlines == 0 || haveAttributes) }
}

/// Annotations in columns.
struct COCOColumns: Sendable {
    static let noCategory = Int.min

    var ids: [Int] = []
    /// First the image numbers of the file, then indices into the list of images.
    var images: [Int] = []
    var categories: [Int] = []
    /// x, y, width and height; x is NaN if there is no box.
    var boxes: [SIMD4<Double>] = []
    var isCrowd: [Bool] = []
    /// The offset of each annotation in the file.
    var offsets: [Int] = []
    var outlineOffsets: [Int] = []
    var outlineLengths: [Int32] = []
    /// Width and height of masks given as runs; 0 for others.
    var maskSizes: [SIMD2<Int32>] = []
    /// What kinds of outline mark crowds.
    var crowds = CrowdTally()

    var count: Int { ids.count }

    /// The annotations sorted by image, in their order, and the start of each image's.
    func byImage(count imageCount: Int) -> (order: [Int32], starts: [Int32]) {
        var starts = [Int32](repeating: 0, count: imageCount + 1)
        for image in images where image >= 0 { starts[image + 1] += 1 }
        for image in 0..<imageCount { starts[image + 1] += starts[image] }
        var next = starts
        var order = [Int32](repeating: 0, count: Int(starts[imageCount]))
        for (annotation, image) in images.enumerated() where image >= 0 {
            order[Int(next[image])] = Int32(annotation)
            next[image] += 1
        }
        return (order, starts)
    }
}
