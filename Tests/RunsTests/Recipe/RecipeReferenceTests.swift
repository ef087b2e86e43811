import AdaptationMethods
import Datasets
import Foundation
import Layers
import ModelLoading
import Recipes
import Runs
import Testing
import Training

/// Tables, settings types and shipped recipes agree. `recipes/reference.yaml` freezes keys, defaults and meanings: what changes
/// there changes what users' recipes mean.
@Suite struct RecipeReferenceTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// The properties of every settings type that has a table, with the rows of the table.
    @Test func everyPropertyHasItsRow() {
        func count(_ value: Any) -> Int {
            Mirror(reflecting: value).children.reduce(0) { sum, child in
                // Measured by a run, not set by a recipe.
                if child.label == "measuredRanges" { return sum }
                return switch child.value {
                // An empty array of anything is also one of these.
                case is [NamedSection<SourceSettings>] where child.label == "sources": sum
                case let section as any RecipeSection: sum + count(section)
                case let value where value is LearningRateSchedule || value is Adam.Configuration: sum + count(value)
                default: sum + 1
                }
            }
        }
        for child in Mirror(reflecting: Recipe()).children {
            guard let section = child.value as? any RecipeSection, child.label != "automatic" else { continue }
            #expect(section.rows.count == count(section), "\(child.label ?? "")")
            #expect(Set(section.rows.map(\.name)).count == section.rows.count)
        }
        #expect(WeSAMSettings.fields.count == count(WeSAMSettings()))
        #expect(SelfTrainingSettings.fields.count == count(SelfTrainingSettings()))
    }

    /// Run with KEDGE_UPDATE_REFERENCE=1 to rewrite the file.
    @Test func referenceRecipeIsCurrent() throws {
        let file = Self.root.appendingPathComponent("recipes/reference.yaml")
        if ProcessInfo.processInfo.environment["KEDGE_UPDATE_REFERENCE"] == "1" {
            try Recipe().referenceYAML.write(to: file, atomically: true, encoding: .utf8)
        }
        #expect(try String(contentsOf: file, encoding: .utf8) == Recipe().referenceYAML)
    }

    @Test func referenceRecipeHoldsTheDefaults() throws {
        let path = Self.root.appendingPathComponent("recipes/reference.yaml").path
        let resolved = try ResolvedRecipe(path: path, settings: ["data.root=d", "model.weights=w"])
        var expected = Recipe()
        expected.data.source.options.root = "d"
        expected.model.weights = "w"
        #expect(resolved.recipe == expected)
        #expect(resolved.sources.values.allSatisfy { $0 != .defaults })
    }

    @Test(arguments: ["boxes", "continual", "demo", "interactive", "kvasir", "no-labels", "points", "polygons", "sum"])
    func shippedRecipesAreValid(name: String) throws {
        let resolved = try ResolvedRecipe(path: Self.root.appendingPathComponent("recipes/\(name).yaml").path)
        #expect(resolved.recipe.run.name == name)
    }

    /// One budget for all lines of the ablation: those of a model differ only in method, source of prompts and weights.
    @Test func theAblationDiffersInWhatItIsAbout() throws {
        let box = ["direct", "no-anchor", "no-contrast", "self-training", "supervised", "tent", "wesam"]
        let automatic = ["mobilesam-automatic", "mobilesam-direct", "mobilesam-wesam"]
        let folder = Self.root.appendingPathComponent("recipes/ablation").path
        let files = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        #expect(files == (box + automatic).sorted().map { $0 + ".yaml" })
        func differing(_ names: [String]) throws -> [String] {
            let recipes = try names.map {
                try ResolvedRecipe(path: "\(folder)/\($0).yaml", settings: ["data.root=d"]).recipe
            }
            #expect(recipes.map(\.run.name) == names)
            let entries = recipes.map { $0.entries.map { ($0.key.key, "\($0.value)") } }
            var keys = Recipe().entries.map(\.key.key)
            // Keys that only some of them have follow from another difference.
            keys = keys.filter { key in
                let values = entries.compactMap { $0.first { $0.0 == key }?.1 }
                return Set(values).count > 1
            }
            return keys
        }
        #expect(
            try differing(box) == [
                "run.name", "method.name", "method.anchorWeight", "method.contrastWeight", "evaluation.before",
            ])
        #expect(
            try differing(automatic) == [
                "run.name", "prompts.source", "method.name", "automatic.pointsPerSide", "evaluation.before",
            ])
        #expect(
            try differing(["wesam", "mobilesam-wesam"]) == ["run.name", "model.kind", "model.preprocessing"])
    }

    @Test func everyKeyHasAHelpLine() {
        let help = Recipe().helpText
        #expect(
            Recipe().entries.allSatisfy { entry in
                help.contains("\(entry.key.key)  (") && !entry.key.row.doc.isEmpty && entry.key.row.doc.last != "."
            })
    }

    @Test func writingAFieldChangesThatFieldAlone() throws {
        // One non-default value per key; a row with a wrong key path fails here.
        let changed: [String: String] = [
            "model.kind": "tiny", "data.binarise": "7", "data.split": "none",
            "data.splitSeed": "3", "data.task": "part",
            "data.evaluationRoot": "e", "data.exif": "apply", "data.intensity": "full",
            "data.intensityScope": "dataset", "model.preprocessing": "wesam", "data.domain": "e",
            "training.domains": "sequential", "prompts.kind": "coarse",
            "prompts.teacherKind": "box", "prompts.source": "annotations", "prompts.coarse": "mask",
            "method.lossForm": "released", "method.contrast": "background", "optimizer.decaySteps": "5,6",
            "optimizer.decayEpochs": "5,6",
            "optimizer.learningRate": "0.5", "optimizer.warmUpSteps": "3",
            "training.nonFinite": "skip",
            "execution.recompute": "blocks",
            "evaluation.prompts": "coarse", "optimizer.coupledWeightDecay": "false", "evaluation.before": "false",
            "evaluation.boundary": "false",
            "checkpoint.background": "false", "checkpoint.everySeconds": "120",
            "model.imageSize": "64", "data.flips": "none", "data.badSamples": "skip", "data.followSymlinks": "true",
            "data.annotations": "a", "data.labelRules": "released", "data.crowds": "take", "data.samples": "whole",
            "sampler.locality": "none", "anchorStore.mode": "off",
            "anchorStore.keep": "true", "node.baseMemory": "private", "execution.mixedKernels": "allow",
            "continual.trainTokens": "true", "training.order": "data", "continual.strategy": "naive",
            "continual.query": "statistics",
            "evaluation.view": "squash",
            "model.allGlobalEncoder": "true", "samAdapter.identityStart": "false",
        ]
        // What a key's other value needs beside it.
        let conditions = [
            "continual.strategy": ["training.domains=sequential"],
            "continual.pool": ["training.domains=sequential", "continual.strategy=moda"],
            "training.order": ["training.domains=sequential"],
            "data.task": ["method.name=interactive"],
            "continual.trainTokens": [
                "training.domains=sequential", "continual.strategy=moda", "continual.query=tokens",
            ],
            "model.allGlobalEncoder": ["model.kind=tiny"],
        ]
        // Another method has other keys; a source without masks needs one with masks beside it.
        for (key, value) in Recipe().entries where !["method.name", "data.supervision"].contains(key.key) {
            let text: String
            switch value {
            case .text: text = changed[key.key] ?? "other"
            case .integer(let integer): text = changed[key.key] ?? String(integer + 1)
            case .number(let number): text = String(number == 0 ? 0.5 : number / 2)
            default: text = try #require(changed[key.key], "\(key.key)")
            }
            let base = ["data.root=d", "model.weights=w"] + (conditions[key.key] ?? [])
            let before = try ResolvedRecipe(yaml: "", settings: base).recipe.entries
            let after = try ResolvedRecipe(yaml: "", settings: base + ["\(key.key)=\(text)"]).recipe.entries
            let differing = zip(before, after).filter { $0.value != $1.value }.map(\.0.key.key)
            #expect(differing == [key.key])
        }
    }

    /// A text that a file sets is emptied on the command line.
    @Test func aTextIsEmptied() throws {
        let yaml = "data:\n  root: d\ntraining:\n  startFrom: a\n"
        #expect(try ResolvedRecipe(yaml: yaml, settings: []).recipe.training.startFrom == "a")
        #expect(try ResolvedRecipe(yaml: yaml, settings: ["training.startFrom="]).recipe.training.startFrom == "")
        #expect(throws: RecipeError.self) { _ = try ResolvedRecipe(yaml: yaml, settings: ["training.seed="]) }
    }

    @Test func nearestKeyIsFoundByPathAndByName() {
        #expect(Recipe().nearestKey(to: "training.epoch") == "training.epochs")
        #expect(Recipe().nearestKey(to: "epochs") == "training.epochs")
        #expect(Recipe().nearestKey(to: "optimiser.learningrate") == "optimizer.learningRate")
        #expect(editDistance("kitten", "sitting") == 3)
        #expect(editDistance("", "abc") == 3)
        #expect(editDistance("same", "same") == 0)
    }
}
