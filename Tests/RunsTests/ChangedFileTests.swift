import Adapters
import Collectives
import Datasets
import Evaluation
import Foundation
import Glibc
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

/// A file of the data set that changes between two steps: the same decision on all ranks.
@Suite struct ChangedFileTests {
    private let folder: CellFolder

    init() throws {
        BLASEnvironment.useSingleThread()
        folder = try CellFolder(count: 6)
    }

    private func recipe(_ settings: [String]) throws -> Recipe {
        try ResolvedRecipe(
            settings: [
                "model.kind=tiny", "data.root=\(folder.path)", "data.split=none", "training.globalBatch=3",
                "training.steps=6", "optimizer.warmUpSteps=1", "optimizer.learningRate=1e-2",
                "prompts.maximumInstances=3", "execution.prefetchDepth=1", "execution.prefetchThreads=1",
            ] + settings
        ).recipe
    }

    private struct End: Sendable, Equatable {
        var bits: [UInt32] = []
        var unreadable: [[String]] = []
        var reasons: [String] = []
        var stop: TrainingController.ControlMessage.Stop?
    }

    /// Six steps, two epochs; `change` is done by rank 0 after the second step, when every image was read once.
    private func train(
        _ recipe: Recipe, ranks: Int, change: @escaping @Sendable () throws -> Void
    ) throws -> End {
        let ends = try InProcessCommunicator.run(ranks: ranks) { communicator in
            let assembly = RunAssembly(recipe: recipe, communicator: communicator, workspace: Workspace(threads: 1))
            let data = try TrainingData(recipe, communicator: communicator)
            let trainer = try assembly.makeTrainer(
                LoadedModel(recipe.model, recipe.node, communicator: communicator), data)
            defer { trainer.stop() }
            var end = End()
            for step in 0..<6 where end.stop == nil {
                let outcome = try trainer.runStep(step, isStopRequested: false)
                end.unreadable.append(outcome.unreadable.map(\.id))
                end.reasons += outcome.unreadable.map(\.reason)
                end.stop = outcome.message.stop
                guard step == 1 else { continue }
                if communicator.isRoot { try change() }
                try communicator.barrier()
            }
            end.bits = (trainer.adapted.trained?.values.elements ?? []).map(\.bitPattern)
            return end
        }
        for end in ends { #expect(end.bits == ends[0].bits && end.stop == ends[0].stop) }
        return ends[0]
    }

    private func path(_ file: String) -> String { "\(folder.path)/\(file)" }

    /// Overwrites a file by another of the data set, or by itself.
    private func overwrite(_ file: String, by other: String) throws {
        usleep(20_000)
        try Data(contentsOf: URL(fileURLWithPath: path(other))).write(to: URL(fileURLWithPath: path(file)))
    }

    @Test(arguments: ["images/cells-0004.png", "labels/cells-0004.png"])
    func theRunStops(file: String) throws {
        let other = file.replacing("4", with: "1")
        let kept = try Data(contentsOf: URL(fileURLWithPath: path(file)))
        for ranks in [1, 2, 3] {
            let end = try train(try recipe([]), ranks: ranks) { try overwrite(file, by: other) }
            #expect(end.stop == .badData)
            #expect(end.unreadable.last == ["cells-0004"])
            #expect(end.reasons.last?.hasSuffix("\(file): was changed since the run began") == true)
            try kept.write(to: URL(fileURLWithPath: path(file)))
        }
    }

    /// How far images are read ahead depends on the number of ranks, and so does the step that notices the change; all
    /// ranks of a run notice it in the same one.
    @Test func orLeavesTheImageOutOnAllRanks() throws {
        let file = "images/cells-0002.png"
        let kept = try Data(contentsOf: URL(fileURLWithPath: path(file)))
        let ends = try [1, 2, 3].map { ranks in
            defer { try? kept.write(to: URL(fileURLWithPath: path(file))) }
            return try train(try recipe(["data.badSamples=skip"]), ranks: ranks) {
                try overwrite(file, by: "images/cells-0003.png")
            }
        }
        for end in ends {
            #expect(end.stop == .finished)
            #expect(Set(end.unreadable.flatMap { $0 }) == ["cells-0002"])
        }
    }

    @Test func theSameBytesAreNoChange() throws {
        let whole = try train(try recipe([]), ranks: 1) {}
        let touched = try train(try recipe([]), ranks: 2) {
            for index in 0..<6 {
                try overwrite("images/cells-000\(index).png", by: "images/cells-000\(index).png")
                try overwrite("labels/cells-000\(index).png", by: "labels/cells-000\(index).png")
            }
        }
        #expect(touched == whole && whole.stop == .finished)
    }

    @Test func evaluationNoticesItToo() throws {
        let recipe = try recipe(["data.badSamples=skip"])
        let results = try InProcessCommunicator.run(ranks: 2) { communicator in
            let assembly = RunAssembly(recipe: recipe, communicator: communicator, workspace: Workspace(threads: 1))
            let data = try TrainingData(recipe, communicator: communicator)
            let loaded = try LoadedModel(recipe.model, recipe.node, communicator: communicator)
            if communicator.isRoot { try overwrite("images/cells-0005.png", by: "images/cells-0000.png") }
            try communicator.barrier()
            let evaluator = try #require(assembly.makeEvaluators(loaded, data).first).evaluator
            let result = try evaluator.evaluate(
                .one(loaded.base), communicator: communicator, in: Workspace(threads: 1))
            return result.unreadable.map(\.reason)
        }
        for reasons in results {
            #expect(reasons.count == 1 && reasons[0].hasSuffix("cells-0005.png: was changed since the run began"))
        }
    }
}
