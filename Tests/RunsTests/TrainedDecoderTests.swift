import AdaptationMethods
import Adapters
import Collectives
import Datasets
import Foundation
import Kernels
import Layers
import Machine
import ModelLoading
import Recipes
import Runs
import SegmentAnything
import Tensors
import Testing
import TestSupport
import Training

// All a new method needs: its own type, and a line in a registry. This one trains the whole mask decoder besides LoRA.

/// Squared distance of the mask logits to +1 in the upper half and -1 in the lower half of the frame.
private struct HalfFrames: AdaptationMethod {
    static let name = "half-frames"
    let lossNames = ["distance"]
    let trainables = TrainablePlan(
        adapters: [.init("lora")],
        parameters: [.init("mask_decoder.", group: ParameterGroup("decoder", rateFactor: 0.1, decay: .none))])

    init(_ settings: NoSettings) {}

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

    private static let methods = MethodRegistry([HalfFrames.self])

    private func recipe(_ folder: CellFolder, _ runs: String, _ settings: [String]) throws -> ResolvedRecipe {
        try ResolvedRecipe(
            settings: [
                "model.kind=tiny", "data.root=\(folder.path)", "training.globalBatch=3", "optimizer.warmUpSteps=1",
                "optimizer.learningRate=1e-2", "prompts.maximumInstances=4", "method.name=half-frames",
                "training.steps=4", "training.evaluateEvery=0", "evaluation.before=false", "run.folder=\(runs)",
                "run.name=toy", "checkpoint.everySteps=1",
            ] + settings, methods: Self.methods)
    }

    private func run(_ recipe: ResolvedRecipe, ranks: Int, threads: Int = 1) throws -> String? {
        try InProcessCommunicator.run(ranks: ranks) { communicator in
            try AdaptationRun(
                recipe: recipe, communicator: communicator, workspace: Workspace(threads: threads),
                isStopRequested: { false }
            ).run().adapterDigest
        }[0]
    }

    /// LoRA and decoder have the same bits on any number of ranks, and after a stopped and resumed run.
    @Test func aMethodWithATrainedDecoderNeedsNoOtherFile() throws {
        let cells = try CellFolder(count: 7)
        let folder = try TemporaryFolder("trained-decoder")
        func digest(_ name: String, ranks: Int, threads: Int = 1, _ settings: [String] = []) throws -> String? {
            try run(recipe(cells, folder.path + "/" + name, settings), ranks: ranks, threads: threads)
        }
        let one = try #require(try digest("one", ranks: 1))
        #expect(try digest("two", ranks: 2) == one)
        #expect(try digest("four", ranks: 4, threads: 2) == one)
        // Stopped after two steps, resumed on a different number of ranks.
        _ = try digest("continued", ranks: 2, ["training.steps=2"])
        let path = folder.path + "/continued"
        try FileManager.default.removeItem(atPath: path + "/toy/adapter.safetensors")
        let continued = try InProcessCommunicator.run(ranks: 3) { communicator in
            try AdaptationRun(
                recipe: recipe(cells, path, []), communicator: communicator, workspace: Workspace(threads: 1),
                isStopRequested: { false }
            ).run().adapterDigest
        }[0]
        #expect(continued == one)

        // The file contains the trained decoder and restores the model.
        let file = try AdapterFile(opening: folder.path + "/one/toy/adapter.safetensors")
        let settings = try recipe(cells, path, []).recipe
        let loaded = try LoadedModel(settings.model, settings.node, communicator: try SingleProcessCommunicator())
        let trainables = try file.trainables(in: ModelDescription(.tiny))
        let decoder = trainables.layout.entries.filter { $0.name.hasPrefix("mask_decoder.") }
        #expect(decoder.count == 120)
        let (fresh, read) = (
            try #require(loaded.adapted(by: trainables).trained),
            try #require(try loaded.adapted(opening: folder.path + "/one/toy/adapter.safetensors").trained)
        )
        let moved = decoder.filter { fresh.value($0.slot).elements != read.value($0.slot).elements }
        // The tokens and heads of unused masks have no gradient.
        #expect(moved.count > 60, "\(moved.count) of \(decoder.count) tensors of the decoder have moved")
    }

    // MARK: Millions of trainable parameters

    /// A small encoder with a decoder of the published size: 4,058,340 parameters of the decoder and the LoRA matrices.
    private static let wholeDecoder: SegmentAnythingConfiguration = {
        var encoder = ImageEncoderViTConfiguration(width: 32, depth: 2, heads: 2, globalBlocks: [1])
        (encoder.imageSize, encoder.window) = (128, 3)
        return SegmentAnythingConfiguration(encoder: .viT(encoder))
    }()

    /// Two updates of eight images per step on a number of ranks: the parameters, and the bytes sent per rank and step.
    private func twoSteps(ranks: Int) throws -> (bits: [UInt32], bytesSent: [Int], parameters: Int) {
        let (images, method) = (8, HalfFrames(NoSettings()))
        let results = try InProcessCommunicator.run(ranks: ranks) { communicator -> (bits: [UInt32], bytes: Int) in
            let trainables = try Trainables(method.trainables, in: ModelDescription(Self.wholeDecoder))
            var adapted = AdaptedModel(Self.wholeDecoder, NamedNumbers(), trainables)
            let count = trainables.layout.count
            let sum = SampleOrderedSum(parameterCount: count, globalBatch: images, communicator: communicator)
            let slab = GradientSlab(parameterCount: count)
            let unit = Trainer.dealingUnit(parameterCount: count)
            let share = ShardedSampler.deal(
                Array(0..<images), nodeOfRank: Array(repeating: 0, count: ranks), unit: unit)[communicator.rank]
            var adam = Adam(
                count: sum.ownSlice.count,
                configuration: .init(
                    beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 1e-4, isWeightDecayCoupled: true))
            var bytes = 0
            for step in 0..<2 {
                slab.begin(batchSize: images)
                var records: [SampleRecord] = []
                for position in share {
                    var context = StepContext(adapted, in: Workspace(threads: 1))
                    let view = TestValues.uniform([128, 128, 3], "image \(step) \(position)")
                    let losses = try method.step(
                        AdaptationExample(
                            weak: view, strong: view, prompts: PromptBatch(boxes: Tensor([10, 20, 90, 100], [1, 4]))),
                        in: &context)
                    records.append(SampleRecord(position: position, values: [losses.total]))
                    let gradient = context.gradients.values
                    withExtendedLifetime(gradient) {
                        slab.add(UnsafeBufferPointer(start: gradient.pointer, count: count), at: position)
                    }
                }
                let before = communicator.bytesSent
                let gradient = sum.sum(of: try sum.exchange(records, slab))
                let values = try #require(adapted.trained).values
                var slice = values.rows(sum.ownSlice).elements
                adam.update(&slice, gradient: gradient, rate: 1e-3)
                var all = [Float](repeating: 0, count: count)
                try slice.withUnsafeBufferPointer { part in
                    try all.withUnsafeMutableBufferPointer { try sum.gather(slice: part, into: $0) }
                }
                bytes = communicator.bytesSent - before
                adapted.trained?.values = Tensor(all, [count])
            }
            return ((adapted.trained?.values.elements ?? []).map(\.bitPattern), bytes)
        }
        for result in results { #expect(result.bits == results[0].bits, "ranks hold different numbers") }
        return (results[0].bits, results.map(\.bytes), results[0].bits.count)
    }

    private struct NamedNumbers: ParameterSource {
        func tensor(_ name: String, _ shape: Shape) -> Tensor {
            let values = TestValues.uniform(shape.count, name)
            if shape.rank == 1 { return Tensor(values.map { name.hasSuffix("weight") ? 1 + $0 / 4 : $0 / 4 }, shape) }
            return Tensor(values.map { $0 * 1.7 / Float(shape.count / shape[0]).squareRoot() }, shape)
        }
    }

    /// The bits of LoRA and decoder are those of one rank, and four ranks send what an all-reduce sends.
    @Test(.timeLimit(.minutes(3))) func fourMillionNumbersAreExchangedAsInAnAllReduce() throws {
        let one = try twoSteps(ranks: 1)
        #expect(one.parameters > 4_058_340)
        #expect(try twoSteps(ranks: 2).bits == one.bits)
        let four = try twoSteps(ranks: 4)
        #expect(four.bits == one.bits)
        let allReduce = 2 * 3 / 4.0 * 4 * Double(one.parameters)
        for bytes in four.bytesSent {
            #expect(Double(bytes) <= 1.1 * allReduce, "\(Double(bytes) / allReduce) of an all-reduce")
            print("TrainedDecoderTests: a rank sent \(Double(bytes) / allReduce) of an all-reduce")
        }
    }
}
