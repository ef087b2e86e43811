import Foundation
import Testing
import Training

/// The table, the struct, the shipped recipes and the frozen key list say the same.
@Suite struct RecipeReferenceTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    /// Changing this list changes what users' recipes mean: state it in CHANGELOG.md.
    private static let frozen = """
        run.name = run
        run.folder = runs
        model.kind = mobilesam
        model.weights = ""
        model.imageSize = 0
        data.format = folder
        data.root = ""
        data.images = images
        data.labels = labels
        data.binarise = none
        data.split = auto
        data.splitSeed = none
        data.evaluationRoot = none
        data.limit = 0
        data.exif = ignore
        data.flips = epoch
        data.badSamples = stop
        data.maximumBadSamples = 10
        data.followSymlinks = false
        data.annotations = none
        data.labelRules = corrected
        preprocessing = auto
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
        training.epochs = 1
        training.steps = 0
        training.seed = 1337
        training.logEvery = 1
        training.evaluateEvery = 0
        training.prefetchDepth = 4
        training.prefetchThreads = 1
        training.threads = 0
        training.decoderChunk = 8
        training.recompute = "none"
        training.nonFinite = stop
        training.maximumSkips = 10
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
        execution.mixedKernels = refuse
        evaluation.prompts = [box, point]
        evaluation.threshold = 0
        evaluation.limit = 0
        evaluation.before = true
        evaluation.boundary = true
        """

    @Test func keysAndDefaultsAreFrozen() {
        let lines = RecipeReference.fields.map { "\($0.key) = \($0.defaultValue)" }
        #expect(lines.joined(separator: "\n") == Self.frozen)
    }

    @Test func tableAndStructHaveTheSameFields() {
        var names: [String] = []
        for section in Mirror(reflecting: Recipe()).children {
            let label = section.label ?? ""
            let inner = Mirror(reflecting: section.value)
            names += inner.displayStyle == .struct ? inner.children.map { "\(label).\($0.label ?? "")" } : [label]
        }
        #expect(names == RecipeReference.fields.map(\.key))
    }

    @Test func docLinesOfTableAndStructAreEqual() throws {
        let file = Self.root.appendingPathComponent("Sources/Training/Recipe/Recipe.swift")
        let source = try String(contentsOf: file, encoding: .utf8)
        for field in RecipeReference.fields {
            let indent = field.section.isEmpty ? "    " : "        "
            #expect(
                source.contains("\(indent)/// \(field.doc)\n\(indent)public var \(field.name)"),
                "the doc comment of \(field.key) differs from the table")
        }
    }

    /// Run with KEDGE_UPDATE_REFERENCE=1 to write the file anew.
    @Test func referenceRecipeIsCurrent() throws {
        let file = Self.root.appendingPathComponent("recipes/reference.yaml")
        if ProcessInfo.processInfo.environment["KEDGE_UPDATE_REFERENCE"] == "1" {
            try RecipeReference.yaml.write(to: file, atomically: true, encoding: .utf8)
        }
        #expect(try String(contentsOf: file, encoding: .utf8) == RecipeReference.yaml)
    }

    @Test func referenceRecipeHoldsTheDefaults() throws {
        let path = Self.root.appendingPathComponent("recipes/reference.yaml").path
        let resolved = try ResolvedRecipe(path: path, settings: ["data.root=d", "model.weights=w"])
        var expected = Recipe()
        expected.data.root = "d"
        expected.model.weights = "w"
        #expect(resolved.recipe == expected)
        #expect(resolved.sources.values.allSatisfy { $0 != .defaults })
    }

    @Test(arguments: ["demo", "kvasir"]) func shippedRecipesAreValid(name: String) throws {
        let resolved = try ResolvedRecipe(path: Self.root.appendingPathComponent("recipes/\(name).yaml").path)
        #expect(resolved.recipe.run.name == name)
    }

    /// One budget for all lines of the ablation: those of a model differ in method, source of prompts and weights alone.
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
            return RecipeReference.fields.filter { field in Set(recipes.map { "\(field.value($0))" }).count > 1 }.map(
                \.key)
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
            try differing(["wesam", "mobilesam-wesam"]) == ["run.name", "model.kind", "preprocessing"])
    }

    @Test func everyKeyHasAHelpLine() {
        let help = RecipeReference.helpText
        #expect(RecipeReference.fields.allSatisfy { help.contains("\($0.key)  (") && !$0.doc.isEmpty })
    }

    @Test func writingAFieldChangesThatFieldAlone() throws {
        // One value per key that differs from the default; a row with a crossed key path shows here.
        let changed: [String: String] = [
            "model.kind": "tiny", "data.binarise": "7", "data.split": "none", "data.splitSeed": "3",
            "data.evaluationRoot": "e", "data.exif": "apply", "preprocessing": "wesam", "prompts.kind": "coarse",
            "prompts.teacherKind": "box", "prompts.source": "annotations", "prompts.coarse": "mask",
            "method.lossForm": "released", "method.contrast": "background", "optimizer.decaySteps": "5,6",
            "training.nonFinite": "skip",
            "training.recompute": "blocks",
            "evaluation.prompts": "coarse", "optimizer.coupledWeightDecay": "false", "evaluation.before": "false",
            "evaluation.boundary": "false",
            "checkpoint.background": "false",
            "model.imageSize": "64", "data.flips": "none", "data.badSamples": "skip", "data.followSymlinks": "true",
            "data.annotations": "a", "data.labelRules": "released",
            "sampler.locality": "none", "anchorStore.mode": "off",
            "anchorStore.keep": "true", "node.baseMemory": "private", "execution.mixedKernels": "allow",
        ]
        for field in RecipeReference.fields {
            let text: String
            switch field.defaultValue {
            case .text: text = changed[field.key] ?? "other"
            case .integer(let integer): text = changed[field.key] ?? String(integer + 1)
            case .number(let number): text = String(number == 0 ? 0.5 : number / 2)
            default: text = try #require(changed[field.key], "\(field.key)")
            }
            let base = ["data.root=d", "model.weights=w"]
            let before = try ResolvedRecipe(yaml: "", settings: base).recipe
            let after = try ResolvedRecipe(yaml: "", settings: base + ["\(field.key)=\(text)"]).recipe
            let differing = RecipeReference.fields.filter { $0.value(before) != $0.value(after) }.map(\.key)
            #expect(differing == [field.key])
        }
    }

    @Test func nearestKeyIsFoundByPathAndByName() {
        #expect(RecipeReference.nearestKey(to: "training.epoch") == "training.epochs")
        #expect(RecipeReference.nearestKey(to: "epochs") == "training.epochs")
        #expect(RecipeReference.nearestKey(to: "optimiser.learningrate") == "optimizer.learningRate")
        #expect(RecipeReference.editDistance("kitten", "sitting") == 3)
        #expect(RecipeReference.editDistance("", "abc") == 3)
        #expect(RecipeReference.editDistance("same", "same") == 0)
    }
}
