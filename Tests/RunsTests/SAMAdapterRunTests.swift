import Adapters
import Collectives
import DataTools
import Evaluation
import Layers
import Machine
import ModelLoading
import Recipes
import Runs
import SegmentAnything
import Telemetry
import Tensors
import Testing
import TestSupport

/// Runs that train a plain encoder's prompts, and adapters of an encoder that is global everywhere.
@Suite struct SAMAdapterRunTests {
    private let place: TemporaryFolder

    init() throws {
        BLASEnvironment.useSingleThread()
        place = try TemporaryFolder("sam-adapter-run")
        try SyntheticCells.write(to: place.path + "/cells", count: 6, side: 96, seed: 5, severity: 1)
    }

    private func settings(_ name: String, _ more: [String] = []) -> [String] {
        [
            "model.kind=tiny", "data.root=\(place.path)/cells", "data.split=2:1", "method.name=sam-adapter",
            "method.pointCount=64", "training.globalBatch=2", "training.steps=3", "optimizer.warmUpSteps=0",
            "optimizer.learningRate=1e-2", "optimizer.weightDecay=0", "run.folder=\(place.path)/runs",
            "run.name=\(name)",
        ] + more
    }

    private func file(_ name: String) -> String { place.path + "/runs/\(name)/adapter.safetensors" }

    private func load(_ settings: [String]) throws -> LoadedModel {
        try LoadedModel(try ResolvedRecipe(settings: settings).recipe.model)
    }

    @Test func ranksAndRecomputingChangeNoBit() throws {
        let one = try InProcessRun.outcome(settings("one"))
        #expect(one.exitCode == .done && one.adapterDigest != nil)
        #expect(try InProcessRun.outcome(settings("two"), ranks: 2).adapterDigest == one.adapterDigest)
        let recomputed = try InProcessRun.outcome(settings("recomputed", ["execution.recompute=blocks"]), ranks: 2)
        #expect(recomputed.adapterDigest == one.adapterDigest)
        let published = try InProcessRun.outcome(settings("published", ["samAdapter.identityStart=false"]))
        #expect(published.adapterDigest != one.adapterDigest)

        let adapted = try load(settings("one")).adapted(opening: file("one"))
        #expect(adapted.adapters.sets.map(\.kind) == ["sam-adapter"])
        let values = try #require(adapted.trained)
        for part in ["image_encoder.prompt_generator.", "mask_decoder."] {
            let own = adapted.layout.entries.filter { $0.name.hasPrefix(part) }
            #expect(!own.isEmpty)
            #expect(own.contains { values.value($0.slot).elements.contains { $0 != 0 } })
        }
        // From zeros, the shared layer of the blocks has moved, and with it the encoder.
        let shared = try #require(adapted.layout.slot(of: "image_encoder.prompt_generator.shared_mlp.weight"))
        #expect(values.value(shared).elements.contains { $0 != 0 })
    }

    /// Decoders trained on one of the two encoders read features that the other does not give.
    @Test func encodersAreNotMixed() throws {
        let everywhere = ["model.allGlobalEncoder=true", "method.name=hq-sam"]
        let (plain, global) = (
            try InProcessRun.outcome(settings("plain", ["method.name=hq-sam"])),
            try InProcessRun.outcome(settings("global", everywhere))
        )
        #expect(plain.exitCode == .done && global.exitCode == .done)
        #expect(plain.adapterDigest != global.adapterDigest)
        #expect(
            try InProcessRun.outcome(settings("global-2", everywhere), ranks: 2).adapterDigest == global.adapterDigest)
        #expect(
            LoadedModel.isAllGlobal(
                baseDigest: try AdapterFile(opening: file("global")).description.baseDigest))
        #expect(
            !LoadedModel.isAllGlobal(
                baseDigest: try AdapterFile(opening: file("plain")).description.baseDigest))
        _ = try load(settings("global", everywhere)).adapted(opening: file("global"))
        for (name, other, value) in [("global", [], "true"), ("plain", everywhere, "false")] {
            let error = #expect(throws: RunError.self) {
                _ = try load(settings(name, other)).adapted(opening: file(name))
            }
            #expect(error?.description.contains("set model.allGlobalEncoder=\(value)") == true)
        }
    }

    @Test func modelsWithoutAPlainEncoder() throws {
        for (setting, fault) in [
            ("model.allGlobalEncoder=true", "must be false with model.kind=mobilesam"),
            ("method.name=sam-adapter", "choose the model vit_b, vit_l or vit_h in model.kind"),
        ] {
            let error = #expect(throws: RecipeError.self) {
                _ = try ResolvedRecipe(settings: ["data.root=.", "model.kind=mobilesam", setting])
            }
            #expect(error.map { "\($0)".contains(fault) } == true, "\(setting)")
        }
        var settings = ModelSettings()
        settings.allGlobalEncoder = true
        #expect(throws: RunError.self) { _ = try LoadedModel.configuration(settings) }
        settings.kind = .vitB
        #expect(try LoadedModel.configuration(settings) == SegmentAnythingConfiguration.vitB.allGlobal)
    }
}
