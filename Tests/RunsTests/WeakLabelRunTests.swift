import AdaptationMethods
import Collectives
import Datasets
import DataTools
import Foundation
import Kernels
import Recipes
import Runs
import Telemetry
import Testing
import Training

/// A run on annotated boxes and points without any mask.
@Suite struct WeakLabelRunTests {
    private let place = FileManager.default.temporaryDirectory.appendingPathComponent("kedge-weak-\(UUID())").path

    /// Four images of cells in a manifest with annotated boxes and one point on each.
    private func makeData() throws {
        try SyntheticCells.write(to: place + "/data", count: 4, side: 64, seed: 7, severity: 1)
        try FileManager.default.removeItem(atPath: place + "/data/labels")
        let names = try FileManager.default.contentsOfDirectory(atPath: place + "/data/images").sorted()
        let lines = names.map {
            #"{"image": "images/\#($0)", "boxes": [[4, 5, 30, 34], [33, 30, 60, 62]], "#
                + #""points": [[[15, 18, 1], [2, 60, 0]], [[45, 45, 1]]]}"#
        }
        try (lines.joined(separator: "\n") + "\n").write(
            toFile: place + "/data/manifest.jsonl", atomically: true, encoding: .utf8)
    }

    private func run(_ name: String, _ settings: [String], ranks: Int = 1) throws -> [AdaptationRun.Outcome] {
        let recipe = try ResolvedRecipe(
            settings: [
                "data.root=\(place)/data", "data.format=manifest", "data.split=none", "model.kind=tiny",
                "run.folder=\(place)/runs", "run.name=\(name)", "training.globalBatch=2", "training.steps=2",
                "optimizer.warmUpSteps=0", "execution.threads=1",
            ] + settings)
        return try InProcessCommunicator.run(ranks: ranks) { communicator in
            try AdaptationRun(
                recipe: recipe, communicator: communicator, workspace: Workspace(threads: 1), isStopRequested: { false }
            ).run()
        }
    }

    @Test(arguments: ["box", "point"]) func trainsAndIsScoredOnWhatWasDrawn(kind: String) throws {
        defer { try? FileManager.default.removeItem(atPath: place) }
        try makeData()
        let settings = ["prompts.source=annotations", "prompts.kind=\(kind)"]
        let one = try #require(try run("one", settings).first)
        let three = try #require(try run("three", settings, ranks: 3).first)
        #expect(one.adapterDigest == three.adapterDigest && one.adapterDigest != nil)
        #expect(one.after.map(\.scores) == three.after.map(\.scores))
        for record in one.before + one.after {
            #expect(record.scores[.iou] == nil && record.scores[.boundaryIoU] == nil && record.images == 4)
            let (box, hits) = (try #require(record.scores[.boxIoU]), try #require(record.scores[.pointHits]))
            #expect((0...1).contains(box) && (0...1).contains(hits))
        }
        let rows = try RunScores(folder: place + "/runs/one").rows
        #expect(rows.map(\.kind.prompt) == ["box", "point"])
        #expect(rows.map { $0.after?[.boxIoU] } == one.after.map { $0.scores[.boxIoU] })
    }

    /// One image has no points: it stops a run for points, or is skipped like an unreadable image.
    @Test func anImageWithoutThePromptIsABadSample() throws {
        defer { try? FileManager.default.removeItem(atPath: place) }
        try makeData()
        let list = place + "/data/manifest.jsonl"
        var lines = try String(contentsOfFile: list, encoding: .utf8).split(separator: "\n").map(String.init)
        lines[2] = String(lines[2][..<(try #require(lines[2].firstRange(of: ", \"points\""))).lowerBound]) + "}"
        try (lines.joined(separator: "\n") + "\n").write(toFile: list, atomically: true, encoding: .utf8)
        let settings = ["prompts.source=annotations", "prompts.kind=point", "evaluation.prompts=[box]"]
        let error = #expect(throws: RunError.self) { try run("stopped", settings) }
        #expect(error?.exitCode == .data && error?.problem.contains("its labels give no point prompts") == true)
        let outcome = try #require(try run("skipped", settings + ["data.badSamples=skip"]).first)
        #expect(outcome.exitCode == .done && outcome.adapterDigest != nil)
        let log = try String(contentsOfFile: place + "/runs/skipped/log.jsonl", encoding: .utf8)
        #expect(log.contains("skipped: ") && log.contains("its labels give no point prompts"))
        #expect(log.contains(#""bad_images":1"#))
    }

    /// Skipping all images is an error.
    @Test func aRunWithoutAnImageIsAnError() throws {
        defer { try? FileManager.default.removeItem(atPath: place) }
        try makeData()
        let settings = [
            "prompts.source=annotations", "prompts.kind=coarse", "evaluation.prompts=[box]", "data.badSamples=skip",
        ]
        let error = #expect(throws: RunError.self) { try run("nothing", settings) }
        #expect(
            error?.exitCode == .data && error?.problem.contains("none of its 4 images to train on can be used") == true)
        #expect(error?.problem.contains("give no coarse prompts, they are boxes and points") == true)
    }

    @Test(arguments: [(5, "into 1x1 squares; choose 1 to 4"), (8, "into 1x1"), (9, "into 0x0")])
    func patchesMustDiffer(side: Int, text: String) throws {
        defer { try? FileManager.default.removeItem(atPath: place) }
        try makeData()
        let settings = ["prompts.source=annotations", "method.contrast=patches", "method.patchSide=\(side)"]
        let error = #expect(throws: AdaptationMethodError.self) { try run("patches", settings) }
        #expect(error?.kind == .settings && error?.description.contains(text) == true, "\(error as Any)")
    }

    @Test(arguments: [
        (["model.kind=litemedsam"], nil), (["model.kind=mobilesam", "prompts.kind=point"], nil),
        (["model.kind=litemedsam", "prompts.kind=point"], "points"),
        (["model.kind=litemedsam", "prompts.teacherKind=point"], "points"),
        (["model.kind=litemedsam", "prompts.source=automatic"], "prompts.source=automatic"),
    ])
    func aModelOfBoxesAloneIsNamed(settings: [String], asked: String?) throws {
        let assembly = RunAssembly(
            recipe: try ResolvedRecipe(settings: settings + ["data.root=d"]).recipe,
            communicator: try SingleProcessCommunicator(), workspace: Workspace(threads: 1))
        #expect(
            assembly.promptWarning?.contains("performs poorly with \(asked ?? "-");") == (asked == nil ? nil : true))
    }

    /// A method that needs masks refuses images without masks, with a message.
    @Test func supervisionNeedsMasks() throws {
        defer { try? FileManager.default.removeItem(atPath: place) }
        try makeData()
        let error = #expect(throws: (any Error).self) { _ = try run("supervised", ["method.name=supervised"]) }
        #expect(error.map { "\($0)" }?.contains("no masks to learn from") == true)
    }

    @Test func directIsScoredOnceAndLeavesTheModelAsItWas() throws {
        defer { try? FileManager.default.removeItem(atPath: place) }
        try makeData()
        let outcome = try #require(
            try run("direct", ["method.name=direct", "prompts.source=annotations", "evaluation.before=false"]).first)
        #expect(outcome.exitCode == .done && !outcome.before.isEmpty)
        #expect(outcome.before.map(\.scores) == outcome.after.map(\.scores))
        #expect(try RunScores(folder: place + "/runs/direct").rows.allSatisfy { $0.step == 0 && $0.before == $0.after })
        #expect(FileManager.default.fileExists(atPath: place + "/runs/direct/summary.txt"))
    }
}
