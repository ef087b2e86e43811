import Datasets
import Foundation
import Recipes
import Telemetry

/// Runs side by side: one line per recipe and kind of prompt, the mean over seeds, and the keys in which the recipes
/// differ.
public struct RunComparison: Sendable {
    /// Runs that differ only in their seeds.
    struct Group {
        var name: String
        var runs: [RunScores]
    }

    private let groups: [Group]

    /// True for keys in which repetitions of one experiment differ.
    private static func isOfRepetition(_ key: RecipeKey) -> Bool {
        key.key == "training.seed" || key.row.name == "splitSeed" || key.row.effect == .machine
    }

    /// Groups runs, keeping their order.
    public init(_ runs: [RunScores]) {
        var groups: [Group] = []
        for run in runs {
            let own = Self.fingerprint(run.recipe)
            if let place = groups.firstIndex(where: { Self.fingerprint($0.runs[0].recipe) == own }) {
                groups[place].runs.append(run)
            } else {
                groups.append(Group(name: "", runs: [run]))
            }
        }
        self.groups = groups.map { Group(name: Self.name(of: $0.runs), runs: $0.runs) }
    }

    private static func fingerprint(_ recipe: Recipe) -> [String] {
        recipe.entries.filter { !isOfRepetition($0.key) }.map { "\($0.key.key)=\($0.value)" }
    }

    /// The run's name, or the common prefix of several names.
    private static func name(of runs: [RunScores]) -> String {
        let names = runs.map(\.recipe.run.name)
        var common = names[0]
        for name in names.dropFirst() { common = common.commonPrefix(with: name) }
        guard names.count > 1 else { return common }
        while let last = common.last, "-_. 0123456789".contains(last) { common.removeLast() }
        for suffix in ["-seed", "_seed", "-s", "_s"] where common.hasSuffix(suffix) {
            common.removeLast(suffix.count)
            break
        }
        return common.isEmpty ? names[0] : common
    }

    /// The table; scores are means over runs, with the standard deviation of several.
    public var text: String {
        let measures = EvaluationScores.Measure.allCases.filter { measure in
            groups.contains { $0.runs.contains { $0.rows.contains { ($0.after ?? $0.before)?[measure] != nil } } }
        }
        var rows = [
            ["runs", "seeds", "prompt", "images", "steps"]
                + measures.flatMap { ["\($0.title) before", "after", "change"] }
        ]
        for group in groups {
            for kind in Self.kinds(group) {
                let own = group.runs.compactMap { run in run.rows.first { $0.kind == kind } }
                rows.append(
                    [group.name, "\(own.count)", kind.text, Self.range(own.map(\.images)), Self.range(own.map(\.step))]
                        + measures.flatMap { Self.cells(own, $0) })
            }
        }
        return (Self.aligned(rows) + differences).joined(separator: "\n")
    }

    private static func kinds(_ group: Group) -> [RunScores.Kind] {
        var kinds: [RunScores.Kind] = []
        for row in group.runs.flatMap(\.rows) where !kinds.contains(row.kind) { kinds.append(row.kind) }
        return kinds
    }

    private static func cells(_ rows: [RunScores.Row], _ measure: EvaluationScores.Measure) -> [String] {
        let before = rows.compactMap { $0.before?[measure] }
        let after = rows.compactMap { $0.after?[measure] }
        let change = rows.compactMap { row in
            row.before?[measure].flatMap { first in row.after?[measure].map { $0 - first } }
        }
        return [cell(before), cell(after), change.isEmpty ? "-" : (mean(change) >= 0 ? "+" : "") + cell(change)]
    }

    private static func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(max(values.count, 1)) }

    /// The mean, and the standard deviation (n - 1) of several.
    private static func cell(_ values: [Double]) -> String {
        guard !values.isEmpty else { return "-" }
        let centre = mean(values)
        guard values.count > 1 else { return String(format: "%.4f", centre) }
        let square = values.reduce(0) { $0 + ($1 - centre) * ($1 - centre) } / Double(values.count - 1)
        return String(format: "%.4f +- %.4f", centre, square.squareRoot())
    }

    private static func range(_ values: [Int]) -> String {
        guard let least = values.min(), let most = values.max() else { return "-" }
        return least == most ? "\(least)" : "\(least)-\(most)"
    }

    private static func aligned(_ rows: [[String]]) -> [String] {
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { cells in
            zip(cells, widths).enumerated().map { column, cell in
                let fill = String(repeating: " ", count: cell.1 - cell.0.count)
                return column == 0 || column == 2 ? cell.0 + fill : fill + cell.0
            }.joined(separator: "  ")
        }
    }

    /// The keys in which the recipes differ, one line per group.
    private var differences: [String] {
        guard groups.count > 1 else { return [] }
        // Keys that only some recipes have, such as those of a method, follow from another difference and are not
        // compared.
        let recipes = groups.map { $0.runs[0].recipe.entries.filter { !Self.isOfRepetition($0.key) } }
        let keys = DataMixture.inOrder(recipes.flatMap { $0.map(\.key.key) }).filter { key in
            Set(recipes.compactMap { $0.first { $0.key.key == key }.map { "\($0.value)" } }).count > 1
        }
        return ["", "differences between the recipes:"]
            + zip(groups, recipes).map { group, entries in
                let own = keys.compactMap { key in entries.first { $0.key.key == key }.map { "\(key)=\($0.value)" } }
                return "  \(group.name): " + own.joined(separator: " ")
            }
    }
}
