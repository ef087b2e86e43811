import AdaptationMethods
import Adapters
import Collectives
import Datasets
import DataTools
import Evaluation
import Foundation
import Kernels
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

import Training

/// A folder of synthetic cells, removed with the object.
final class CellFolder: Sendable {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("kedge-cells-\(UUID().uuidString)").path

    init(count: Int) throws { try SyntheticCells.write(to: path, count: count, side: 96, seed: 5, severity: 2) }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

@Suite struct TrainerTests {
    /// OpenBLAS's own threads would split products differently from call to call.
    init() { BLASEnvironment.useSingleThread() }

    private func recipe(_ folder: CellFolder, _ settings: [String] = []) throws -> ResolvedRecipe {
        try ResolvedRecipe(
            settings: [
                "model.kind=tiny", "data.root=\(folder.path)", "training.globalBatch=3", "optimizer.warmUpSteps=1",
                "optimizer.learningRate=1e-2", "prompts.maximumInstances=6",
            ] + settings)
    }

    /// The LoRA matrices and losses after some steps on a number of ranks, from rank 0.
    private func train(
        _ recipe: ResolvedRecipe, ranks: Int, threads: Int, steps: Int
    ) throws -> (bits: [UInt32], losses: [[Double]]) {
        let results = try InProcessCommunicator.run(ranks: ranks) { communicator in
            let run = RunAssembly(
                recipe: recipe.recipe, communicator: communicator, workspace: Workspace(threads: threads))
            let trainer = try run.makeTrainer(
                LoadedModel(recipe.recipe.model, recipe.recipe.node, communicator: communicator),
                TrainingData(recipe.recipe))
            defer { trainer.stop() }
            var losses: [[Double]] = []
            for step in 0..<steps { losses.append(try trainer.runStep(step, isStopRequested: false).lossSums) }
            return (bits: (trainer.adapted.trained?.values.elements ?? []).map(\.bitPattern), losses: losses)
        }
        for result in results { #expect(result.bits == results[0].bits, "ranks hold different matrices") }
        return results[0]
    }

    /// Seven images in batches of three: the last batch of an epoch is short, and with five ranks some have no image.
    @Test func bitsDoNotDependOnRanksOrThreads() throws {
        let folder = try CellFolder(count: 7)
        let recipe = try recipe(folder, ["data.split=none", "training.steps=5"])
        let one = try train(recipe, ranks: 1, threads: 1, steps: 5)
        #expect(try one.bits != freshBits(recipe), "nothing was learnt")
        for (ranks, threads) in [(1, 2), (2, 1), (3, 2), (5, 1)] {
            let other = try train(recipe, ranks: ranks, threads: threads, steps: 5)
            #expect(other.bits == one.bits, "\(ranks) ranks, \(threads) threads")
            #expect(other.losses == one.losses, "\(ranks) ranks, \(threads) threads")
        }
    }

    /// A box for the teacher changes what is learnt from points, independently of the number of ranks.
    @Test func theTeacherMayTakeBoxes() throws {
        let folder = try CellFolder(count: 4)
        let points = ["prompts.kind=point", "training.seed=1"]
        let same = try train(try recipe(folder, points), ranks: 1, threads: 1, steps: 2)
        let boxes = try recipe(folder, points + ["prompts.teacherKind=box"])
        let mixed = try train(boxes, ranks: 1, threads: 1, steps: 2)
        #expect(mixed.bits != same.bits)
        #expect(try train(boxes, ranks: 2, threads: 1, steps: 2).bits == mixed.bits)
    }

    @Test func theSeedDecides() throws {
        let folder = try CellFolder(count: 4)
        let first = try train(try recipe(folder, ["training.seed=1"]), ranks: 1, threads: 1, steps: 2)
        let again = try train(try recipe(folder, ["training.seed=1"]), ranks: 1, threads: 1, steps: 2)
        let other = try train(try recipe(folder, ["training.seed=2"]), ranks: 1, threads: 1, steps: 2)
        #expect(first.bits == again.bits)
        #expect(first.bits != other.bits)
    }

    /// Evaluation gives the same scores on any number of ranks, and a new adapter equals the base model.
    @Test func evaluationIsExactOnAnyNumberOfRanks() throws {
        let folder = try CellFolder(count: 5)
        let recipe = try recipe(folder, ["data.split=none"])
        func scores(ranks: Int, withAdapter: Bool) throws -> [Evaluator.Outcome] {
            try InProcessCommunicator.run(ranks: ranks) { communicator in
                let run = RunAssembly(
                    recipe: recipe.recipe, communicator: communicator, workspace: Workspace(threads: 1))
                let loaded = try LoadedModel(recipe.recipe.model, recipe.recipe.node, communicator: communicator)
                let adapted = withAdapter ? loaded.adapted(by: try run.trainables(loaded)) : loaded.base
                let evaluator = try #require(run.makeEvaluators(loaded, TrainingData(recipe.recipe)).first).evaluator
                return try evaluator.evaluate(
                    .one(adapted), communicator: communicator, in: Workspace(threads: 1)
                ).outcomes
            }[0]
        }
        let one = try scores(ranks: 1, withAdapter: false)
        #expect(one.map(\.prompt) == [.box, .point])
        #expect(one.allSatisfy { $0.images.count == 5 && (0...1).contains($0.scores[.iou] ?? -1) })
        #expect(try scores(ranks: 3, withAdapter: false) == one)
        #expect(try scores(ranks: 7, withAdapter: true) == one)
    }

    /// The parameters before the first step.
    private func freshBits(_ recipe: ResolvedRecipe) throws -> [UInt32] {
        let communicator = try SingleProcessCommunicator()
        let run = RunAssembly(
            recipe: recipe.recipe, communicator: communicator, workspace: Workspace(threads: 1))
        let loaded = try LoadedModel(recipe.recipe.model, recipe.recipe.node, communicator: communicator)
        return (try loaded.adapted(by: run.trainables(loaded)).trained?.values.elements ?? []).map(\.bitPattern)
    }
}
