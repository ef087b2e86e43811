import AdaptationMethods
import Adapters
import Collectives
import Foundation
import Kernels
import Layers
import SegmentAnything
import Tensors
import TestSupport
import Testing
import Training

// What adding a method takes: its own type, and a line in a registry. This one trains the whole mask decoder beside LoRA.

/// Squared distance of the mask logits to +1 in the upper half and -1 in the lower half of the frame.
private struct HalfFrames: AdaptationMethod {
    let lossNames = ["distance"]
    let trainables = TrainablePlan(
        adapters: [.init("lora")],
        parameters: [.init("mask_decoder.", group: ParameterGroup("decoder", rateFactor: 0.1, decay: .none))])

    func step(_ example: AdaptationExample, in context: inout StepContext) throws -> StepLosses {
        let model = context.model
        let prompts = try model.promptEncoder.encode(example.prompts, in: context.pass)
        let pass = model.encoder.encodeForTraining(example.weak, in: context.pass)
        let decoded = model.decoder.decodeForTraining(
            pass.features, position: model.promptEncoder.densePositionalEncoding, prompts: prompts, in: context.pass)
        let area = decoded.logits.count / prompts.count
        let differences = decoded.logits.elements.enumerated().map { $1 - ($0 % area < area / 2 ? 1 : -1) }
        let count = Float(differences.count)
        let dInputs = decoded.backward(
            MaskGradients(
                logits: Tensor(differences.map { $0 / count }, decoded.logits.shape),
                iou: Tensor(zeros: decoded.iou.shape)),
            &context.gradients)
        pass.backward(dInputs.features, &context.gradients)
        let distance = differences.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(2 * count)
        return StepLosses(parts: [.init("distance", distance, weight: 1)], instances: prompts.count)
    }
}

@Suite struct TrainedDecoderTests {
    init() { BLASEnvironment.useSingleThread() }

    private static let methods = MethodRegistry([("half-frames", { _ in HalfFrames() })])

    private func recipe(_ folder: CellFolder, _ runs: String, _ settings: [String]) throws -> ResolvedRecipe {
        try ResolvedRecipe(
            settings: [
                "model.kind=tiny", "data.root=\(folder.path)", "training.globalBatch=3", "optimizer.warmUpSteps=1",
                "optimizer.learningRate=1e-2", "prompts.maximumInstances=4", "method.name=half-frames",
                "training.steps=4", "training.evaluateEvery=0", "evaluation.before=false", "run.folder=\(runs)",
                "run.name=toy", "checkpoint.everySteps=1",
            ] + settings)
    }

    private func run(_ recipe: ResolvedRecipe, ranks: Int, threads: Int = 1) throws -> String? {
        try InProcessCommunicator.run(ranks: ranks) { communicator in
            try AdaptationRun(
                recipe: recipe, communicator: communicator, workspace: Workspace(threads: threads),
                methods: Self.methods, isStopRequested: { false }
            ).run().adapterDigest
        }[0]
    }

    /// LoRA and decoder have the same bits on any number of ranks, and after a run that was ended and continued.
    @Test func aMethodWithATrainedDecoderNeedsNoOtherFile() throws {
        let cells = try CellFolder(count: 7)
        let folder = try TemporaryFolder("trained-decoder")
        func digest(_ name: String, ranks: Int, threads: Int = 1, _ settings: [String] = []) throws -> String? {
            try run(recipe(cells, folder.path + "/" + name, settings), ranks: ranks, threads: threads)
        }
        let one = try #require(try digest("one", ranks: 1))
        #expect(try digest("two", ranks: 2) == one)
        #expect(try digest("four", ranks: 4, threads: 2) == one)
        // Ended after two steps, continued with other ranks.
        _ = try digest("continued", ranks: 2, ["training.steps=2"])
        let path = folder.path + "/continued"
        try FileManager.default.removeItem(atPath: path + "/toy/adapter.safetensors")
        let continued = try InProcessCommunicator.run(ranks: 3) { communicator in
            try AdaptationRun(
                recipe: recipe(cells, path, []), communicator: communicator, workspace: Workspace(threads: 1),
                methods: Self.methods, isStopRequested: { false }
            ).run().adapterDigest
        }[0]
        #expect(continued == one)

        // The file holds the decoder, which the run has moved, and gives the model back.
        let file = try AdapterFile(opening: folder.path + "/one/toy/adapter.safetensors")
        let loaded = try LoadedModel(recipe(cells, path, []).recipe, communicator: try SingleProcessCommunicator())
        let trainables = try file.trainables(in: ModelDescription(.tiny))
        let decoder = trainables.layout.entries.filter { $0.name.hasPrefix("mask_decoder.") }
        #expect(decoder.count == 120)
        let (fresh, read) = (
            try #require(loaded.adapted(by: trainables).trained),
            try #require(try loaded.adapted(opening: folder.path + "/one/toy/adapter.safetensors").trained)
        )
        let moved = decoder.filter { fresh.value($0.slot).elements != read.value($0.slot).elements }
        // The tokens and heads of masks that are not made have no gradient.
        #expect(moved.count > 60, "\(moved.count) of \(decoder.count) tensors of the decoder have moved")
    }
}
