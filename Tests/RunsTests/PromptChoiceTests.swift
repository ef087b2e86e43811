import Collectives
import Datasets
import DataTools
import Evaluation
import Foundation
import Kernels
import Recipes
import Runs
import Telemetry
import Testing
import Training

/// What a run makes of labels of different kinds.
@Suite struct PromptChoiceTests {
    private let place = FileManager.default.temporaryDirectory.appendingPathComponent("kedge-prompts-\(UUID())").path

    /// Images of cells whose manifest holds the given labels for each.
    private func makeData(_ labels: [String]) throws {
        try SyntheticCells.write(to: place + "/data", count: labels.count, side: 64, seed: 7, severity: 1)
        try FileManager.default.removeItem(atPath: place + "/data/labels")
        let names = try FileManager.default.contentsOfDirectory(atPath: place + "/data/images").sorted()
        let lines = zip(names, labels).map { #"{"image": "images/\#($0)"\#($1)}"# }
        try (lines.joined(separator: "\n") + "\n").write(
            toFile: place + "/data/manifest.jsonl", atomically: true, encoding: .utf8)
    }

    private static let boxes = #", "boxes": [[4, 5, 30, 34], [33, 30, 60, 62]]"#
    private static let points = #", "points": [[[15, 18, 1]], [[45, 45, 1]]]"#

    private func recipe(_ settings: [String] = []) throws -> ResolvedRecipe {
        try ResolvedRecipe(
            settings: [
                "data.root=\(place)/data", "data.format=manifest", "model.kind=tiny", "run.folder=\(place)/runs",
                "training.globalBatch=2", "training.steps=2", "execution.threads=1",
            ] + settings)
    }

    private func choice(_ settings: [String] = []) throws -> (student: String, scored: [PromptKind]?) {
        let data = try TrainingData(recipe(settings).recipe)
        return (data.choice.prompts.kind.rawValue, data.choice.evaluation.kinds)
    }

    private func run(_ settings: [String], ranks: Int = 1) throws -> [AdaptationRun.Outcome] {
        let recipe = try recipe(settings)
        return try InProcessCommunicator.run(ranks: ranks) { communicator in
            try AdaptationRun(
                recipe: recipe, communicator: communicator, workspace: Workspace(threads: 1), isStopRequested: { false }
            ).run()
        }
    }

    @Test func automaticKindsFollowTheLabels() throws {
        defer { try? FileManager.default.removeItem(atPath: place) }
        try makeData([String](repeating: Self.boxes, count: 6))
        #expect(try choice() == ("box", [.box, .point]))
        try makeData([String](repeating: Self.points, count: 6))
        #expect(try choice() == ("point", [.point]))
        #expect(try choice(["prompts.source=pseudo"]) == ("box", [.point]))
        // What all images give comes before what most give.
        try makeData([
            Self.boxes + Self.points, Self.points, Self.boxes + Self.points, Self.points, Self.points, Self.points,
        ])
        #expect(try choice() == ("point", [.point]))
    }

    @Test func whatLabelsDoNotGiveIsRefusedBeforeTheFirstStep() throws {
        defer { try? FileManager.default.removeItem(atPath: place) }
        try makeData([String](repeating: Self.boxes, count: 6))
        for settings in [["prompts.kind=point"], ["prompts.teacherKind=point"], ["evaluation.prompts=coarse"]] {
            let error = #expect(throws: RunError.self) { _ = try TrainingData(recipe(settings).recipe) }
            #expect(error?.exitCode == .data && error?.problem.contains("they are boxes") == true, "\(error as Any)")
            // A dry run and the check say the same.
            let again = #expect(throws: RunError.self) {
                _ = try RunRehearsal(recipe(settings).recipe, communicator: SingleProcessCommunicator())
            }
            #expect(again?.problem == error?.problem)
            let refusal = try RunRehearsal.refusal(recipe(settings).recipe, labels: [.boxes, .boxes])
            #expect(refusal?.problem.hasPrefix("2 of 2 images: its labels give no") == true)
        }
        #expect(RunRehearsal.refusal(try recipe().recipe, labels: [.boxes, .points]) != nil)
        #expect(RunRehearsal.refusal(try recipe(["data.badSamples=skip"]).recipe, labels: [.boxes, .points]) == nil)
        #expect(RunRehearsal.refusal(try recipe().recipe, labels: [.boxes, .boxes]) == nil)
    }

    @Test func aRehearsalStatesWhatARunWouldDo() throws {
        defer { try? FileManager.default.removeItem(atPath: place) }
        try makeData([String](repeating: Self.boxes, count: 6))
        let communicator = try SingleProcessCommunicator()
        let rehearsal = try RunRehearsal(recipe().recipe, communicator: communicator)
        #expect(
            rehearsal.lines == [
                "data: 5 images to adapt to, 1 to score",
                "prompts: student box, teacher box, scored by box and point; learning rate 0.005 after 0 steps of warm-up",
            ])
        #expect(rehearsal.warnings.isEmpty)
        let slow = try RunRehearsal(recipe(["optimizer.learningRate=1e-4"]).recipe, communicator: communicator)
        #expect(slow.warnings.count == 1 && slow.warnings[0].contains("hardly change the model"))
        let cold = try RunRehearsal(recipe(["optimizer.warmUpSteps=250"]).recipe, communicator: communicator)
        #expect(cold.warnings.count == 1 && cold.warnings[0].contains("never reached"))
        let few = try RunRehearsal(recipe().recipe, limit: 3, communicator: communicator)
        #expect(few.lines[0] == "data: 3 images to adapt to, 0 to score")
    }

    /// With nothing to score, nothing is held out.
    @Test func imagesAreHeldOutOnlyToBeScored() throws {
        defer { try? FileManager.default.removeItem(atPath: place) }
        try makeData([String](repeating: Self.boxes, count: 6))
        func counts(_ settings: [String]) throws -> [Int] {
            let data = try TrainingData(recipe(settings).recipe)
            return [data.training.count, data.evaluationCount]
        }
        #expect(try counts([]) == [5, 1] && counts(["evaluation.prompts=[]"]) == [6, 0])
        #expect(try counts(["evaluation.prompts=[]", "data.split=5:1"]) == [5, 0])
    }

    /// Images without labels are compared with masks that the unadapted model finds in those held out.
    @Test func imagesWithoutLabelsHaveAScore() throws {
        defer { try? FileManager.default.removeItem(atPath: place) }
        try makeData([String](repeating: "", count: 6))
        let settings = [
            "prompts.source=automatic", "automatic.pointsPerSide=4", "automatic.predictedIoU=0",
            "automatic.stability=0",
        ]
        let outcome = try #require(try run(settings).first)
        #expect(
            outcome.before.map(\.prompt) == ["box", "point"] && outcome.after.allSatisfy { $0.scores[.iou] != nil })
        let log = try String(contentsOfFile: place + "/runs/run/log.jsonl", encoding: .utf8)
        #expect(log.contains("agreement with masks that the unadapted model finds"))
        #expect(FileManager.default.fileExists(atPath: place + "/runs/run/summary.txt"))
        // Without the source of masks nothing can be trained on, and the error names it.
        let error = #expect(throws: DatasetError.self) { try TrainingData(recipe().recipe) }
        #expect(error?.code == .emptyDataset && error?.remedy.contains("prompts.source=automatic") == true)
    }

    /// The same bits and labels for any number of ranks, from boxes and from points.
    @Test(arguments: [#", "boxes": [[0, 0, 64, 64], [1, 2, 63, 62]]"#, points]) func pseudoMasksTrainToTheSameBits(
        labels: String
    ) throws {
        defer { try? FileManager.default.removeItem(atPath: place) }
        try makeData([String](repeating: labels, count: 6))
        let settings = ["prompts.source=pseudo", "model.weights=random:3", "data.split=none"]
        let one = try run(settings + ["run.name=one"])[0]
        let three = try run(settings + ["run.name=three"], ranks: 3)[0]
        #expect(one.adapterDigest == three.adapterDigest && one.adapterDigest != nil)
        #expect(one.after.map(\.scores) == three.after.map(\.scores))
        let files = ["one", "three"].map {
            FileManager.default.contents(atPath: "\(place)/runs/\($0)/automatic/000002.json")
        }
        #expect(files[0] == files[1] && files[0] != nil)
    }

    @Test func automaticSchedulesHaveTheBitsOfTheirValues() throws {
        defer { try? FileManager.default.removeItem(atPath: place) }
        try makeData([String](repeating: Self.boxes, count: 6))
        let automatic = try run(["run.name=automatic", "training.steps=20"])[0]
        let explicit = try run([
            "run.name=explicit", "training.steps=20", "optimizer.learningRate=5e-3", "optimizer.warmUpSteps=2",
            "prompts.kind=box", "evaluation.prompts=[box, point]",
        ])[0]
        #expect(automatic.adapterDigest == explicit.adapterDigest && automatic.adapterDigest != nil)
        // A checkpoint of one is resumed by the other: they are the same run.
        let resumed = try AdaptationRun(
            recipe: recipe([
                "run.name=automatic", "training.steps=20", "optimizer.learningRate=5e-3", "optimizer.warmUpSteps=2",
                "prompts.kind=box",
            ]), communicator: SingleProcessCommunicator(), workspace: Workspace(threads: 1), isStopRequested: { false }
        ).run()
        #expect(resumed.adapterDigest == automatic.adapterDigest)
    }
}

@Suite struct AutomaticScheduleTests {
    @Test(arguments: [(24, 5e-3, 2), (40, 3e-3, 4), (400, 3e-4, 40), (1200, 1e-4, 120), (10_600, 1e-4, 250)])
    func rateAndWarmUpFollowTheLength(steps: Int, rate: Double, warmUp: Int) {
        let settled = OptimizerSettings().settled(totalSteps: steps)
        #expect(settled.schedule.base == rate && settled.schedule.warmUpSteps == warmUp)
        #expect(settled.settled(totalSteps: 7) == settled)
    }
}
