import DataTools
import Foundation
import Recipes
import Runs
import Telemetry
import Testing

/// Recipes that mix sources with and without masks: what is refused, and whole runs.
@Suite struct MixedSourceTests {
    private func faults(_ settings: [String]) -> [String] {
        let base = [
            "model.weights=w", "data.flips=none", "method.name=sum", "data.sources.a.root=a", "data.sources.b.root=b",
            "data.sources.b.supervision=none",
        ]
        do {
            _ = try ResolvedRecipe(settings: base + settings)
            return []
        } catch { return error.faults.map(\.key) }
    }

    @Test func whatDoesNotFitIsNamed() {
        #expect(faults([]) == [])
        #expect(faults(["data.sources.b.supervision=full"]) == ["data.sources"])
        #expect(faults(["data.sources.a.supervision=weak"]) == ["data.sources"])
        #expect(faults(["data.flips=epoch"]) == ["data.flips"])
        #expect(faults(["data.flips=epoch", "method.uncertainty=none"]) == [])
        #expect(faults(["prompts.source=automatic"]).contains("prompts.source"))
        #expect(faults(["automatic.cropLayers=1"]) == ["automatic.cropLayers"])
        #expect(faults(["automatic.minimumRegionArea=9"]) == ["automatic.minimumRegionArea"])
        #expect(faults(["model.preprocessing=wesam"]) == ["model.preprocessing"])
        #expect(faults(["method.label=refined", "method.uncertainty=none"]) == ["method.label"])
        // Masks of a source without labels give the prompts of methods that learn from weak labels, and no others.
        #expect(faults(["method.name=wesam"]) == [])
        #expect(faults(["method.name=wesam", "prompts.source=automatic"]) == ["data.sources.b.supervision"])
        #expect(faults(["method.name=supervised"]) == ["data.sources.b.supervision"])
        #expect(
            faults(["method.name=wesam", "data.sources.b.supervision=full", "data.sources.a.task=part"]) == [
                "data.sources.a.task"
            ])
        #expect(
            faults(["method.name=interactive", "data.sources.b.supervision=full", "data.sources.a.task=part"]) == [])
    }

    /// A whole run on ranks of this process; products and adapter do not depend on their number.
    @Test func stagesRunOneAfterTheOther() throws {
        let place = FileManager.default.temporaryDirectory.path + "/kedge-sum-\(UUID())"
        defer { try? FileManager.default.removeItem(atPath: place) }
        try SyntheticCells.write(to: place + "/human", count: 4, side: 64, seed: 7, severity: 1)
        try SyntheticCells.write(to: place + "/free", count: 3, side: 64, seed: 8, severity: 1)
        let settings = [
            "data.flips=none", "data.sources.human.root=\(place)/human", "data.sources.human.split=1:1",
            "data.sources.human.task=part", "data.sources.free.root=\(place)/free", "data.sources.free.format=images",
            "data.sources.free.split=none", "data.sources.free.supervision=none", "model.kind=tiny",
            "run.folder=\(place)/runs", "method.name=sum", "method.rounds=2", "method.refinerEpochs=1",
            "method.refinerMinimumIoU=0", "method.refinerFilters=false", "method.refinerMustImprove=false",
            "automatic.pointsPerSide=3", "automatic.predictedIoU=0", "automatic.stability=0",
            "prompts.maximumInstances=3", "training.globalBatch=2", "training.steps=2", "execution.threads=1",
            "optimizer.learningRate=1e-4", "evaluation.prompts=[box]",
        ]
        let one = try InProcessRun.outcome(settings + ["run.name=one"])
        let three = try InProcessRun.outcome(settings + ["run.name=three"], ranks: 3)
        #expect(one.adapterDigest != nil && one.adapterDigest == three.adapterDigest)
        // Images without masks are trained on, and not scored.
        #expect(one.after.map(\.source) == ["human"])
        for path in [
            "refiner/adapter.safetensors", "automatic/free/000002.json", "maps/free/000002.png",
            "maps/free/000003.json",
        ] {
            let pair = ["one", "three"].map { FileManager.default.contents(atPath: "\(place)/runs/\($0)/\(path)") }
            #expect(pair[0] != nil && pair[0] == pair[1], "\(path)")
        }
        // A run that is asked to stop in the first stage ends as one that can be resumed, and goes on.
        // The same in the second, and in the third.
        for checks in [0, 3, 6] {
            let stopped = try InProcessRun.outcome(settings + ["run.name=stopped"], stopAfter: checks)
            #expect(stopped.exitCode == .resumable, "\(checks)")
            let hasLabels = FileManager.default.fileExists(atPath: "\(place)/runs/stopped/automatic")
            #expect(hasLabels == (checks > 0), "\(checks)")
        }
        #expect(try InProcessRun.outcome(settings + ["run.name=stopped"]).adapterDigest == one.adapterDigest)
    }

    /// A refinement module that makes masks worse ends the run, unless the recipe says otherwise.
    @Test func aRefinementModuleThatDoesNotHelpEndsTheRun() throws {
        let place = FileManager.default.temporaryDirectory.path + "/kedge-sum-\(UUID())"
        defer { try? FileManager.default.removeItem(atPath: place) }
        try SyntheticCells.write(to: place + "/human", count: 4, side: 64, seed: 7, severity: 1)
        try SyntheticCells.write(to: place + "/free", count: 2, side: 64, seed: 8, severity: 1)
        let settings = [
            "data.flips=none", "data.sources.human.root=\(place)/human", "data.sources.human.split=1:1",
            "data.sources.free.root=\(place)/free", "data.sources.free.format=images", "data.sources.free.split=none",
            "data.sources.free.supervision=none", "model.kind=tiny", "run.folder=\(place)/runs", "method.name=sum",
            "method.rounds=2", "method.refinerEpochs=1", "method.refinerMinimumIoU=0", "method.refinerFilters=false",
            // A rate at which nothing changes cannot help.
            "method.refinerRate=1e-8", "automatic.pointsPerSide=2", "automatic.predictedIoU=0", "automatic.stability=0",
            "prompts.maximumInstances=3", "training.steps=1", "execution.threads=1", "optimizer.learningRate=1e-4",
            "evaluation.prompts=[box]",
        ]
        let error = try #require(throws: RunError.self) {
            _ = try InProcessRun.outcome(settings + ["run.name=useless"])
        }
        #expect(error.description.contains("does not help: boundary IoU of"))
        #expect(
            try InProcessRun.outcome(settings + ["run.name=forced", "method.refinerMustImprove=false"]).exitCode
                == .done)
    }
}
