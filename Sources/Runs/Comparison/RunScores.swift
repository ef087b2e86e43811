import Datasets
import Foundation
import PlainText
import Recipes
public import Telemetry

/// The scores in a run's folder: the recipe and, per source and kind of prompt, the first and the last evaluation.
public struct RunScores: Sendable {
    /// A group of scores: one kind of prompt on the images of one source.
    public struct Kind: Sendable, Equatable {
        /// The kind of prompt.
        public var prompt: String
        /// The source; nil where the recipe names none.
        public var source: String?

        /// Both, as in `cells box`.
        var text: String { (source.map { $0 + " " } ?? "") + prompt }
    }

    /// The first and the last scores of a kind.
    public struct Row: Sendable, Equatable {
        /// The kind.
        public var kind: Kind
        /// Scores of the unadapted model, if measured.
        public var before: EvaluationScores?
        /// Scores after the last evaluated step; nil if an unfinished run has not evaluated any.
        public var after: EvaluationScores?
        /// The step of `after`.
        public var step: Int
        /// Images evaluated.
        public var images: Int
    }

    /// The run's folder.
    public let path: String
    /// The recipe it ran with.
    public let recipe: Recipe
    /// One row per source and kind of prompt, in the order they were evaluated.
    public let rows: [Row]

    /// Reads `recipe.yaml` and `evaluation.csv`. Throws `RecipeError`, and `RunError` if there is no evaluation.
    public init(folder path: String) throws {
        self.path = path
        recipe = try ResolvedRecipe(path: path + "/recipe.yaml").recipe
        let file = path + "/evaluation.csv"
        guard let data = FileManager.default.contents(atPath: file) else {
            throw RunError(
                .missingInput, "\(file) does not exist", remedy: "pass run folders, such as runs/NAME"
            )
        }
        let lines = String(decoding: data, as: UTF8.self).split(whereSeparator: \.isNewline).map(Self.cells)
        guard let header = lines.first, lines.count > 1 else {
            throw RunError(
                .badData, "\(file) contains no evaluation", remedy: "let the run reach its first evaluation")
        }
        var rows = try Self.rows(lines.dropFirst().map { Array($0) }, header: header, file: file)
        // Only a run without training ends with the scores it began with.
        if !FileManager.default.fileExists(atPath: path + "/summary.txt") {
            for place in rows.indices where rows[place].step == 0 { rows[place].after = nil }
        }
        self.rows = rows
    }

    private static func rows(_ lines: [[String]], header: [String], file: String) throws(RunError) -> [Row] {
        var rows: [Row] = []
        for (number, cells) in lines.enumerated() {
            func cell(_ column: String) -> String? {
                header.firstIndex(of: column).flatMap { $0 < cells.count ? cells[$0] : nil }
            }
            guard cells.count == header.count, let prompt = cell("Prompt"),
                let step = cell("iters").flatMap({ Int($0) }),
                let images = cell("Images").flatMap({ Int($0) })
            else {
                throw RunError(
                    .badData, "\(file) line \(number + 2) is not an evaluation", remedy: "remove the line")
            }
            var scores = EvaluationScores()
            for measure in EvaluationScores.Measure.allCases {
                scores[measure] = cell(measure.column).flatMap { Double($0) }
            }
            let source = cell("Source").map(TableCell.name(from:)).flatMap { $0 == DataSettings.defaultName ? nil : $0 }
            let kind = Kind(prompt: prompt, source: source)
            let place = rows.firstIndex { $0.kind == kind } ?? rows.count
            if place == rows.count {
                rows.append(Row(kind: kind, before: nil, after: scores, step: step, images: images))
            }
            if step == 0 { rows[place].before = scores }
            if step >= rows[place].step {
                (rows[place].after, rows[place].step, rows[place].images) = (scores, step, images)
            }
        }
        return rows
    }

    /// The cells of a CSV line, without the quotes of RFC 4180.
    private static func cells(_ line: Substring) -> [String] {
        var cells = [""]
        var isQuoted = false
        var previous: Character = ","
        for character in line {
            if character == "\"" {
                // A doubled quote inside quotes stands for one.
                if !isQuoted, previous == "\"" { cells[cells.count - 1].append("\"") }
                isQuoted.toggle()
            } else if character == ",", !isQuoted {
                cells.append("")
            } else {
                cells[cells.count - 1].append(character)
            }
            previous = character == "\"" && isQuoted ? "," : character
        }
        return cells
    }
}
