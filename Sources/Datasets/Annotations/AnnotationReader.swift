import JSONReading

/// Reads the JSON of annotations; its faults name the file.
typealias AnnotationReader = JSONReader<AnnotationFault>

extension JSONReader where Failure == AnnotationFault {
    /// Reads a part of a file, by default all of it.
    init(_ file: AnnotationFile, _ range: Range<Int>? = nil, piece: Int = standardPiece) {
        self.init(
            path: file.path, range: range ?? file.textStart..<file.size, piece: piece,
            read: { buffer, offset throws(AnnotationFault) in try file.read(into: buffer, at: offset) },
            failure: { fault in
                AnnotationFault(file: file.path, offset: fault.offset, AnnotationRule(fault.rule), fault.found)
            })
    }

    /// Consumes a null, which stands for a key that is missing; false for any other value.
    mutating func takesNull() throws(AnnotationFault) -> Bool {
        guard try peek() == UInt8(ascii: "n") else { return false }
        return try literal() == nil
    }

    /// Creates a fault at the next byte.
    func fault(_ rule: AnnotationRule, _ found: String) -> AnnotationFault {
        AnnotationFault(file: path, offset: offset, rule, found)
    }
}

extension AnnotationRule {
    fileprivate init(_ rule: JSONRule) {
        self =
            switch rule {
            case .syntax: .syntax
            case .truncated: .truncated
            case .text: .text
            case .duplicateKey: .duplicateKey
            }
    }
}
