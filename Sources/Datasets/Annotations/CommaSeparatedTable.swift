/// A text file of rows of comma-separated values, with the column names in the first row.
///
/// Values cannot contain a comma or quotation marks: the supported lists need none, and a stray one is a fault.
struct CommaSeparatedTable {
    /// One row.
    struct Row: Equatable {
        /// The number of its line, from 1.
        var line: Int
        /// The values of the requested columns.
        var values: [String]
    }

    let rows: [Row]

    private static let longestLine = 1 << 16

    /// Reads the columns of the given names; bad rows are recorded and left out. Throws if there is no line of names.
    init(_ file: AnnotationFile, columns: [String], _ report: inout AnnotationReport) throws(AnnotationFault) {
        var places: [Int] = []
        var width = 0
        var rows: [Row] = []
        for (line, range) in try file.lines() {
            func fault(_ rule: AnnotationRule, _ found: String) -> AnnotationFault {
                AnnotationFault(file: file.path, record: "line \(line)", offset: range.lowerBound, rule, found)
            }
            let values: [String]
            do throws(AnnotationFault) {
                values = try Self.values(file, line, range)
            } catch {
                if places.isEmpty { throw error }
                try report.add(error)
                continue
            }
            if places.isEmpty {
                for column in columns {
                    guard let place = values.firstIndex(of: column) else {
                        throw fault(.missingKey, "no column '\(column)'")
                    }
                    places.append(place)
                }
                width = values.count
                continue
            }
            guard values.count == width else {
                try report.add(fault(.labelCount, "\(values.count) values where the first line has \(width)"))
                continue
            }
            rows.append(Row(line: line, values: places.map { values[$0] }))
        }
        guard !places.isEmpty else { throw AnnotationFault(file: file.path, .missingKey, "no line with column names") }
        self.rows = rows
    }

    private static func values(
        _ file: AnnotationFile, _ line: Int, _ range: Range<Int>
    ) throws(AnnotationFault) -> [String] {
        func fault(_ rule: AnnotationRule, _ found: String) -> AnnotationFault {
            AnnotationFault(file: file.path, record: "line \(line)", offset: range.lowerBound, rule, found)
        }
        guard range.count <= longestLine else { throw fault(.syntax, "a line of \(range.count) bytes") }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: range.count, alignment: 1)
        defer { buffer.deallocate() }
        let count = try file.read(into: buffer, at: range.lowerBound)
        guard var text = String(validating: buffer.prefix(count), as: UTF8.self) else {
            throw fault(.text, "text that is not UTF-8")
        }
        // In a file with carriage returns every line ends with one before the line feed; that pair is one Character.
        if text.unicodeScalars.last == "\r" { text.unicodeScalars.removeLast() }
        guard !text.contains("\"") else { throw fault(.syntax, "a quotation mark") }
        return text.split(separator: ",", omittingEmptySubsequences: false).map {
            String($0.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        }
    }
}
