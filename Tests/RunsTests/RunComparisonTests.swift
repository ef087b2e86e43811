import Foundation
import Recipes
import Runs
import Telemetry
import Testing
import Training

@Suite struct RunComparisonTests {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("kedge-compare-\(UUID())").path

    private func run(_ name: String, _ settings: [String], rows: [String]) throws -> RunScores {
        let path = folder + "/" + name
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        let recipe = try ResolvedRecipe(settings: ["data.root=d", "model.weights=w", "run.name=\(name)"] + settings)
        try recipe.resolvedYAML.write(toFile: path + "/recipe.yaml", atomically: true, encoding: .utf8)
        let text = ([CSVSink.header] + rows).joined(separator: "\n") + "\n"
        try text.write(toFile: path + "/evaluation.csv", atomically: true, encoding: .utf8)
        return try RunScores(folder: path)
    }

    private func row(_ prompt: String, _ iou: Double, _ f1: Double, step: Int) -> String {
        "\"a, \"\"b\"\"\",\(prompt),\(iou),\(f1),\(step),,12,90,0.0,1.5,,,,2026-01-01T00:00:00.000Z,data,data,adapt"
    }

    @Test func seedsBecomeOneLineAndRecipesStaySeparate() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let runs = try [
            run(
                "wesam-seed1", ["training.seed=1"],
                rows: [row("box", 0.7, 0.8, step: 0), row("box", 0.74, 0.82, step: 50)]),
            run(
                "wesam-seed2", ["training.seed=2"],
                rows: [row("box", 0.7, 0.8, step: 0), row("box", 0.2, 0.2, step: 25), row("box", 0.76, 0.86, step: 50)]),
            run(
                "alone", ["method.name=self-training"],
                rows: [row("box", 0.7, 0.8, step: 0), row("box", 0.6, 0.7, step: 50)]),
        ]
        #expect(runs[1].rows.count == 1 && runs[1].rows[0].step == 50)
        let text = RunComparison(runs).text
        #expect(
            text == """
                runs   seeds  prompt  images  steps        IoU before             after             change         F1 before             after             change
                wesam      2  box         12     50  0.7000 +- 0.0000  0.7500 +- 0.0141  +0.0500 +- 0.0141  0.8000 +- 0.0000  0.8400 +- 0.0283  +0.0400 +- 0.0283
                alone      1  box         12     50            0.7000            0.6000            -0.1000            0.8000            0.7000            -0.1000

                differences between the recipes:
                  wesam: method.name=wesam
                  alone: method.name=self-training
                """)
    }

    @Test func anUnfinishedRunHasNoChange() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let begun = try run("begun", [], rows: [row("box", 0.7, 0.8, step: 0)])
        #expect(begun.rows[0].before?[.iou] == 0.7 && begun.rows[0].after == nil)
        let cells = RunComparison([begun]).text.split(separator: "\n")[1].split(separator: " ")
        #expect(cells == ["begun", "1", "box", "12", "0", "0.7000", "-", "-", "0.8000", "-", "-"])
        // A run without training ends where it began.
        try "table".write(toFile: begun.path + "/summary.txt", atomically: true, encoding: .utf8)
        let ended = try RunScores(folder: begun.path)
        #expect(ended.rows[0].after == ended.rows[0].before)
        #expect(RunComparison([ended]).text.contains("+0.0000"))
    }

    @Test func foldersWithoutScoresAreNamed() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        #expect(throws: RecipeError.self) { _ = try RunScores(folder: folder + "/nothing") }
        let empty = #expect(throws: RunError.self) { _ = try run("empty", [], rows: []) }
        #expect(empty?.kind == .badData)
        let odd = #expect(throws: RunError.self) { _ = try run("odd", [], rows: ["a,box,0.5"]) }
        #expect(odd?.description.contains("line 2") == true)
        let gone = folder + "/gone"
        _ = try run("gone", [], rows: [row("box", 0.5, 0.5, step: 0)])
        try FileManager.default.removeItem(atPath: gone + "/evaluation.csv")
        #expect((#expect(throws: RunError.self) { _ = try RunScores(folder: gone) })?.kind == .missingInput)
    }
}
