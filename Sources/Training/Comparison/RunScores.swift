import Foundation
public import Telemetry

/// What a run's folder says of its scores: the recipe and, per kind of prompt, the first and the last evaluation.
public struct RunScores: Sendable {
    /// One kind of prompt.
    public struct Row: Sendable, Equatable {
        /// The kind.
        public var prompt: String
        /// Scores of the unadapted model, where they were measured.
        public var before: EvaluationScores?
        /// Scores after the last evaluated step.
        public var after: EvaluationScores
        /// That step.
        public var step: Int
        /// Images evaluated.
        public var images: Int
    }

    /// The run's folder.
    public let path: String
    /// The recipe it ran with.
    public let recipe: Recipe
    /// One row per kind of prompt, in the order they were evaluated.
    public let rows: [Row]

    /// Reads `recipe.yaml` and `evaluation.csv`. Throws `RecipeError`, and `TrainingError` where there is no evaluation.
    public init(folder path: String) throws {
        self.path = path
        recipe = try ResolvedRecipe(path: path + "/recipe.yaml").recipe
        let file = path + "/evaluation.csv"
        guard let data = FileManager.default.contents(atPath: file) else {
            throw TrainingError(
                .missingInput, "\(file) is not there", remedy: "name the folders of runs that have evaluated, runs/NAME"
            )
        }
        let lines = String(decoding: data, as: UTF8.self).split(whereSeparator: \.isNewline).map(Self.cells)
        guard let header = lines.first, lines.count > 1 else {
            throw TrainingError(
                .badData, "\(file) holds no evaluation", remedy: "let the run come to its first evaluation")
        }
        rows = try Self.rows(lines.dropFirst().map { Array($0) }, header: header, file: file)
    }

    private static func rows(_ lines: [[String]], header: [String], file: String) throws(TrainingError) -> [Row] {
        var rows: [Row] = []
        for (number, cells) in lines.enumerated() {
            func cell(_ column: String) -> String? {
                header.firstIndex(of: column).flatMap { $0 < cells.count ? cells[$0] : nil }
            }
            guard cells.count == header.count, let prompt = cell("Prompt"),
                let step = cell("iters").flatMap({ Int($0) }),
                let images = cell("Images").flatMap({ Int($0) })
            else {
                throw TrainingError(
                    .badData, "\(file) line \(number + 2) is no evaluation", remedy: "take the line out")
            }
            var scores = EvaluationScores()
            for measure in EvaluationScores.Measure.allCases {
                scores[measure] = cell(measure.column).flatMap { Double($0) }
            }
            let place = rows.firstIndex { $0.prompt == prompt } ?? rows.count
            if place == rows.count {
                rows.append(Row(prompt: prompt, before: nil, after: scores, step: step, images: images))
            }
            if step == 0 { rows[place].before = scores }
            if step >= rows[place].step {
                (rows[place].after, rows[place].step, rows[place].images) = (scores, step, images)
            }
        }
        return rows
    }

    /// The cells of a line, quotes of RFC 4180 taken off.
    private static func cells(_ line: Substring) -> [String] {
        var cells = [""]
        var isQuoted = false
        var previous: Character = ","
        for character in line {
            if character == "\"" {
                // Two quotes inside of quotes stand for one.
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
