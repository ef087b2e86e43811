import Adapters
import CheckpointStore
import Collectives
import DataTools
import Evaluation
import Foundation
import Kernels
import Machine
import Recipes
import Runs
import Telemetry
import Tensors
import Testing
import TestSupport
import WeightFiles

/// Runs over domains in stages with a strategy: what a stage inherits, what is scored, and resuming.
@Suite struct ContinualRunTests {
    private let place: TemporaryFolder

    init() throws {
        BLASEnvironment.useSingleThread()
        place = try TemporaryFolder("continual")
        try SyntheticCells.write(to: place.path + "/cells", count: 6, side: 96, seed: 5, severity: 1)
        try SyntheticCells.write(to: place.path + "/others", count: 6, side: 96, seed: 6, severity: 2)
        try SyntheticCells.write(to: place.path + "/fibres", count: 4, side: 96, seed: 9, severity: 4)
    }

    private func settings(_ name: String, _ strategy: String, first: String = "cells", _ more: [String] = [])
        -> [String]
    {
        [
            "model.kind=tiny", "data.sources.cells.root=\(place.path)/\(first)",
            "data.sources.fibres.root=\(place.path)/fibres", "data.split=1:1", "training.domains=sequential",
            "continual.strategy=\(strategy)", "method.name=hq-sam", "method.pointCount=64", "training.globalBatch=2",
            "training.steps=3", "optimizer.warmUpSteps=0", "optimizer.learningRate=1e-2", "optimizer.weightDecay=0",
            "evaluation.view=squash", "run.folder=\(place.path)/runs", "run.name=\(name)",
        ] + more
    }

    private func run(_ settings: [String], ranks: Int = 1, stopAfter checks: Int = .max) throws
        -> AdaptationRun.Outcome
    {
        try InProcessRun.outcome(settings, ranks: ranks, stopAfter: checks)
    }

    /// The numbers of an adapter, without what its file says of the run.
    private func tensors(_ name: String, step: Int) throws -> [[Float]] {
        let digits = String(repeating: "0", count: 5) + "\(step)"
        let table = try SafetensorsFile.read(place.path + "/runs/\(name)/adapters/step-\(digits).safetensors")
        return try table.names.sorted().map { try table.tensor($0).elements }
    }

    /// The digests of a run's pool; none without one.
    private func pool(_ name: String) throws -> [String] {
        let path = place.path + "/runs/\(name)/pool"
        guard FileManager.default.fileExists(atPath: path) else { return [] }
        let pool = try AdapterPool(opening: path)
        return pool.entries.flatMap { [$0.domain, $0.file.sha256, $0.memory.sha256] } + [pool.router?.sha256 ?? ""]
    }

    /// The events of a kind in a run's log.
    private func events(_ kind: String, of name: String) throws -> [[String: Any]] {
        try String(contentsOfFile: place.path + "/runs/\(name)/log.jsonl", encoding: .utf8).split(separator: "\n")
            .compactMap { try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }
            .filter { $0["event"] as? String == kind }
    }

    private func scores(_ name: String) throws -> ContinualScores {
        try ContinualScores(json: Data(contentsOf: URL(fileURLWithPath: place.path + "/runs/\(name)/stages.json")))
    }

    /// A separate stage knows nothing of the domain before it; a plain sequence continues from it.
    @Test func whatAStageInherits() throws {
        for strategy in ["naive", "separate"] {
            for first in ["cells", "others"] {
                #expect(try run(settings("\(strategy)-\(first)", strategy, first: first)).exitCode == .done)
            }
        }
        #expect(try tensors("separate-cells", step: 3) == tensors("naive-cells", step: 3))
        #expect(try tensors("separate-cells", step: 3) != tensors("separate-others", step: 3))
        #expect(try tensors("separate-cells", step: 6) == tensors("separate-others", step: 6))
        #expect(try tensors("naive-cells", step: 6) != tensors("naive-others", step: 6))
        #expect(try tensors("naive-cells", step: 6) != tensors("separate-cells", step: 6))
    }

    /// After each stage the domains so far are scored, and the matrix holds what the log says.
    @Test func theMatrixOfScores() throws {
        let outcome = try run(settings("matrix", "naive"))
        let scores = try scores("matrix")
        #expect(scores.measures.map(\.name) == ["IoU", "boundary IoU"])
        let matrix = scores.measures[0].matrix
        #expect(matrix.domains == ["cells", "fibres"] && matrix.isComplete)
        #expect(matrix[0, 0] != nil && matrix[0, 1] == nil, "a domain to come is not scored")
        #expect([matrix[1, 0], matrix[1, 1]] == outcome.after.map { $0.scores[.iou] })
        let last = try #require(matrix.last)
        #expect(abs(last - outcome.after.reduce(0) { $0 + ($1.scores[.iou] ?? .nan) } / 2) < 1e-12)
        #expect(try run(settings("ranks", "naive"), ranks: 3).after.map(\.scores) == outcome.after.map(\.scores))
        let text = try String(contentsOfFile: place.path + "/runs/matrix/stages.md", encoding: .utf8)
        #expect(text.contains("hq-sam, naive, seed") && text.contains("| IoU after |"))
    }

    /// Stages follow the order that a recipe names; a name too much, too few or twice is refused.
    @Test func theNamedOrder() throws {
        #expect(try run(settings("ordered", "naive") + ["training.order=fibres, cells"]).exitCode == .done)
        #expect(try scores("ordered").measures[0].matrix.domains == ["fibres", "cells"])
        #expect(try tensors("ordered", step: 3) != tensors("ordered", step: 6))
        for (order, rule) in [
            ("fibres,steel", "unknown domain \"steel\"; known are cells, fibres"), ("fibres,cells,fibres", "twice"),
            ("cells", "lacks the domain fibres"), ("cells,,fibres", "unknown domain \"\""),
        ] {
            let error = #expect(throws: RecipeError.self) {
                _ = try ResolvedRecipe(settings: settings("refused", "naive") + ["training.order=\(order)"])
            }
            #expect(error?.description.contains(rule) == true, "\(error as Any)")
        }
        let joint = #expect(throws: RecipeError.self) {
            _ = try ResolvedRecipe(
                settings: settings("refused", "none")
                    + ["training.domains=joint", "training.order=cells,fibres"])
        }
        #expect(joint?.description.contains("needs training.domains=sequential") == true, "\(joint as Any)")
    }

    /// Ended at every step, between the stages too, and continued on other numbers of ranks.
    @Test(arguments: ["naive", "replay", "lwf", "ewc", "separate", "moda"]) func aRunEndedAnywhereHasTheSameBits(
        _ strategy: String
    )
        throws
    {
        let whole = try run(settings("whole", strategy))
        for stop in 1...5 {
            let name = "stopped-\(stop)"
            #expect(try run(settings(name, strategy), ranks: 2, stopAfter: stop).exitCode == .resumable)
            let second = try run(settings(name, strategy), ranks: 3)
            #expect(second.adapterDigest == whole.adapterDigest, "stopped after step \(stop)")
            let (ended, begun) = (try events("end", of: name), try events("start", of: name))
            #expect(begun.count == 2 && ended.count == 2)
            #expect(begun.last?["first_step"] as? Int == ended.first?["step"] as? Int, "no step is repeated")
            #expect(try scores(name).measures == scores("whole").measures, "stopped after step \(stop)")
            #expect(try pool(name) == pool("whole"), "stopped after step \(stop)")
        }
    }

    /// A separate stage's adapter says nothing of earlier domains.
    @Test func separateDomainsAreScoredByTheirOwnAdapters() throws {
        let outcome = try run(settings("apart", "separate"))
        #expect(outcome.after.map(\.domain) == ["fibres"])
        let matrix = try scores("apart").measures[0].matrix
        #expect(matrix[0, 0] != nil && matrix[1, 0] == nil && matrix[1, 1] == outcome.after[0].scores[.iou])
        #expect(matrix.last == nil && matrix.forgettingFromDiagonal == nil)
    }

    /// In a later stage an epoch has the memory of the earlier domain too.
    @Test func replayTrainsOnTheMemory() throws {
        let epochs = ["training.steps=0", "training.epochs=1", "training.globalBatch=1", "continual.memory=2"]
        #expect(try run(settings("memory", "replay", epochs)).after.map(\.step) == [3 + 2 + 2, 3 + 2 + 2])
        #expect(try run(settings("memory-none", "naive", epochs)).after.map(\.step) == [3 + 2, 3 + 2])
        let shares = #expect(throws: RecipeError.self) {
            _ = try ResolvedRecipe(
                settings: settings("shares", "replay", ["data.sources.cells.share=1", "data.sources.fibres.share=1"]))
        }
        #expect(shares?.description.contains("which samples all images alike") == true, "\(shares as Any)")
    }

    /// What protects a stage is felt from the second stage on, and named in the log.
    @Test(arguments: [("lwf", "distillationWeight", "distil_bce"), ("ewc", "elasticWeight", "elastic")])
    func protectionHoldsALaterStage(_ strategy: String, _ weight: String, _ part: String) throws {
        let plain = try run(settings("plain-\(strategy)", "naive"))
        let off = try run(settings("off-\(strategy)", strategy, ["continual.\(weight)=0"]))
        #expect(try tensors("off-\(strategy)", step: 3) == tensors("plain-\(strategy)", step: 3))
        #expect(strategy == "lwf" || off.after.map(\.scores) == plain.after.map(\.scores))
        func moved(_ name: String, weight value: Double) throws -> Double {
            _ = try run(settings(name, strategy, ["continual.\(weight)=\(value)"]))
            #expect(try tensors(name, step: 3) == tensors("plain-\(strategy)", step: 3), "a first stage is not held")
            let (before, after) = (try tensors(name, step: 3), try tensors(name, step: 6))
            return zip(before.joined(), after.joined()).reduce(0) { $0 + Double(abs($1.0 - $1.1)) }
        }
        let (weak, strong) = (try moved("weak", weight: 1e-3), try moved("strong", weight: 1000))
        #expect(strong != weak && (strategy == "lwf" || strong < weak), "\(weak), \(strong)")
        let parts = try events("step", of: "strong").map { $0["loss_\(part)"] as? Double }
        #expect(parts.prefix(3).allSatisfy { $0 == 0 } && parts.count == 6, "\(parts)")
        #expect(parts.suffix(2).allSatisfy { ($0 ?? 0) > 0 }, "\(parts)")
    }

    /// Prompts are chosen by the whole batch or its stage, so the result does not depend on how it is dealt; the file keeps
    /// sizes and stages.
    @Test(arguments: [("l2p", "similarity"), ("dual-prompt", "similarity"), ("coda-prompt", "orthogonality")])
    func promptsThatImagesChoose(_ method: String, _ part: String) throws {
        let pool = [
            "method.name=\(method)", "promptPool.count=6", "promptPool.length=2", "promptPool.perImage=3",
            "promptPool.stages=3", "promptPool.general=2", "promptPool.expert=2",
        ]
        let one = try run(settings("prompts", "naive", pool))
        for stop in [3, 4] {
            #expect(try run(settings("two-\(stop)", "naive", pool), ranks: 2, stopAfter: stop).exitCode == .resumable)
            #expect(try run(settings("two-\(stop)", "naive", pool), ranks: 3).adapterDigest == one.adapterDigest)
            #expect(try scores("two-\(stop)").measures == scores("prompts").measures, "stopped after step \(stop)")
        }
        let path = place.path + "/runs/prompts/adapters/step-000006.safetensors"
        let file = try AdapterFile(opening: path)
        #expect(file.options.promptPool.perImage == 3 && file.options.promptPool.stages == 3)
        #expect(file.options.begunStages == (method == "l2p" ? 1 : 2))
        let recipe = try ResolvedRecipe(settings: settings("prompts", "naive", pool))
        let again = try EvaluationRun(
            recipe: recipe, communicator: SingleProcessCommunicator(), workspace: Workspace(threads: 1)
        ).run(adapter: path, pool: nil, output: nil, pictures: 0)
        #expect(again.map(\.outcome.scores) == one.after.map(\.scores))
        let parts = try events("step", of: "prompts").map { $0["loss_\(part)"] as? Double }
        #expect(parts.count == 6 && parts.allSatisfy { $0 != nil }, "\(parts)")
        guard method != "l2p" else { return }
        let few = #expect(throws: RunError.self) {
            _ = try run(settings("few", "naive", pool + ["promptPool.stages=1"]))
        }
        #expect(few?.description.contains("2 stages, but promptPool.stages=1") == true, "\(few as Any)")
    }

    /// Training begins with the values of a file: an adapter's, or HQ-SAM's decoder without its scope and beside others.
    @Test func startingFromAFile() throws {
        _ = try run(settings("first", "naive"))
        let first = place.path + "/runs/first/adapters/step-000003.safetensors"
        func begun(_ name: String, from file: String, _ strategy: String = "separate") throws -> [[Float]] {
            _ = try run(
                settings(name, strategy, ["training.startFrom=\(file)", "optimizer.learningRate=0"]))
            return try tensors(name, step: 6)
        }
        #expect(try begun("second", from: first) == tensors("first", step: 3))
        let table = try SafetensorsFile.read(first)
        let decoder = place.path + "/decoder.safetensors"
        let short = try table.names.sorted().map { TensorToWrite(String($0.dropFirst(13)), try table.tensor($0)) }
        let more = [TensorToWrite("transformer.weight", Tensor(zeros: [2]))]
        try SafetensorsFile.write(short + more, to: decoder)
        #expect(try begun("third", from: decoder) == tensors("first", step: 3))
        let log = try String(contentsOfFile: place.path + "/runs/third/log.jsonl", encoding: .utf8)
        #expect(log.contains("1 other tensors of it are not read"))
        try SafetensorsFile.write(Array(short.dropFirst()), to: decoder)
        let missing = #expect(throws: WeightFileError.self) { _ = try begun("fourth", from: decoder) }
        #expect(missing?.description.contains("no tensor mask_decoder.") == true, "\(missing as Any)")
        let gone = #expect(throws: RunError.self) { _ = try begun("fifth", from: first + "x") }
        #expect(gone?.description.contains("does not exist") == true, "\(gone as Any)")
        let other = place.path + "/runs/first/adapters/step-000006.safetensors"
        let changed = #expect(throws: CheckpointError.self) { _ = try begun("second", from: other) }
        #expect(changed?.description.contains("start values was") == true, "\(changed as Any)")
    }

    @Test func distillationNeedsSampledPoints() throws {
        let error = #expect(throws: RecipeError.self) {
            _ = try ResolvedRecipe(
                settings: settings("wesam", "lwf").filter { !$0.hasPrefix("method.") } + ["evaluation.view=fit"])
        }
        #expect(error?.description.contains("compares masks at sampled points") == true, "\(error as Any)")
    }

    /// Each stage counts its own epochs for the decay of the rate.
    @Test func ratesDecayByEpochsOfAStage() throws {
        let epochs = ["training.steps=0", "training.epochs=2", "training.globalBatch=1", "optimizer.decayEpochs=[1]"]
        func rates(_ name: String, _ strategy: String) throws -> [Double] {
            _ = try run(settings(name, strategy, epochs))
            return try events("step", of: name).map { try #require($0["learning_rate"] as? Double) }
        }
        let (full, less) = (1e-2, 1e-3)
        func near(_ rates: [Double], _ expected: [Double]) -> Bool {
            rates.count == expected.count && zip(rates, expected).allSatisfy { abs($0 / $1 - 1) < 1e-9 }
        }
        let own = try rates("decay-naive", "naive")
        #expect(near(own, [full, full, full, less, less, less, full, full, less, less]), "\(own)")
        let one = try rates("decay-none", "none")
        #expect(near(one, [full, full, full] + [Double](repeating: less, count: 7)), "\(one)")
    }

    /// A source that is only scored is no domain to learn, and its scores stand apart.
    @Test func naturalImagesAreScoredAfterEveryStage() throws {
        let natural = ["data.sources.natural.root=\(place.path)/others", "data.sources.natural.split=evaluate"]
        let outcome = try run(settings("natural", "naive", natural))
        #expect(outcome.before.map(\.domain) == ["cells", "fibres", "natural"])
        #expect(outcome.after.map(\.domain) == ["cells", "fibres", "natural"] && outcome.after[2].images == 6)
        let matrix = try scores("natural").measures[0].matrix
        #expect(matrix.domains == ["cells", "fibres"] && matrix.natural.count == 2)
        #expect(matrix.lastNatural == outcome.after[2].scores[.iou])
        let all = #expect(throws: (any Error).self) {
            _ = try run(settings("all", "naive", ["data.split=evaluate"]))
        }
        #expect(all.map { "\($0)" }?.contains("leaves no image to adapt to") == true, "\(all as Any)")
    }

    /// The pool holds every stage's adapter unchanged, and its files are the same for any number of ranks.
    @Test func aPoolKeepsEveryDomain() throws {
        let settings = settings("pool", "moda", ["continual.memory=3", "continual.rejectBeyond=0"])
        #expect(try run(settings).exitCode == .done)
        let path = place.path + "/runs/pool/pool"
        let pool = try AdapterPool(opening: path)
        #expect(pool.entries.map(\.domain) == ["cells", "fibres"] && pool.entries.map(\.images) == [3, 2])
        #expect(pool.entries.map(\.steps) == [3, 3])
        for (entry, step) in zip(pool.entries, [3, 6]) {
            let table = try SafetensorsFile.read(pool.path(of: entry.file))
            let kept = try table.names.sorted().map { try table.tensor($0).elements }
            #expect(try kept == tensors("pool", step: step))
        }
        let log = try String(contentsOfFile: place.path + "/runs/pool/log.jsonl", encoding: .utf8)
        let routes = log.split(separator: "\n").filter { $0.contains("\"event\":\"routing\"") }
        #expect(routes.count == 3, "cells after the first stage, both after the second")
        #expect(try #require(routes.first).contains("\"sent\":\"3\"") && routes[0].contains("\"plain\":0"))
        var three = settings
        three[three.count - 3] = "run.name=three"
        #expect(three.contains("run.name=three"))
        #expect(try run(three, ranks: 3).exitCode == .done)
        #expect(try self.pool("three") == self.pool("pool"))
    }

    /// A pool does not depend on there being something to score.
    @Test func aPoolGrowsWithoutScores() throws {
        let whole = try run(settings("whole", "moda"))
        #expect(whole.exitCode == .done)
        for stop in [3, 4] {
            let unscored = settings("unscored-\(stop)", "moda", ["evaluation.prompts=[]", "data.split=none"])
            #expect(try run(unscored, ranks: 2, stopAfter: stop).exitCode == .resumable)
            #expect(try run(unscored, ranks: 3).exitCode == .done)
            #expect(try pool("unscored-\(stop)").count == pool("whole").count)
        }
        #expect(try pool("unscored-3") == pool("unscored-4"))
    }

    /// What evaluates a finished pool gives the scores of its last stage, on any number of ranks.
    @Test func aPoolIsEvaluatedAsInItsRun() throws {
        let settings = settings("scored", "moda")
        let outcome = try run(settings)
        let path = place.path + "/runs/scored/pool"
        func evaluate(_ settings: [String], ranks: Int) throws -> [EvaluationRun.Score] {
            let recipe = try ResolvedRecipe(settings: settings)
            return try InProcessCommunicator.run(ranks: ranks) { communicator in
                try EvaluationRun(recipe: recipe, communicator: communicator, workspace: Workspace(threads: 1)).run(
                    adapter: nil, pool: path, output: nil, pictures: 0)
            }[0]
        }
        let scores = try evaluate(settings, ranks: 2)
        #expect(scores.map(\.outcome.scores) == outcome.after.map(\.scores))
        #expect(scores.allSatisfy { $0.routes?.hasPrefix("of ") == true })
        let view = #expect(throws: RunError.self) { _ = try evaluate(settings + ["evaluation.view=fit"], ranks: 1) }
        #expect(view?.description.contains("set evaluation.view=squash") == true, "\(view as Any)")
        let manifest = try String(contentsOfFile: path + "/pool.json", encoding: .utf8)
        try manifest.replacing("tiny-seed-1", with: "tiny-seed-7").write(
            toFile: path + "/pool.json", atomically: true, encoding: .utf8)
        let weights = #expect(throws: WeightFileError.self) { _ = try evaluate(settings, ranks: 1) }
        #expect(weights?.description.contains("a pool over base weights") == true, "\(weights as Any)")
    }

    /// A pool that is gone or damaged ends a resumed run with its name.
    @Test func aDamagedPoolEndsTheRun() throws {
        let settings = settings("damaged", "moda")
        #expect(try run(settings, stopAfter: 5).exitCode == .resumable)
        let entry = try #require(try AdapterPool(opening: place.path + "/runs/damaged/pool").entries.first)
        let file = place.path + "/runs/damaged/pool/\(entry.file.name)"
        try FileManager.default.removeItem(atPath: file)
        let error = #expect(throws: WeightFileError.self) { _ = try run(settings) }
        #expect(error?.description.contains(entry.file.name) == true, "\(error as Any)")
    }

    @Test func aStrategyNeedsStages() {
        let error = #expect(throws: RecipeError.self) {
            _ = try ResolvedRecipe(settings: settings("joint", "naive", ["training.domains=joint"]))
        }
        #expect(error?.description.contains("must be sequential with continual.strategy=naive") == true)
        let kinds = #expect(throws: RecipeError.self) {
            _ = try ResolvedRecipe(settings: settings("points", "naive", ["evaluation.prompts=[box,point]"]))
        }
        #expect(kinds?.description.contains("with evaluation.view=squash") == true, "\(kinds as Any)")
    }

    /// Methods that learn at sampled points train with every kind of adapter, and lower their loss.
    @Test(arguments: ["hq-sam", "decoder-tuning", "lora"]) func methodsLearn(_ method: String) throws {
        let outcome = try run(
            settings(
                "learns-\(method)", "none",
                [
                    "method.name=\(method)", "method.pointCount=256", "training.domains=joint", "training.steps=30",
                    // Pairs begin at zero and move a random encoder slowly.
                    "optimizer.learningRate=\(method == "lora" ? 0.05 : 0.01)",
                ]))
        #expect(outcome.exitCode == .done)
        let log = try String(contentsOfFile: place.path + "/runs/learns-\(method)/log.jsonl", encoding: .utf8)
        let losses = try log.split(separator: "\n").compactMap { line -> Double? in
            let event = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            return event["event"] as? String == "step" ? event["loss"] as? Double : nil
        }
        #expect(losses.count == 30)
        let (first, last) = (losses.prefix(10).reduce(0, +), losses.suffix(10).reduce(0, +))
        // A random encoder gives pairs little to work with.
        #expect(last < (method == "lora" ? 1 : 0.95) * first, "\(method): \(first / 10) to \(last / 10)")
    }
}
