/// The table at the end of a run: each source and prompt before and after adaptation.
public struct EvaluationTable: Sendable {
    private let before: [EvaluationRecord]
    private let after: [EvaluationRecord]

    /// A table of two evaluations; rows are matched by run, source and prompt, in order of appearance.
    public init(before: [EvaluationRecord], after: [EvaluationRecord]) {
        self.before = before
        self.after = after
    }

    /// The table as text with aligned columns; a missing side is shown as a dash.
    public var text: String {
        let header =
            [isOfOneSource ? "run" : "source", "prompt", "images"]
            + measures.flatMap { ["\($0.title) before", "\($0.title) after", "change"] }
        let rows = [header] + keys.map(row)
        let widths = header.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { cells in
            zip(cells, widths).enumerated().map { column, cell in
                let fill = String(repeating: " ", count: cell.1 - cell.0.count)
                return column < 2 ? cell.0 + fill : fill + cell.0
            }.joined(separator: "  ")
        }.joined(separator: "\n")
    }

    /// The measures that any row has.
    private var measures: [EvaluationScores.Measure] {
        EvaluationScores.Measure.allCases.filter { measure in
            (before + after).contains { $0.scores[measure] != nil }
        }
    }

    private struct Key: Equatable {
        let name: String
        let source: String
        let prompt: String
    }

    private var isOfOneSource: Bool { Set((before + after).map(\.source)).count <= 1 }

    private var keys: [Key] {
        var keys: [Key] = []
        for record in before + after {
            let key = Key(name: record.run, source: record.source, prompt: record.prompt)
            if !keys.contains(key) { keys.append(key) }
        }
        return keys
    }

    private func row(_ key: Key) -> [String] {
        func isMatch(_ record: EvaluationRecord) -> Bool {
            record.run == key.name && record.source == key.source && record.prompt == key.prompt
        }
        let first = before.last(where: isMatch)
        let second = after.last(where: isMatch)
        return [isOfOneSource ? key.name : key.source, key.prompt, (second ?? first).map { String($0.images) } ?? "-"]
            + measures.flatMap { cells(first?.scores[$0], second?.scores[$0]) }
    }

    private func cells(_ first: Double?, _ second: Double?) -> [String] {
        func cell(_ value: Double?) -> String { value.map { TextSink.fixed($0, 4) } ?? "-" }
        guard let first, let second else { return [cell(first), cell(second), "-"] }
        return [cell(first), cell(second), (second >= first ? "+" : "") + TextSink.fixed(second - first, 4)]
    }
}
