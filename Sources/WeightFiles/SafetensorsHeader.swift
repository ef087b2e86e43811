import JSONReading

/// Reads the header of a safetensors file; its faults name the file.
typealias HeaderReader = JSONReader<WeightFileError>

extension JSONReader where Failure == WeightFileError {
    /// Creates a fault at the next byte.
    func fault(_ rule: WeightFileError.Rule, _ found: String) -> WeightFileError {
        WeightFileError(rule, path: path, offset: offset, found: found)
    }
}

/// The values of a header.
extension SafetensorsFile {
    /// A reader of the header that lies at `range`.
    static func headerReader(_ file: FileBytes, _ range: Range<Int>) -> HeaderReader {
        HeaderReader(
            path: file.path, range: range,
            read: { buffer, offset throws(WeightFileError) in
                if let start = buffer.baseAddress { try file.read(offset..<offset + buffer.count, into: start) }
                return buffer.count
            },
            failure: { fault in
                WeightFileError(rule(of: fault), path: file.path, offset: fault.offset, found: fault.found)
            })
    }

    private static func rule(of fault: JSONFault) -> WeightFileError.Rule {
        switch fault.rule {
        case .syntax, .truncated: .headerSyntax
        case .text: .headerText
        case .duplicateKey: .duplicateKey
        }
    }

    /// Reads a string; `rule` is broken by any other value.
    static func string(
        _ reader: inout HeaderReader, else rule: WeightFileError.Rule
    ) throws(WeightFileError) -> String {
        guard try reader.peek() == UInt8(ascii: "\"") else { throw reader.fault(rule, "expected a string") }
        return try reader.string(limit: .max)
    }

    /// Reads an array of at most `limit` whole numbers; `rule` is broken by a longer array.
    static func numbers(
        _ reader: inout HeaderReader, limit: Int, _ rule: WeightFileError.Rule
    ) throws(WeightFileError) -> [Int] {
        var numbers: [Int] = []
        try reader.array { (reader) throws(WeightFileError) in
            guard numbers.count < limit else { throw reader.fault(rule, "more than \(limit) numbers") }
            numbers.append(try wholeNumber(&reader))
        }
        return numbers
    }

    private static func wholeNumber(_ reader: inout HeaderReader) throws(WeightFileError) -> Int {
        switch try reader.peek() {
        case UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."):
            throw reader.fault(.wholeNumber, "a negative or fractional number")
        case UInt8(ascii: "0")...UInt8(ascii: "9"):
            let start = reader.offset
            guard let number = try reader.wholeNumber() else {
                throw WeightFileError(
                    .wholeNumber, path: reader.path, offset: start, found: "a fractional number or one over 2^53")
            }
            return number
        default: throw reader.fault(.headerSyntax, "expected a number")
        }
    }
}
