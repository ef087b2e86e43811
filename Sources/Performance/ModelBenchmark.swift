public import AdaptationMethods
public import Kernels
import Layers
public import LowRankAdaptation
public import SegmentAnything
import Tensors

/// What `kedge bench` can measure.
public enum BenchmarkSubject: String, CaseIterable, Sendable {
    /// The kernels of the model's encoder, at its sizes.
    case kernels
    /// The image encoder: the anchor's pass, the training pass and its backward.
    case encoder
    /// The mask decoder with all its prompts: forward, and forward with backward.
    case decoder
    /// One adaptation step on one image, with and without the anchor's embedding at hand.
    case step
}

/// The pieces of work of one model, on seeded input.
public struct ModelBenchmark {
    private let model: SegmentAnythingModel
    private let adapter: LoRAAdapter
    private let example: AdaptationExample
    private let method: WeSAM
    private let workspace: Workspace

    /// - Parameters:
    ///   - example: The image and prompts to work on.
    public init(
        model: SegmentAnythingModel, adapter: LoRAAdapter, example: AdaptationExample, method: WeSAM,
        workspace: Workspace
    ) {
        (self.model, self.adapter, self.example) = (model, adapter, example)
        (self.method, self.workspace) = (method, workspace)
    }

    /// An image of noise with square boxes spread over it.
    public static func example(_ model: SegmentAnythingModel, instances: Int) throws -> AdaptationExample {
        let side = model.encoder.imageSize
        func view(_ purpose: String) -> Tensor {
            var generator = SeededGenerator(seed: 1, purpose: purpose)
            return Tensor((0..<side * side * 3).map { _ in Float(generator.uniform(-2, 2)) }, [side, side, 3])
        }
        var generator = SeededGenerator(seed: 1, purpose: "benchmark boxes")
        let boxes = (0..<instances).flatMap { _ -> [Float] in
            let extent = generator.uniform(0.05, 0.25) * Double(side)
            let (x, y) = (generator.uniform(0, Double(side) - extent), generator.uniform(0, Double(side) - extent))
            return [Float(x), Float(y), Float(x + extent), Float(y + extent)]
        }
        return AdaptationExample(
            weak: view("benchmark weak view"), strong: view("benchmark strong view"),
            prompts: try PromptBatch(boxes: Tensor(boxes, [instances, 4])))
    }

    /// The pieces of a subject, in the order they are reported.
    public func pieces(_ subject: BenchmarkSubject) throws -> [Benchmark.Piece] {
        switch subject {
        case .kernels: return KernelBenchmark(model.configuration, workspace).pieces
        case .encoder: return encoderPieces()
        case .decoder: return try decoderPieces()
        case .step: return stepPieces()
        }
    }

    private func encoderPieces() -> [Benchmark.Piece] {
        let cost = EncoderCost(model.configuration.encoder)
        let (encoder, recompute) = (model.encoder, method.configuration.recompute)
        let dEmbedding = Tensor(
            repeating: 1e-3, [encoder.embeddingSide * encoder.embeddingSide, encoder.embeddingWidth])
        return [
            .init("forward, nothing kept", operations: cost.forward) {
                _ = encoder.encode(example.weak, adapter: nil, in: workspace)
            },
            .init("forward and backward, recompute \(recompute.rawValue)", operations: cost.forward + cost.backward) {
                let pass = encoder.encodeForTraining(
                    example.weak, adapter: adapter, recompute: recompute, in: workspace)
                var gradients = GradientBuffer(count: adapter.layout.count)
                pass.backward(dEmbedding, &gradients, workspace)
            },
        ]
    }

    private func decoderPieces() throws -> [Benchmark.Piece] {
        let embedding = model.encoder.encode(example.weak, adapter: nil, in: workspace)
        let prompts = example.prompts
        let position = model.promptEncoder.densePositionalEncoding
        let chunk = method.configuration.decoderChunk
        let chunks = try stride(from: 0, to: prompts.count, by: chunk).map {
            try prompts.objects($0..<min($0 + chunk, prompts.count))
        }
        return [
            .init("forward, \(prompts.count) prompts") {
                for chunk in chunks { _ = try model.logits(embedding, chunk, in: workspace) }
            },
            .init("forward and backward, \(prompts.count) prompts") {
                for chunk in chunks {
                    let pass = model.decoder.decodeForTraining(
                        embedding, position: position, prompts: try model.promptEncoder.encode(chunk, in: workspace),
                        in: workspace)
                    _ = pass.backward(
                        Tensor(repeating: 1e-3, pass.logits.shape), Tensor(repeating: 1e-3, pass.iou.shape), workspace)
                }
            },
        ]
    }

    private func stepPieces() -> [Benchmark.Piece] {
        let cost = EncoderCost(model.configuration.encoder)
        let kept = AdaptationExample(
            weak: example.weak, strong: example.strong, prompts: example.prompts, maskCount: example.maskCount,
            anchorEmbedding: model.encoder.encode(example.weak, adapter: nil, in: workspace))
        func run(_ example: AdaptationExample) throws {
            var gradients = GradientBuffer(count: adapter.layout.count)
            _ = try method.step(example, model: model, adapter: adapter, gradients: &gradients, in: workspace)
        }
        // The encoder's operations alone: the decoder and losses count as overhead.
        return [
            .init(
                "step, \(example.prompts.count) instances",
                operations: 3 * cost.forward - cost.stem + 2 * cost.backward
            ) { try run(example) },
            .init("step, anchor's embedding at hand", operations: 2 * cost.forward + 2 * cost.backward) {
                try run(kept)
            },
        ]
    }
}
