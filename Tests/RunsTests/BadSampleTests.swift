import Adapters
import CheckpointStore
import Collectives
import Datasets
import Evaluation
import Foundation
import Imaging
import Kernels
import Layers
import Machine
import ModelLoading
import Recipes
import Runs
import Telemetry
import Tensors
import Testing

import Training

/// Unreadable images: the same decision on all ranks, and the same bits on any number of them.
@Suite struct BadSampleTests {
    private let folder: CellFolder

    init() throws {
        BLASEnvironment.useSingleThread()
        folder = try CellFolder(count: 9)
    }

    private func image(_ index: Int) -> String { "\(folder.path)/images/cells-000\(index).png" }

    /// Truncates an image, which only decoding detects.
    private func cut(_ index: Int) throws {
        let data = try Data(contentsOf: URL(fileURLWithPath: image(index)))
        try data.dropLast(200).write(to: URL(fileURLWithPath: image(index)))
    }

    private func recipe(_ settings: [String]) throws -> ResolvedRecipe {
        try ResolvedRecipe(
            settings: [
                "model.kind=tiny", "data.root=\(folder.path)", "data.split=none", "training.globalBatch=4",
                "training.steps=6", "optimizer.warmUpSteps=1", "optimizer.learningRate=1e-2",
                "prompts.maximumInstances=4",
            ] + settings)
    }

    private struct End: Sendable, Equatable {
        var bits: [UInt32]
        var contributing: [Int] = []
        var losses: [[Double]] = []
        var unreadable: [[String]] = []
        var stop: TrainingController.ControlMessage.Stop?
        var badSamples: [Int] = []
    }

    /// Six steps, from a state or from the start; rank 0's outcomes.
    private func train(
        _ recipe: ResolvedRecipe, ranks: Int, from state: CheckpointState? = nil
    ) throws -> End {
        let ends = try InProcessCommunicator.run(ranks: ranks) { communicator in
            let run = RunAssembly(
                recipe: recipe.recipe, communicator: communicator, workspace: Workspace(threads: 1))
            let data = try TrainingData(recipe.recipe, communicator: communicator)
            let trainer = try run.makeTrainer(
                LoadedModel(recipe.recipe.model, recipe.recipe.node, communicator: communicator), data, resuming: state)
            defer { trainer.stop() }
            var end = End(bits: [])
            for step in (state?.step ?? 0)..<6 where end.stop == nil {
                let outcome = try trainer.runStep(step, isStopRequested: false)
                end.contributing.append(outcome.contributingSamples)
                end.losses.append(outcome.lossSums)
                end.unreadable.append(outcome.unreadable.map(\.id))
                end.stop = outcome.message.stop
            }
            end.bits = (trainer.adapted.trained?.values.elements ?? []).map(\.bitPattern)
            end.badSamples = communicator.isRoot ? trainer.state(step: 6, images: 0).badSamples : []
            return end
        }
        for end in ends { #expect(end.bits == ends[0].bits && end.unreadable == ends[0].unreadable) }
        return ends[0]
    }

    /// Nine images in batches of four: the last batch of an epoch has one image, and some ranks none.
    @Test func bitsDoNotDependOnWhoMeetsThem() throws {
        for index in [2, 7] { try cut(index) }
        let recipe = try recipe(["data.badSamples=skip"])
        let one = try train(recipe, ranks: 1)
        #expect(one.stop == .finished)
        #expect(one.badSamples == [2, 7])
        #expect(one.contributing.reduce(0, +) == 2 * 7)
        // Each image once per epoch, readable or not.
        for epoch in [one.unreadable[..<3], one.unreadable[3...]] {
            #expect(epoch.flatMap { $0 }.sorted() == ["cells-0002", "cells-0007"])
        }
        for ranks in [2, 3, 5] { #expect(try train(recipe, ranks: ranks) == one, "\(ranks) ranks") }
    }

    /// The mean is over contributing samples: an unreadable image in a batch of three gives a batch of two.
    @Test func theMeanIsOverTheOthers() throws {
        let recipe = try recipe(["data.badSamples=skip", "training.globalBatch=9", "training.steps=1"])
        let whole = try train(recipe, ranks: 2)
        var alone: [[Double]] = []
        for index in 0..<9 {
            let data = try Data(contentsOf: URL(fileURLWithPath: image(index)))
            try cut(index)
            alone.append(try train(recipe, ranks: 2).losses[0])
            try data.write(to: URL(fileURLWithPath: image(index)))
        }
        // Losses before any update: skipping each image in turn counts every one eight times.
        for part in whole.losses[0].indices {
            let sum = alone.reduce(0) { $0 + $1[part] }
            #expect(abs(sum - 8 * whole.losses[0][part]) <= 1e-9 * abs(sum))
        }
    }

    @Test func theFirstOneStopsUnlessAskedToGoOn() throws {
        try cut(5)
        let fresh = try train(try recipe(["training.steps=1"]), ranks: 2)
        for ranks in [1, 3] {
            let end = try train(try recipe([]), ranks: ranks)
            #expect(end.stop == .badData)
            #expect(end.unreadable.last == ["cells-0005"])
            #expect(end.badSamples.isEmpty)
            if end.contributing.count == 1 { #expect(end.bits == fresh.bits, "a step was made") }
        }
    }

    @Test func moreThanTheLimitStop() throws {
        for index in [1, 4, 6] { try cut(index) }
        for ranks in [1, 2] {
            let end = try train(try recipe(["data.badSamples=skip", "data.maximumBadSamples=2"]), ranks: ranks)
            #expect(end.stop == .badData)
            #expect(end.badSamples.count <= 2)
        }
    }

    /// A run resumed from a checkpoint keeps counting, and ends with the bits of an uninterrupted run.
    @Test func whatWasLeftOutIsRemembered() throws {
        try cut(3)
        let recipe = try recipe(["data.badSamples=skip", "data.maximumBadSamples=1"])
        let whole = try train(recipe, ranks: 2)
        let state = try InProcessCommunicator.run(ranks: 1) { communicator in
            let run = RunAssembly(
                recipe: recipe.recipe, communicator: communicator, workspace: Workspace(threads: 1))
            let trainer = try run.makeTrainer(
                LoadedModel(recipe.recipe.model, recipe.recipe.node, communicator: communicator),
                TrainingData(recipe.recipe))
            defer { trainer.stop() }
            for step in 0..<3 { _ = try trainer.runStep(step, isStopRequested: false) }
            return trainer.state(step: 3, images: 9)
        }[0]
        #expect(state.badSamples == [3])
        #expect(try train(recipe, ranks: 3, from: state).bits == whole.bits)
        try cut(8)
        #expect(try train(recipe, ranks: 2, from: state).stop == .badData)
    }

    // MARK: Before the first step

    @Test func whatIsSeenAtTheStartIsLeftOutOnAllRanks() throws {
        try Data().write(to: URL(fileURLWithPath: image(4)))
        try FileManager.default.removeItem(atPath: "\(folder.path)/labels/cells-0006.png")
        let recipe = try recipe(["data.badSamples=skip"]).recipe
        for ranks in [1, 2, 3] {
            let all = try InProcessCommunicator.run(ranks: ranks) { communicator in
                let data = try TrainingData(recipe, communicator: communicator)
                return (
                    data.training.ids.map(\.index), data.unreadable.map(\.image.number), data.mostInstances,
                    data.unreadable.last?.id
                )
            }
            for data in all {
                #expect(data.0 == [0, 1, 2, 3, 5, 7, 8])
                #expect(data.1 == [4, 6] && data.3 == "cells-0006")
                #expect(data.2 == all[0].2)
            }
        }
    }

    @Test func whatIsSeenAtTheStartStopsAllRanks() throws {
        try Data().write(to: URL(fileURLWithPath: image(4)))
        for settings in [[], ["data.badSamples=skip", "data.maximumBadSamples=0"]] {
            let recipe = try recipe(settings).recipe
            let error = #expect(throws: RunError.self) {
                try InProcessCommunicator.run(ranks: 3) { _ = try TrainingData(recipe, communicator: $0) }
            }
            #expect(error?.exitCode == .data)
            #expect(error?.problem.contains("cells-0004.png: the file is empty (rank 1 on ") == true)
        }
    }

    @Test func theListOfBadImagesHasAnEnd() throws {
        for index in 0..<6 { try Data().write(to: URL(fileURLWithPath: image(index))) }
        let recipe = try recipe(["data.badSamples=skip", "data.maximumBadSamples=5"]).recipe
        let error = #expect(throws: RunError.self) { try TrainingData(recipe) }
        #expect(
            error?.problem.hasPrefix("6 images cannot be used, more than data.maximumBadSamples=5: cells-0000: ")
                == true)
        #expect(error?.description.contains("\n") == false && error?.problem.contains("(rank") == false)
    }

    /// Files of the same names but different sizes on one node are different data.
    @Test func ranksMustHaveTheSameFiles() throws {
        let other = try CellFolder(count: 9)
        let path = "\(other.path)/images/cells-0005.png"
        try (try Data(contentsOf: URL(fileURLWithPath: path)) + [0]).write(to: URL(fileURLWithPath: path))
        let (mine, theirs) = (try recipe([]).recipe, try recipe(["data.root=\(other.path)"]).recipe)
        let error = #expect(throws: RunError.self) {
            try InProcessCommunicator.run(ranks: 3) { communicator in
                _ = try TrainingData(communicator.rank == 2 ? theirs : mine, communicator: communicator)
            }
        }
        #expect(error?.exitCode == .usage)
        let words = try #require(error?.problem)
        #expect(
            words.hasPrefix("rank 2 on ") && words.contains(" has image 6 = cells-0005 ") && words.contains("rank 0"))
    }

    // MARK: Evaluation

    @Test func evaluationLeavesThemOut() throws {
        try cut(1)
        let recipe = try recipe(["data.badSamples=skip"])
        let all = try [1, 2, 4].map { ranks in
            try InProcessCommunicator.run(ranks: ranks) { communicator in
                let run = RunAssembly(
                    recipe: recipe.recipe, communicator: communicator, workspace: Workspace(threads: 1))
                let data = try TrainingData(recipe.recipe, communicator: communicator)
                let loaded = try LoadedModel(recipe.recipe.model, recipe.recipe.node, communicator: communicator)
                let evaluator = try #require(run.makeEvaluators(loaded, data).first).evaluator
                let result = try evaluator.evaluate(
                    .one(loaded.base), communicator: communicator, in: Workspace(threads: 1))
                return (result.outcomes, result.unreadable.map(\.image.number))
            }
        }
        for result in all.flatMap({ $0 }) {
            #expect(result.1 == [1])
            #expect(result.0 == all[0][0].0)
            #expect(result.0[0].images.count == 8 && !result.0[0].images.contains { $0.id == "cells-0001" })
        }
    }
}
