import CheckpointStore
import Collectives
import Datasets
import DataTools
import Foundation
import Kernels
import Machine
import Recipes
import Runs
import Telemetry
import Testing
import TestSupport
import Training

/// Runs over several sources: stages over domains, evaluation of all of them after each, batches with shares, resuming.
@Suite struct DomainRunTests {
    private let place: TemporaryFolder

    init() throws {
        BLASEnvironment.useSingleThread()
        place = try TemporaryFolder("domains")
        try SyntheticCells.write(to: place.path + "/cells", count: 6, side: 96, seed: 5, severity: 1)
        try SyntheticCells.write(to: place.path + "/fibres", count: 4, side: 96, seed: 9, severity: 4)
    }

    private func settings(_ name: String, _ more: [String] = []) -> [String] {
        [
            "model.kind=tiny", "data.sources.cells.root=\(place.path)/cells",
            "data.sources.fibres.root=\(place.path)/fibres", "data.split=1:1", "training.domains=sequential",
            "training.globalBatch=2", "training.steps=3", "optimizer.warmUpSteps=1", "optimizer.learningRate=1e-2",
            "prompts.maximumInstances=4", "evaluation.prompts=box", "run.folder=\(place.path)/runs", "run.name=\(name)",
        ] + more
    }

    private func run(
        _ settings: [String], ranks: Int = 1, stopAfter checks: Int = .max
    ) throws -> AdaptationRun.Outcome {
        try InProcessRun.outcome(settings, ranks: ranks, stopAfter: checks)
    }

    private func events(_ name: String) throws -> [[String: Any]] {
        try String(contentsOfFile: place.path + "/runs/\(name)/log.jsonl", encoding: .utf8).split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
    }

    private func values(_ events: [[String: Any]], _ event: String, _ key: String) -> [String] {
        events.filter { $0["event"] as? String == event }.map { $0[key].map { "\($0)" } ?? "" }
    }

    private func digest(of name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: place.path + "/runs/\(name)/adapter.safetensors")))
    }

    /// Two consecutive domains, both evaluated before and after each stage, with the same bits on any number of ranks.
    @Test func stagesFollowTheDomainsAndBothAreEvaluatedAfterEach() throws {
        let outcome = try run(settings("one"))
        #expect(outcome.exitCode == .done)
        #expect(outcome.before.map(\.source) == ["cells", "fibres"])
        #expect(outcome.after.map(\.stage) == ["fibres", "fibres"] && outcome.after.map(\.step) == [6, 6])
        let log = try events("one")
        #expect(values(log, "stage", "stage") == ["cells", "fibres"])
        #expect(values(log, "stage", "first_step") == ["0", "3"])
        #expect(values(log, "evaluation", "domain") == ["cells", "fibres", "cells", "fibres", "cells", "fibres"])
        #expect(values(log, "evaluation", "step") == ["0", "0", "3", "3", "6", "6"])
        #expect(values(log, "step", "stage") == ["cells", "cells", "cells", "fibres", "fibres", "fibres"])
        #expect(values(log, "source", "training_images") == ["3", "2"])
        let rows = try RunScores(folder: place.path + "/runs/one").rows
        #expect(rows.map(\.kind.source) == ["cells", "fibres"] && rows.map(\.step) == [6, 6])
        let files = try FileManager.default.contentsOfDirectory(atPath: place.path + "/runs/one")
        #expect(files.contains("images-000003-fibres-box.csv"))
        #expect(try run(settings("three"), ranks: 3).adapterDigest == outcome.adapterDigest)
    }

    /// Stopped at every step in turn, within both stages and between them, and resumed on a different number of ranks.
    @Test func aRunEndedAnywhereContinuesToTheSameBits() throws {
        let whole = try run(settings("whole"))
        for stop in 1...5 {
            let name = "stopped-\(stop)"
            // The first call is before the first step.
            let first = try run(settings(name), ranks: 2, stopAfter: stop)
            #expect(first.exitCode == .resumable)
            let second = try run(settings(name), ranks: 3)
            #expect(second.adapterDigest == whole.adapterDigest, "stopped after step \(stop)")
            #expect(second.after.map(\.scores) == whole.after.map(\.scores))
            #expect(values(try events(name), "resume", "step") == ["\(stop)"])
        }
    }

    /// With several stages their lengths determine what was learnt before a checkpoint, so they may not change.
    @Test func theStagesArePartOfACheckpointsIdentity() throws {
        _ = try run(settings("stages"), stopAfter: 4)
        let error = #expect(throws: CheckpointError.self) { _ = try run(settings("stages", ["training.steps=4"])) }
        #expect(error?.kind == .changed && error?.description.contains("stages was") == true, "\(error as Any)")
        let images = #expect(throws: CheckpointError.self) {
            _ = try run(settings("stages", ["data.sources.fibres.limit=2"]))
        }
        #expect(images?.description.contains("images of fibres") == true, "\(images as Any)")
        // The same sources in another order are another run, in one stage too.
        let joint = settings("order", ["training.domains=joint"])
        _ = try run(joint, stopAfter: 2)
        let fibresFirst = joint.filter { $0.contains("fibres") } + joint.filter { !$0.contains("fibres") }
        let order = #expect(throws: CheckpointError.self) { _ = try run(fibresFirst) }
        #expect(order?.description.contains("sources was cells, fibres, is fibres, cells") == true, "\(order as Any)")
    }

    /// Sources of one domain form one stage; in a single stage over all sources their shares determine the batches.
    @Test func sourcesOfADomainAreMixed() throws {
        let shares = ["data.sources.cells.share=1", "data.sources.fibres.share=1"]
        let mixed = try run(settings("mixed", ["training.domains=joint", "training.steps=0"] + shares))
        let log = try events("mixed")
        // Three images of cells, one in each batch.
        #expect(mixed.after.map(\.step) == [3, 3] && values(log, "stage", "stage").isEmpty)
        #expect(try digest(of: "mixed") != [])
        let twice = try run(settings("twice", ["training.domains=joint", "training.steps=0"] + shares), ranks: 2)
        #expect(twice.adapterDigest == mixed.adapterDigest)
        let named = try run(settings("named", ["data.sources.cells.domain=all", "data.sources.fibres.domain=all"]))
        #expect(named.after.map(\.domain) == ["all", "all"] && named.after.map(\.step) == [3, 3])
        // Four images divided 100 to 1 leave the second source out, so the recipe is refused.
        let tiny = #expect(throws: RecipeError.self) {
            _ = try ResolvedRecipe(
                settings: settings(
                    "tiny",
                    [
                        "training.domains=joint", "training.globalBatch=4", "data.sources.cells.share=100",
                        "data.sources.fibres.share=1",
                    ]))
        }
        #expect(tiny?.description.contains("data.sources.fibres.share = 1: gives a batch of 4 no image") == true)
        let one = #expect(throws: (any Error).self) {
            _ = try run(settings("bad", ["data.sources.cells.share=1"]))
        }
        #expect(one.map { "\($0)" }?.contains("must be 0 unless every source has a share") == true, "\(one as Any)")
    }
}
