public import Foundation

/// The score matrices of a continual run, one for each measure, as JSON, as Markdown and as text.
public struct ContinualScores: Sendable, Equatable, Codable {
    /// One measure.
    public struct Measure: Sendable, Equatable, Codable {
        /// Its title in tables, as in `IoU`.
        public let name: String
        /// Its scores, from 0 to 1.
        public var matrix: ScoreMatrix

        /// Names a matrix.
        public init(name: String, matrix: ScoreMatrix) { (self.name, self.matrix) = (name, matrix) }
    }

    /// What was run, as in `moda, seed 1`.
    public let title: String
    /// The measures, in order.
    public var measures: [Measure]
    /// What readers must know about the numbers, one line each, as in the names of data that stand in for others.
    public var notes: [String]

    /// Collects measures.
    public init(title: String, measures: [Measure], notes: [String] = []) {
        (self.title, self.measures, self.notes) = (title, measures, notes)
    }

    /// The whole as JSON with sorted keys. Missing scores are null.
    public func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(self)
    }

    /// Reads what `json()` wrote. Throws `DecodingError`.
    public init(json: Data) throws { self = try JSONDecoder().decode(ContinualScores.self, from: json) }

    // MARK: Tables

    /// Columns of the text: a terminal's.
    private static let textWidth = 80

    /// Tables of Markdown: the summaries, then one table of scores for each measure, in per cent.
    public var markdown: String {
        func table(_ rows: [[String]]) -> [String] {
            let lines = rows.map { "| " + $0.joined(separator: " | ") + " |" }
            let rule = "|" + rows[0].indices.map { $0 == 0 ? "---|" : "---:|" }.joined()
            return [lines[0], rule] + lines.dropFirst()
        }
        var lines = ["## \(title)", ""] + table(summaries)
        for measure in measures {
            let matrix = measure.matrix
            let header = ["\(measure.name) after"] + matrix.domains + (matrix.hasNatural ? ["Natural"] : [])
            let rows = (0..<matrix.stages).map { stage in
                [matrix.name(ofStage: stage)] + matrix.cells(ofStage: stage, matrix.domains.indices)
                    + (matrix.hasNatural ? [Self.percent(matrix.natural[stage])] : [])
            }
            lines += [""] + table([header] + rows)
        }
        if !notes.isEmpty { lines += [""] + notes.map { "- \($0)" } }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Tables of text of at most 80 columns. Domains are columns by their numbers, which the rows explain.
    public var text: String {
        var lines = [title, ""] + Self.aligned(summaries)
        for measure in measures { lines += [""] + Self.lines(measure) }
        if !notes.isEmpty { lines += [""] + notes.flatMap { Self.wrapped($0) } }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The names of the summaries and, for each measure, their values.
    private var summaries: [[String]] {
        let header = ["", "Last", "Avg", "FF", "FF (max)", "Natural"]
        return [header]
            + measures.map { measure in
                let matrix = measure.matrix
                let values = [
                    matrix.last, matrix.average, matrix.forgettingFromDiagonal, matrix.forgettingFromMaximum,
                    matrix.lastNatural,
                ]
                return [measure.name] + values.map { Self.percent($0, digits: 2) }
            }
    }

    /// The table of one measure, in blocks of columns that fit the width.
    private static func lines(_ measure: Measure) -> [String] {
        let matrix = measure.matrix
        // Eight domains and Natural fit one block: 15 + 8 * 7 + 9.
        let longest = 15
        let labels = (0..<matrix.stages).map { stage -> String in
            let number = matrix.learned[stage]
            return "\(number) " + shortened(matrix.name(ofStage: stage), to: longest - 1 - String(number).count)
        }
        let (cell, naturalExtra) = (7, 2)
        let columns = matrix.domains.count + (matrix.hasNatural ? 1 : 0)
        let fitting = max(1, (textWidth - longest - naturalExtra) / cell)
        var lines: [String] = []
        for start in stride(from: 0, to: columns, by: fitting) {
            let range = start..<min(start + fitting, columns)
            let domains = range.clamped(to: matrix.domains.indices)
            let withNatural = range.upperBound > matrix.domains.count
            let title = shortened("\(measure.name) after", to: longest)
            let header = [title] + domains.map { String($0 + 1) } + (withNatural ? ["Natural"] : [])
            let rows = (0..<matrix.stages).map { stage in
                [labels[stage]] + matrix.cells(ofStage: stage, domains)
                    + (withNatural ? [percent(matrix.natural[stage])] : [])
            }
            lines += (start == 0 ? [] : [""]) + aligned([header] + rows)
        }
        guard matrix.learned != Array(1..<matrix.domains.count + 1) || !matrix.isComplete else { return lines }
        let legend = matrix.domains.enumerated().map { "\($0.offset + 1) \($0.element)" }.joined(separator: ", ")
        return lines + wrapped(legend)
    }

    /// Rows with aligned columns, the first to the left and the others to the right.
    private static func aligned(_ rows: [[String]]) -> [String] {
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            zip(row, widths).enumerated().map { column, cell in
                let fill = String(repeating: " ", count: cell.1 - cell.0.count)
                return column == 0 ? cell.0 + fill : fill + cell.0
            }.joined(separator: "  ")
        }
    }

    /// A text broken between words into lines that fit the width; a longer word has a line of its own.
    private static func wrapped(_ text: String) -> [String] {
        var lines: [String] = []
        for word in text.split(separator: " ") {
            if let line = lines.last, line.count + 1 + word.count <= textWidth {
                lines[lines.count - 1] = line + " " + word
            } else {
                lines.append(String(word))
            }
        }
        return lines
    }

    private static func shortened(_ name: String, to length: Int) -> String {
        name.count <= length ? name : String(name.prefix(length - 1)) + "~"
    }

    fileprivate static func percent(_ score: Double?, digits: Int = 1) -> String {
        score.map { String(format: "%.\(digits)f", 100 * $0) } ?? "-"
    }
}

extension ScoreMatrix {
    /// Whether images of no trained domain were scored after any stage.
    fileprivate var hasNatural: Bool { natural.contains { $0 != nil } }

    /// What a stage added: the name of a domain, or how many.
    fileprivate func name(ofStage stage: Int) -> String {
        let first = stage == 0 ? 0 : learned[stage - 1]
        return learned[stage] - first == 1 ? domains[first] : "\(learned[stage] - first) domains"
    }

    fileprivate func cells(ofStage stage: Int, _ domains: Range<Int>) -> [String] {
        domains.map { self[stage, $0].map { ContinualScores.percent($0) } ?? "" }
    }
}
