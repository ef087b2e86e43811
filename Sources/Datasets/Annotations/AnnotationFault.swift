/// The rules an annotation can break, by their names in reports.
public enum AnnotationRule: String, CaseIterable, Sendable {
    /// The text is not JSON.
    case syntax
    /// The text ends inside a value.
    case truncated
    /// The text is not UTF-8, or an escape in it is half a character.
    case text
    /// A file cannot be read.
    case unreadable
    /// A key occurs twice in one object.
    case duplicateKey
    /// A required key is missing.
    case missingKey
    /// An unknown key, possibly a misspelt one.
    case unknownKey
    /// A value of another type than the key requires.
    case wrongType
    /// A number that is not a possible value of its key.
    case badValue
    /// Two images of the same number or the same file.
    case duplicateImage
    /// Two annotations of the same number.
    case duplicateAnnotation
    /// Two categories of the same number.
    case duplicateCategory
    /// An annotation of an image that is not listed.
    case unknownImage
    /// An annotation of a category that is not listed.
    case unknownCategory
    /// A path that is absolute, leaves the data set's folder or names no file.
    case path
    /// An image file that cannot be decoded.
    case imageFile
    /// An image file of another size than the annotations state.
    case imageSize
    /// A polygon of an odd number of coordinates.
    case oddPolygon
    /// A polygon of fewer than three vertices.
    case shortPolygon
    /// A coordinate that is not finite, or too large for an image.
    case notFinite
    /// A box without width or height: the annotation is left out.
    case emptyBox
    /// A box of negative width or height, or outside the image.
    case badBox
    /// A box that extends over the image's edge by more than a pixel: it is clipped.
    case clippedBox
    /// A point outside the image.
    case badPoint
    /// A run of negative length.
    case negativeRun
    /// Runs whose sum differs from the mask's number of pixels.
    case runSum
    /// A mask or a run over the limit.
    case runLimit
    /// A text of runs with a character outside its alphabet, a number over six characters or an incomplete number.
    case runText
    /// A mask of another size than its image.
    case maskSize
    /// An annotation with neither box nor mask nor points.
    case noLabel
    /// Labels of one image that are not all of one kind, so that some are unused.
    case partialLabels
    /// Lists of labels of different lengths.
    case labelCount
    /// A shape of an unsupported kind.
    case unsupportedShape

    /// The severity of a broken rule.
    public enum Severity: String, Sendable {
        /// The annotations cannot be used.
        case error
        /// The annotations are used, but not exactly as written.
        case warning
    }

    /// Whether the annotations can still be used.
    public var severity: Severity {
        switch self {
        case .emptyBox, .clippedBox, .unknownCategory, .partialLabels: .warning
        default: .error
        }
    }
}

/// A shape that breaks a rule, without its location.
public struct ShapeFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// The rule that is broken.
    public let rule: AnnotationRule
    /// What was found.
    public let found: String

    /// Creates a fault.
    public init(_ rule: AnnotationRule, _ found: String) {
        (self.rule, self.found) = (rule, found)
    }

    /// The fault on one line.
    public var description: String { "\(rule.rawValue): \(found)" }
}

/// The first faults of one record, so that a record full of faults takes no more memory than others.
struct RecordFaults {
    private(set) var faults: [ShapeFault] = []
    private static let most = 100

    mutating func add(_ rule: AnnotationRule, _ found: String) { add(ShapeFault(rule, found)) }

    mutating func add(_ fault: ShapeFault) {
        if faults.count < Self.most { faults.append(fault) }
    }
}

/// An annotation that breaks a rule: the file, the record, the offset, the rule, and what was found.
public struct AnnotationFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// The annotation file.
    public let file: String
    /// The record, as in `annotation 17`; nil if the file as a whole is at fault.
    public let record: String?
    /// The offset in bytes from the start of the file; nil if there is none.
    public let offset: Int?
    /// The rule that is broken.
    public let rule: AnnotationRule
    /// What was found.
    public let found: String

    /// Creates a fault.
    public init(file: String, record: String? = nil, offset: Int? = nil, _ rule: AnnotationRule, _ found: String) {
        (self.file, self.record, self.offset) = (file, record, offset)
        (self.rule, self.found) = (rule, found)
    }

    /// Where the fault is: file, record and byte.
    package var location: String {
        var location = file
        if let record { location += ": " + record }
        if let offset { location += " (byte \(offset))" }
        return location
    }

    /// The fault on one line: where, which rule, what was found.
    public var description: String { "\(location): \(rule.rawValue): \(found)" }

    /// The same fault with its record, which was unknown where it was found.
    func inside(_ record: String) -> AnnotationFault {
        AnnotationFault(file: file, record: self.record ?? record, offset: offset, rule, found)
    }

    /// The fault as an error of the data set.
    var error: DatasetError {
        DatasetError(
            rule == .unreadable ? .unreadableFile : .invalidAnnotation, at: location,
            rule == .unreadable ? found : "\(rule.rawValue): \(found)",
            remedy: rule == .unreadable ? "check the path and its permissions" : "correct the annotation file")
    }
}

/// The results of a check of annotations.
public struct AnnotationReport: Sendable {
    /// The faults in the order of the file, up to the limit of errors and of warnings.
    public private(set) var faults: [AnnotationFault] = []
    /// The number of faults per broken rule, in the order of `AnnotationRule.allCases`.
    public var counts: [(rule: AnnotationRule, count: Int)] {
        AnnotationRule.allCases.compactMap { rule in countOfRule[rule].map { (rule, $0) } }
    }
    /// The number of faults that make the annotations unusable.
    public private(set) var errors = 0
    /// The number of other faults.
    public private(set) var warnings = 0

    /// The first error of each image that has one, by the image's number, of a report that stops at errors of the file.
    private(set) var imageFaults: [Int: AnnotationFault] = [:]

    /// The image fault that comes first in the file.
    var firstImageFault: AnnotationFault? {
        imageFaults.values.min { ($0.offset ?? 0, $0.location) < ($1.offset ?? 0, $1.location) }
    }

    private var countOfRule: [AnnotationRule: Int] = [:]
    private let limit: Int
    private let stopsAtFirstError: Bool

    /// Creates a report that lists at most `limit` errors and `limit` warnings, and counts the others.
    public init(limit: Int = 10_000) {
        (self.limit, stopsAtFirstError) = (limit, false)
    }

    /// Creates a report that ends the reading at the first error that concerns more than one image.
    init(stoppingAtFirstError: Bool) {
        (limit, stopsAtFirstError) = (100, stoppingAtFirstError)
    }

    /// Records a fault; throws it if the reading must end at it.
    ///
    /// - Parameter image: The number of the only image that cannot be used because of it; nil if there is no such image.
    mutating func add(_ fault: AnnotationFault, ofImage image: Int? = nil) throws(AnnotationFault) {
        let isKept: Bool
        if fault.rule.severity == .error {
            if stopsAtFirstError {
                guard let image else { throw fault }
                if imageFaults[image] == nil { imageFaults[image] = fault }
                return
            }
            isKept = errors < limit
            errors += 1
        } else {
            isKept = warnings < limit
            warnings += 1
        }
        countOfRule[fault.rule, default: 0] += 1
        if isKept { faults.append(fault) }
    }

    /// The faults that make the annotations unusable, as errors of the data set.
    var datasetErrors: [DatasetError] { faults.filter { $0.rule.severity == .error }.map(\.error) }

    /// Sorts the faults found so far by their offsets in the file.
    mutating func sortByOffset() {
        faults = faults.enumerated().sorted {
            ($0.element.offset ?? 0, $0.offset) < ($1.element.offset ?? 0, $1.offset)
        }
        .map(\.element)
    }
}
