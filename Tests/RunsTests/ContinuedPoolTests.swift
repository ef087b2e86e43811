import Adapters
import CheckpointStore
import DataTools
import Datasets
import Evaluation
import Foundation
import Imaging
import Kernels
import Machine
import ModelLoading
import Recipes
import Routing
import Runs
import Telemetry
import Testing
import TestSupport
import WeightFiles

/// What becomes of a finished pool: a run that adds domains, removal, repair, and segmentation of single images.
@Suite struct ContinuedPoolTests {
    private let place: TemporaryFolder
    private var given: String { place.path + "/runs/first/pool" }

    /// A pool of the domains cells and fibres.
    init() throws {
        BLASEnvironment.useSingleThread()
        place = try TemporaryFolder("continued")
        try SyntheticCells.write(to: place.path + "/cells", count: 6, side: 96, seed: 5, severity: 1)
        try SyntheticCells.write(to: place.path + "/fibres", count: 6, side: 96, seed: 9, severity: 4)
        try SyntheticCells.write(to: place.path + "/others", count: 6, side: 96, seed: 6, severity: 2)
        let outcome = try InProcessRun.outcome(settings("first", ["cells", "fibres"]))
        #expect(outcome.exitCode == .done)
    }

    private func settings(_ name: String, _ sources: [String], _ more: [String] = []) -> [String] {
        sources.map { "data.sources.\($0).root=\(place.path)/\($0)" } + [
            "model.kind=tiny", "data.split=1:1", "training.domains=sequential", "continual.strategy=moda",
            "continual.memory=3", "method.name=hq-sam", "method.pointCount=64", "training.globalBatch=2",
            "training.steps=3", "optimizer.warmUpSteps=0", "optimizer.learningRate=1e-2", "optimizer.weightDecay=0",
            "evaluation.view=squash", "run.folder=\(place.path)/runs", "run.name=\(name)",
        ] + more
    }

    private func continued(_ name: String, _ more: [String] = []) -> [String] {
        settings(name, ["others"], ["continual.pool=\(given)"] + more)
    }

    /// The bytes of all files of a folder, by name.
    private func bytes(_ folder: String) throws -> [String: Data] {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        return try Dictionary(
            uniqueKeysWithValues: names.map {
                ($0, try Data(contentsOf: URL(fileURLWithPath: folder + "/" + $0)))
            })
    }

    private func pool(_ name: String) throws -> AdapterPool {
        try AdapterPool(opening: place.path + "/runs/\(name)/pool")
    }

    private func digests(_ pool: AdapterPool) -> [String] {
        pool.entries.flatMap { [$0.domain, $0.file.sha256, $0.memory.sha256] } + [pool.router?.sha256 ?? ""]
    }

    /// The given pool stays as it is, its adapters are those of the new one, and the router is that of a run over all
    /// domains.
    @Test func aFurtherDomainChangesNoByte() throws {
        let before = try bytes(given)
        #expect(try InProcessRun.outcome(continued("second")).exitCode == .done)
        #expect(try bytes(given) == before)
        let (old, new) = try (AdapterPool(opening: given), pool("second"))
        #expect(new.entries.map(\.domain) == ["cells", "fibres", "others"])
        #expect(Array(new.entries.prefix(2)) == old.entries)
        for name in old.entries.flatMap({ [$0.file.name, $0.memory.name] }) {
            #expect(try bytes(new.path)[name] == before[name], "\(name)")
        }
        #expect(try InProcessRun.outcome(settings("all", ["cells", "fibres", "others"])).exitCode == .done)
        #expect(try new.router?.sha256 == pool("all").router?.sha256)
        #expect(try InProcessRun.outcome(continued("ranks"), ranks: 3).exitCode == .done)
        #expect(try digests(pool("ranks")) == digests(new))
        let log = try String(contentsOfFile: place.path + "/runs/second/log.jsonl", encoding: .utf8)
        #expect(log.contains("with the domains cells, fibres"))
        // The tokens of the query are the pool's, whatever the seed of the run; the limit of rejection is the run's.
        let seeded = continued("seeded", ["training.seed=9", "continual.rejectBeyond=0"])
        #expect(try InProcessRun.outcome(seeded).exitCode == .done)
        let routing = try pool("seeded").routing
        #expect((routing.query, routing.seed, routing.rejectBeyond) == (old.routing.query, old.routing.seed, 0))
        #expect(try bytes(pool("seeded").path)["003-others.safetensors"] != bytes(new.path)["003-others.safetensors"])
    }

    /// Ended at every step, and with half a copy of the given pool.
    @Test func aContinuedRunEndedAnywhereHasTheSameBits() throws {
        let sources = ["others", "late"]
        try SyntheticCells.write(to: place.path + "/late", count: 4, side: 96, seed: 11, severity: 3)
        func two(_ name: String) -> [String] { settings(name, sources, ["continual.pool=\(given)"]) }
        #expect(try InProcessRun.outcome(two("whole")).exitCode == .done)
        for stop in 1...5 {
            let name = "stopped-\(stop)"
            let own = place.path + "/runs/\(name)/pool"
            #expect(try InProcessRun.outcome(two(name), ranks: 2, stopAfter: stop).exitCode == .resumable)
            if stop == 2 {
                try FileManager.default.removeItem(atPath: own + "/pool.json")
                try FileManager.default.removeItem(atPath: own + "/002-fibres.safetensors")
            }
            #expect(try InProcessRun.outcome(two(name), ranks: 3).exitCode == .done)
            #expect(try digests(pool(name)) == digests(pool("whole")), "stopped after step \(stop)")
        }
    }

    /// A run goes on with the pool it began with, and with no other.
    @Test func anotherPoolAtTheResumeIsRefused() throws {
        #expect(try InProcessRun.outcome(continued("resumed"), stopAfter: 2).exitCode == .resumable)
        var pool = try AdapterPool(opening: given)
        _ = try pool.removeAndTrainRouter(without: ["fibres"])
        let error = #expect(throws: CheckpointError.self) { _ = try InProcessRun.outcome(continued("resumed")) }
        #expect(error?.description.contains("pool") == true, "\(error as Any)")
    }

    /// What does not fit the pool is refused before a step, and nothing is written.
    @Test func whatDoesNotFitIsRefused() throws {
        let before = try bytes(given)
        func refusal(_ more: [String], sources: [String] = ["others"]) -> String {
            let all = settings("refused", sources, ["continual.pool=\(given)"] + more)
            let error = #expect(throws: (any Error).self) { _ = try InProcessRun.outcome(all) }
            return error.map { "\($0)" } ?? ""
        }
        #expect(refusal(["evaluation.view=fit"]).contains("set evaluation.view=squash"))
        let query = try AdapterPool(opening: given).routing.query == "embedding" ? "statistics" : "embedding"
        #expect(refusal(["continual.query=\(query)"]).contains("set continual.query="))
        #expect(refusal(["method.name=lora"]).contains("set method and adapters as the pool was trained"))
        #expect(refusal(["continual.strategy=naive"]).contains("must be moda with continual.pool"))
        #expect(refusal([], sources: ["cells"]).contains("already has a domain cells"))
        #expect(refusal(["data.sources.others.domain=fibres"]).contains("already has a domain fibres"))
        #expect(refusal(["run.name=first"]).contains("choose another run.name"))
        #expect(refusal(["model.kind=mobilesam", "model.weights=random:1"]).contains("is of the model tiny"))
        #expect(refusal(["continual.pool=\(place.path)/nowhere"]).contains("no such file"))
        #expect(!FileManager.default.fileExists(atPath: place.path + "/runs/refused"))
        let manifest = given + "/pool.json"
        let text = try String(contentsOfFile: manifest, encoding: .utf8)
        try text.replacing("tiny-seed-1", with: "tiny-seed-7").write(
            toFile: manifest, atomically: true, encoding: .utf8)
        #expect(refusal([]).contains("a pool over base weights"))
        try text.write(toFile: manifest, atomically: true, encoding: .utf8)
        #expect(try bytes(given) == before)
        try FileManager.default.removeItem(atPath: given + "/001-cells.safetensors")
        #expect(refusal([]).contains("001-cells.safetensors"))
    }

    /// Images of an old domain are scored through the grown pool without being trained on.
    @Test func anOldDomainMayBeScored() throws {
        let more = ["data.sources.cells.root=\(place.path)/cells", "data.sources.cells.split=evaluate"]
        let outcome = try InProcessRun.outcome(continued("scored", more))
        #expect(outcome.exitCode == .done && outcome.after.map(\.domain) == ["others", "cells"])
        #expect(try pool("scored").entries.map(\.domain) == ["cells", "fibres", "others"])
    }

    /// Removing what a run added gives the router of the run before it, byte for byte.
    @Test func removalTrainsTheRouterOfTheOthers() throws {
        let first = try digests(AdapterPool(opening: given))
        #expect(try InProcessRun.outcome(continued("grown")).exitCode == .done)
        var grown = try pool("grown")
        #expect(try grown.removeAndTrainRouter(without: ["others"]) == nil)
        #expect(try digests(pool("grown")) == first)
        let all = #expect(throws: WeightFileError.self) {
            _ = try grown.removeAndTrainRouter(without: ["fibres", "cells"])
        }
        #expect(all?.description.contains("no domain would be left") == true, "\(all as Any)")
        #expect(try digests(pool("grown")) == first)
        #expect(throws: WeightFileError.self) { _ = try grown.removeAndTrainRouter(without: ["others"]) }
    }

    /// A domain whose file is gone is removed; while another one is damaged too, nothing changes.
    @Test func aDamagedPoolIsRepaired() throws {
        let old = try AdapterPool(opening: given)
        try FileManager.default.removeItem(atPath: old.path(of: old.entries[1].file))
        var pool = try AdapterPool(forRepair: given)
        let other = #expect(throws: WeightFileError.self) { _ = try pool.removeAndTrainRouter(without: ["cells"]) }
        #expect(other?.description.contains("002-fibres.safetensors") == true, "\(other as Any)")
        try pool.removeAndTrainRouter(without: ["fibres"])
        let repaired = try AdapterPool(opening: given)
        #expect(repaired.entries == [old.entries[0]])
        let loaded = try LoadedModel(ResolvedRecipe(settings: settings("x", ["cells"])).recipe.model)
        #expect(try AdaptedPool(repaired, over: loaded).router.domains == ["cells"])
        let router = try #require(repaired.router)
        try FileManager.default.removeItem(atPath: repaired.path(of: router))
        var again = try AdapterPool(forRepair: given)
        try again.removeAndTrainRouter(without: [])
        #expect(try AdapterPool(opening: given).router?.sha256 == router.sha256)
    }

    /// The images of a folder in negative: a domain that a router tells from the other.
    private func writeNegatives(of source: String, to target: String) throws {
        try FileManager.default.copyItem(atPath: place.path + "/" + source, toPath: place.path + "/" + target)
        for place in 0..<6 {
            let file = self.place.path + "/\(target)/images/cells-000\(place).png"
            let image = try ImageFile.decode(path: file)
            try Image(
                width: image.width, height: image.height, channels: image.channels,
                pixels: image.pixels.map { 255 - $0 }
            ).writePNG(to: file)
        }
    }

    /// A single image gets the masks of the adapter that its route names, and those of the plain model where it is
    /// rejected.
    @Test func aPoolSegmentsEachImageWithItsAdapter() throws {
        try writeNegatives(of: "fibres", to: "dark")
        let sources = settings(
            "routed", ["cells", "dark"], ["continual.query=embedding", "continual.rejectBeyond=0.001"])
        #expect(try InProcessRun.outcome(sources).exitCode == .done)
        let loaded = try LoadedModel(ResolvedRecipe(settings: sources).recipe.model)
        let workspace = Workspace(threads: 1)
        let pool = try AdaptedPool(self.pool("routed"), over: loaded)
        let box = [ImageSegmenter.ObjectPrompt(box: Box(x0: 8, y0: 12, x1: 60, y1: 80))]
        func segment(_ subject: EvaluatedModel, _ image: Image) throws -> ([[Bool]], RoutingDecision?) {
            let segmenter = ImageSegmenter(loaded, subject, seen: .squash, workspace: workspace)
            let (masks, decision) = try segmenter.segment(image, box, multimask: false)
            return (masks.map(\.pixels), decision)
        }
        var (chosen, rejected, different): ([Int], Int, Int) = ([], 0, 0)
        for (domain, name) in ["cells", "dark"].enumerated() {
            for number in 0..<6 {
                let image = try ImageFile.decode(path: place.path + "/\(name)/images/cells-000\(number).png").rgb()
                let (masks, made) = try segment(.pool(pool), image)
                let decision = try #require(made)
                #expect(try decision == pool.route(image, seen: .squash, by: loaded.preprocessing, in: workspace))
                #expect(decision.runnerUp == 1 - decision.best && decision.scores[decision.best] == decision.score)
                let server = decision.domain.map { pool.members[$0] } ?? loaded.base
                #expect(try masks == segment(.one(server), image).0)
                #expect(pool.router.line(of: decision).hasPrefix("no adapter") == (decision.domain == nil))
                if decision.domain == domain { chosen.append(domain) }
                if decision.domain == nil { rejected += 1 }
                let (first, second) = (pool.members[0], pool.members[1])
                if try segment(.one(first), image).0 != segment(.one(second), image).0 { different += 1 }
            }
        }
        #expect(different > 3, "the adapters give other masks on \(different) of 12 images")
        #expect(Set(chosen) == [0, 1] && rejected > 0, "\(chosen) by their own adapter, \(rejected) by none")
    }

    /// Memory images that cannot be read are named, and the pool holds the others.
    @Test func unreadableMemoryImagesAreNamed() throws {
        let file = place.path + "/others/images/cells-0001.png"
        let data = try Data(contentsOf: URL(fileURLWithPath: file))
        try data.dropLast(200).write(to: URL(fileURLWithPath: file))
        let settings = continued(
            "unreadable", ["data.badSamples=skip", "continual.memory=6", "data.split=none", "evaluation.prompts=[]"])
        #expect(try InProcessRun.outcome(settings, ranks: 2).exitCode == .done)
        let log = try String(contentsOfFile: place.path + "/runs/unreadable/log.jsonl", encoding: .utf8)
        #expect(log.contains("the router learns others without 1 of its 6 memory images"))
        #expect(try pool("unreadable").entries[2].memoryImages.count == 5)
    }
}
