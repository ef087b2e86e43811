import Adapters
import Datasets
import Foundation
import ModelLoading
import Recipes
import Runs
import SegmentAnything
import Telemetry
import Testing
import Training

/// Parsing, precedence, validation and printing of recipes.
@Suite struct RecipeTests {
    private static let valid = ["data.root=d", "model.weights=w"]

    private func faults(
        _ yaml: String, environment: [String: String] = [:], settings: [String] = RecipeTests.valid
    ) -> [String] {
        do {
            _ = try ResolvedRecipe(yaml: yaml, name: "r.yaml", environment: environment, settings: settings)
            return []
        } catch {
            return error.faults.map(\.description)
        }
    }

    @Test func laterSourcesWinAndAreRemembered() throws {
        let yaml = "lora:\n  rank: 2\ntraining:\n  seed: 2\n  epochs: 2\n"
        let resolved = try ResolvedRecipe(
            yaml: yaml, name: "r.yaml", environment: ["KEDGE_SET": " training.seed = 3 ;training.epochs=3;"],
            settings: Self.valid + ["training.epochs=4"])
        #expect(resolved.recipe.lora.rank == 2)
        #expect(resolved.recipe.training.seed == 3)
        #expect(resolved.recipe.training.epochs == 4)
        #expect(resolved.sources["lora.rank"] == .file("r.yaml", line: 2))
        #expect(resolved.sources["training.seed"] == .environment)
        #expect(resolved.sources["training.epochs"] == .setting)
        #expect(resolved.sources["training.steps"] == .defaults)
    }

    @Test func allFaultsAreReportedAtOnceInOneLineEach() {
        let yaml = """
            training:
              epoch: 3
              globalBatch: many
              seed: -1
            lora:
              rank: 1000
            method: wesam
            evaluation:
              prompts: [box, boxes]
            """
        let found = faults(yaml, settings: ["optimizer.beta1=1", "nonsense", "model.kind=vit_x"])
        #expect(
            found == [
                "r.yaml:7: method: is a section; write its keys below it, indented",
                "r.yaml:2: training.epoch: unknown key; the nearest known key is training.epochs",
                "r.yaml:3: training.globalBatch = many: must be whole number 1 to 65536",
                "r.yaml:9: evaluation.prompts = [box, boxes]: must be list of auto | box | point | coarse",
                "--set: nonsense: write key=value",
                "--set: model.kind = vit_x: must be mobilesam | litemedsam | vit_b | vit_l | vit_h | tiny",
                "r.yaml:6: lora.rank = 1000: must be whole number 1 to 256",
                "--set: optimizer.beta1 = 1: must be number 0 to 0.9999999",
                "r.yaml:4: training.seed = -1: must be whole number from 0",
                "default: data.root = \"\": must name the folder of the data set",
            ])
    }

    @Test(
        arguments: [
            ("training.epochs=2.5", "whole number"), ("training.epochs=0", "whole number"),
            ("optimizer.learningRate=nan", "number 0 to 1"), ("optimizer.learningRate=-1", "number 0 to 1"),
            ("optimizer.epsilon=0", "number above 0"), ("method.temperature=inf", "number above 0"),
            ("optimizer.decaySteps=5,5", "ascending"), ("optimizer.decaySteps=7,x", "ascending"),
            ("evaluation.prompts=box,box", "list of"),
            ("evaluation.before=yes", "true | false"), ("data.split=5:2", "k:1"), ("data.split=0:1", "k:1"),
            ("data.binarise=255", "0 to 254"), ("run.name=../up", "letters, digits"), ("run.name=.hidden", "letters"),
            ("model.imageSize=1000", "multiple of 16"), ("data.root=none", "text"),
            ("method.name=two words", "dual-prompt | hq-sam"), ("prompts.kind=mask", "box | point | coarse"),
        ])
    func valuesOutsideTheRuleAreRefused(setting: String, rule: String) throws {
        let found = faults("", settings: Self.valid + [setting])
        #expect(found.count == 1)
        #expect(try #require(found.first).contains(rule))
        #expect(found.first?.hasPrefix("--set: \(setting.split(separator: "=")[0]) = ") == true)
    }

    @Test func pointPromptsNeedAPoint() {
        #expect(faults("", settings: Self.valid + ["prompts.positivePoints=0"]).count == 1)
        let boxesOnly = ["prompts.positivePoints=0", "evaluation.prompts=box"]
        #expect(faults("", settings: Self.valid + boxesOnly).isEmpty)
    }

    @Test func aRunWithoutAnyLossIsRefused() {
        let weights = ["focal", "dice", "iou", "anchor", "contrast"].map { "method.\($0)Weight=0" }
        #expect(faults("", settings: Self.valid + weights).count == 1)
        #expect(faults("", settings: Self.valid + weights.dropLast()).isEmpty)
    }

    @Test func theTinyModelNeedsNoWeights() {
        #expect(faults("", settings: ["data.root=d", "model.kind=tiny"]).isEmpty)
    }

    @Test func quotedNumbersAreTextAndTextMayLookLikeNumbers() throws {
        #expect(faults("training:\n  epochs: \"5\"\n").count == 1)
        let resolved = try ResolvedRecipe(
            yaml: "run:\n  name: 5\ndata:\n  split: 10:1\n  images: \"none\"\n", settings: Self.valid)
        #expect(resolved.recipe.run.name == "5")
        #expect(resolved.recipe.data.source.split == .ratio(10))
        #expect(resolved.recipe.data.source.options.imagesFolder == "none")
    }

    @Test(
        arguments: [
            ("lora.rank: 3\n", "contains dots; nest the keys in a file"), ("- a\n", "not a mapping"),
            ("lora:\n  rank: {a: 1}\n", "must be whole number"), ("[1]: 2\n", "plain word"),
            ("lora: [\n", "not valid YAML"), ("a: \u{1}\n", "not valid YAML"), ("--- {}\n--- {}\n", "not valid YAML"),
            ("<<: {lora: {rank: 2}}\n", "unknown key"), ("lora:\n  rank: 2\n  rank: 3\n", "more than once"),
            ("lora: &x {rank: 2}\n", "anchor"), ("lora: *x\n", "not valid YAML"),
        ])
    func unfitYAMLIsRefused(yaml: String, reason: String) {
        let found = faults(yaml)
        #expect(found.count == 1)
        #expect(found.allSatisfy { $0.contains(reason) && $0.contains("r.yaml") && !$0.contains("\n") }, "\(found)")
    }

    @Test func emptyFilesAndSectionsAreAllDefaults() throws {
        for yaml in ["", "# nothing\n", "---\n", "lora:\ntraining:\n"] {
            let resolved = try ResolvedRecipe(yaml: yaml, settings: Self.valid)
            #expect(resolved.recipe.lora == Recipe().lora)
        }
    }

    @Test func aliasBombsAreRefusedBeforeTheyUnfold() {
        var nested = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
        for level in 1...9 {
            nested +=
                "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ",") + "]\n"
        }
        var asKey = "a0: &a0 [x,x]\n"
        for level in 1...40 { asKey += "a\(level): &a\(level) [*a\(level - 1), *a\(level - 1)]\n" }
        asKey += "? *a40\n: 1\n"
        let clock = ContinuousClock()
        let duration = clock.measure {
            #expect(faults(nested) == ["r.yaml: uses YAML aliases; write out the values"])
            #expect(faults(asKey) == ["r.yaml: uses YAML aliases; write out the values"])
        }
        #expect(duration < .seconds(2))
    }

    @Test func fewAliasesAreRefusedByTheirAnchor() {
        #expect(faults("run: &r {name: a}\nmodel: *r\n") == ["r.yaml:1: uses a YAML anchor; write out the values"])
    }

    /// Every unknown key is compared with all known ones; a file can hold a hundred thousand.
    @Test func aFileFullOfUnknownKeysIsRefusedInSeconds() {
        let yaml = (0..<90_000).map { "k\($0): 1\n" }.joined()
        var found: [String] = []
        let time = ContinuousClock().measure { found = faults(yaml) }
        #expect(found.count == 101)
        #expect(found.last == "r.yaml: has more faults; fix these first")
        #expect(time < .seconds(30), "\(time)")
    }

    @Test(arguments: [
        "-9223372036854775808", "9223372036854775807", "9223372036854775808", "-1e308", "1e400", "nan",
    ])
    func theLargestNumbersAreFaultsAndNotTraps(text: String) {
        let found = faults("optimizer:\n  learningRate: \(text)\n  warmUpSteps: \(text)\n")
        #expect(found.contains { $0.contains("optimizer.learningRate") }, "\(found)")
    }

    @Test func deepNestingIsRefused() {
        func nest(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(faults("lora: {rank: \(nest(30))}\n").first?.contains("must be whole number") == true)
        #expect(faults("lora: {rank: \(nest(31))}\n").first?.contains("deeper than 32") == true)
        #expect(faults("lora: \(nest(900))\n").first?.contains("deeper than 32") == true)
        #expect(faults(String(repeating: "[", count: 1 << 20)).first?.contains("not valid YAML") == true)
    }

    @Test func largeFilesAreRefused() {
        let comment = "#" + String(repeating: "x", count: (1 << 20) - 2) + "\n"
        #expect(faults(comment).isEmpty)
        #expect(faults(comment + " ").first?.contains("maximum size of a recipe, 1048576 bytes") == true)
    }

    @Test func onlyReadableRegularFilesAreRead() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("kedge-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let pipe = folder.appendingPathComponent("pipe").path
        #expect(mkfifo(pipe, 0o600) == 0)
        for path in [folder.path, pipe, folder.appendingPathComponent("missing.yaml").path] {
            let error = #expect(throws: RecipeError.self) { try ResolvedRecipe(path: path) }
            #expect(error?.isFileMissing == true)
        }
        let binary = folder.appendingPathComponent("binary.yaml")
        try Data([0xFF, 0xFE, 0x00]).write(to: binary)
        let error = #expect(throws: RecipeError.self) { try ResolvedRecipe(path: binary.path) }
        #expect(error?.isFileMissing == false)
        #expect(error?.description.contains("is not UTF-8 text") == true)
    }

    @Test func resolvedYAMLResolvesToItself() throws {
        let texts = [
            "data.root=/a b/ü: #x \"q\" \\ \t", "model.weights=-w:", "data.images=*a", "data.labels=true",
            "data.evaluationRoot=null.d", "data.binarise=0", "data.split=none", "optimizer.epsilon=1e-30",
            "optimizer.learningRate=0.1234567890123", "optimizer.decaySteps=", "training.seed=9223372036854775807",
            "evaluation.prompts=[coarse, box]", "evaluation.threshold=-0.5", "prompts.kind=point",
        ]
        let first = try ResolvedRecipe(yaml: "", settings: texts)
        let second = try ResolvedRecipe(yaml: first.resolvedYAML, name: "recipe.yaml")
        #expect(first.recipe == second.recipe)
        #expect(first.recipe.digest == second.recipe.digest)
        #expect(first.resolvedYAML.contains("    binarise: 0  # --set\n"))
        #expect(first.resolvedYAML.contains("    rank: 4\n"))
        #expect(first.entries.map(\.key) == Recipe().entries.map(\.key.key))
        #expect(first.entries.contains { $0 == ("optimizer.decaySteps", "[]") })
    }

    @Test func digestCoversWhatShapesTheResult() throws {
        func digest(_ settings: String...) throws -> String {
            try ResolvedRecipe(yaml: "", settings: Self.valid + settings).recipe.digest
        }
        let base = try digest()
        #expect(base.count == 64)
        let same = [
            "run.name=x", "data.root=/elsewhere", "execution.threads=7", "training.epochs=9", "model.preprocessing=sam",
        ]
        for setting in same { #expect(try digest(setting) == base, "\(setting)") }
        let other = [
            "training.seed=1", "lora.rank=8", "method.lossForm=released", "model.preprocessing=wesam",
            "model.kind=vit_b",
            "data.split=none", "training.globalBatch=8", "optimizer.decaySteps=1",
        ]
        let digests = try other.map { try digest($0) }
        #expect(Set(digests + [base]).count == other.count + 1)
    }

    @Test func preprocessingFollowsTheModel() {
        var recipe = Recipe()
        #expect(recipe.model.resolvedPreprocessing == .sam)
        recipe.model.kind = .liteMedSAM
        #expect(recipe.model.resolvedPreprocessing == .medsam)
        recipe.model.preprocessing = .kind(.wesam)
        #expect(recipe.model.resolvedPreprocessing == .wesam)
    }
}
