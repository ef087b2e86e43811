import ModelLoading
import Foundation
import AdaptationMethods
import Datasets
import Recipes
import Runs
import Testing
import Training

/// The table, the struct, the shipped recipes and the frozen key list agree.
@Suite struct RecipeReferenceTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Changing this list changes what users' recipes mean: state it in CHANGELOG.md.
    private static let frozen = """
        run.name = run
        run.folder = runs
        model.kind = mobilesam
        model.weights = ""
        model.imageSize = 0
        model.preprocessing = auto
        data.format = folder
        data.root = ""
        data.images = images
        data.labels = labels
        data.binarise = none
        data.exif = ignore
        data.followSymlinks = false
        data.annotations = none
        data.labelRules = corrected
        data.split = auto
        data.splitSeed = none
        data.evaluationRoot = none
        data.limit = 0
        data.domain = none
        data.share = 0
        data.flips = epoch
        data.badSamples = stop
        data.maximumBadSamples = 10
        prompts.kind = box
        prompts.teacherKind = same
        prompts.source = simulated
        prompts.coarse = box
        prompts.positivePoints = 5
        prompts.negativePoints = 5
        prompts.maximumInstances = 40
        method.name = wesam
        method.lossForm = paper
        method.focalWeight = 20
        method.diceWeight = 1
        method.iouWeight = 1
        method.anchorWeight = 1
        method.contrastWeight = 1
        method.temperature = 0.3
        method.contrast = instances
        method.patchSide = 8
        method.maskRatio = 0
        method.maskBlock = 4
        automatic.pointsPerSide = 32
        automatic.predictedIoU = 0.88
        automatic.stability = 0.95
        automatic.boxSuppression = 0.7
        automatic.cropLayers = 0
        automatic.minimumRegionArea = 0
        lora.rank = 4
        optimizer.learningRate = 0.0001
        optimizer.weightDecay = 0.0001
        optimizer.beta1 = 0.9
        optimizer.beta2 = 0.999
        optimizer.epsilon = 1e-08
        optimizer.warmUpSteps = 250
        optimizer.decaySteps = [60000, 86666]
        optimizer.decayFactor = 0.1
        optimizer.coupledWeightDecay = true
        training.globalBatch = 4
        training.domains = joint
        training.epochs = 1
        training.steps = 0
        training.seed = 1337
        training.logEvery = 1
        training.evaluateEvery = 0
        training.nonFinite = stop
        training.maximumSkips = 10
        execution.threads = 0
        execution.recompute = none
        execution.decoderChunk = 8
        execution.prefetchDepth = 4
        execution.prefetchThreads = 1
        execution.mixedKernels = refuse
        checkpoint.everySteps = 500
        checkpoint.everySeconds = 120
        checkpoint.background = true
        checkpoint.keep = 2
        checkpoint.maximumFailures = 3
        watchdog.warnAfterSeconds = 60
        watchdog.loadLimitSeconds = 600
        watchdog.firstStepLimitSeconds = 300
        watchdog.stepLimitSeconds = 180
        watchdog.saveLimitSeconds = 420
        sampler.locality = node
        anchorStore.mode = on
        anchorStore.limitGiB = 0
        anchorStore.folder = ""
        anchorStore.keep = false
        node.baseMemory = window
        node.temporaryFolder = ""
        evaluation.prompts = [box, point]
        evaluation.threshold = 0
        evaluation.limit = 0
        evaluation.before = true
        evaluation.boundary = true
        """

    @Test func keysAndDefaultsAreFrozen() {
        let lines = Recipe().entries.map { "\($0.key.key) = \($0.value)" }
        #expect(lines.joined(separator: "\n") == Self.frozen)
    }

    /// The properties of every settings type that has a table, with the rows of the table.
    @Test func everyPropertyHasItsRow() {
        func count(_ value: Any) -> Int {
            Mirror(reflecting: value).children.reduce(0) { sum, child in
                switch child.value {
                case is [NamedSection<SourceSettings>]: sum
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

    @Test(arguments: ["demo", "kvasir"]) func shippedRecipesAreValid(name: String) throws {
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
            "data.splitSeed": "3",
            "data.evaluationRoot": "e", "data.exif": "apply", "model.preprocessing": "wesam", "data.domain": "e",
            "training.domains": "sequential", "prompts.kind": "coarse",
            "prompts.teacherKind": "box", "prompts.source": "annotations", "prompts.coarse": "mask",
            "method.lossForm": "released", "method.contrast": "background", "optimizer.decaySteps": "5,6",
            "training.nonFinite": "skip",
            "execution.recompute": "blocks",
            "evaluation.prompts": "coarse", "optimizer.coupledWeightDecay": "false", "evaluation.before": "false",
            "evaluation.boundary": "false",
            "checkpoint.background": "false",
            "model.imageSize": "64", "data.flips": "none", "data.badSamples": "skip", "data.followSymlinks": "true",
            "data.annotations": "a", "data.labelRules": "released",
            "sampler.locality": "none", "anchorStore.mode": "off",
            "anchorStore.keep": "true", "node.baseMemory": "private", "execution.mixedKernels": "allow",
        ]
        let base = ["data.root=d", "model.weights=w"]
        let before = try ResolvedRecipe(yaml: "", settings: base).recipe.entries
        // Another method has other keys.
        for (key, value) in Recipe().entries where key.key != "method.name" {
            let text: String
            switch value {
            case .text: text = changed[key.key] ?? "other"
            case .integer(let integer): text = changed[key.key] ?? String(integer + 1)
            case .number(let number): text = String(number == 0 ? 0.5 : number / 2)
            default: text = try #require(changed[key.key], "\(key.key)")
            }
            let after = try ResolvedRecipe(yaml: "", settings: base + ["\(key.key)=\(text)"]).recipe.entries
            let differing = zip(before, after).filter { $0.value != $1.value }.map(\.0.key.key)
            #expect(differing == [key.key])
        }
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
