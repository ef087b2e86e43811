public import AdaptationMethods
public import Adapters
public import Kernels
import Layers
public import Planning
public import SegmentAnything
import Tensors

/// The subjects of `kedge bench`.
public enum BenchmarkSubject: String, CaseIterable, Sendable {
    /// The kernels of the model's encoder, at its sizes.
    case kernels
    /// The image encoder: the anchor's pass, the training pass and its backward.
    case encoder
    /// The mask decoder with all prompts: forward, and forward with backward.
    case decoder
    /// One step of a method on one image; if the method has an anchor, with its features computed and stored.
    case step
    /// What a router of domains adds to a segmentation.
    case router
}

/// The pieces of work of one model, on seeded input.
public struct ModelBenchmark {
    private let adapted: AdaptedModel
    private let example: AdaptationExample
    private let request: StepRequest
    private let workspace: Workspace
    private let allGlobal: SegmentAnythingModel?

    /// - Parameters:
    ///   - adapted: The model with the method's trainable parameters.
    ///   - example: The image and prompts to work on.
    ///   - request: The method and the settings of its passes.
    ///   - allGlobal: For the subject `router`: the model with global attention in every block, if it has that form.
    public init(
        adapted: AdaptedModel, example: AdaptationExample, request: StepRequest,
        allGlobal: SegmentAnythingModel? = nil, workspace: Workspace
    ) {
        (self.adapted, self.example, self.allGlobal) = (adapted, example, allGlobal)
        (self.request, self.workspace) = (request, workspace)
    }

    /// A noise image covered with square boxes, which also serve as true masks if the method needs them.
    public static func example(
        _ model: SegmentAnythingModel, instances: Int, needs: ExampleNeeds
    ) throws -> AdaptationExample {
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
        let masks = needs.masks ? masks(of: boxes, side: side) : nil
        let isJittered = needs.view == .jittered
        var example = AdaptationExample(
            weak: view("benchmark weak view"), strong: view("benchmark strong view"),
            prompts: try PromptBatch(boxes: Tensor(boxes, [instances, 4])), masks: isJittered ? nil : masks)
        if needs.maps, let masks {
            // Every fourth pixel of the masks, doubted a little everywhere.
            let low = 4 * model.encoder.embeddingSide
            let values = (0..<instances * low * low).map { place -> Float in
                let (row, column) = (place / low, place % low)
                return masks[(row * side / low) * side + column * side / low] == 0 ? 0.1 : 0.9
            }
            let own = Tensor(values, [instances, low, low])
            example.pseudoMasks = PseudoMasks(
                probability: own, refined: Tensor(values.map { 1.1 * $0 - 0.05 }, own.shape))
        }
        if isJittered { example.softMasks = masks.map { Tensor($0.map(Float.init), [instances, side, side]) } }
        return example
    }

    private static func masks(of boxes: [Float], side: Int) -> [UInt8] {
        var masks = [UInt8](repeating: 0, count: boxes.count / 4 * side * side)
        for instance in 0..<boxes.count / 4 {
            let box = boxes[4 * instance..<4 * instance + 4].map { Int($0) }
            for y in box[1]..<box[3] {
                let row = (instance * side + y) * side
                for x in box[0]..<box[2] { masks[row + x] = 1 }
            }
        }
        return masks
    }

    /// The pieces of a subject, in the order of the report.
    public func pieces(_ subject: BenchmarkSubject) throws -> [Benchmark.Piece] {
        switch subject {
        case .kernels: return KernelBenchmark(model.configuration, workspace).pieces
        case .encoder: return encoderPieces()
        case .decoder: return try decoderPieces()
        case .step: return try stepPieces()
        case .router:
            return try RouterBenchmark(
                model, allGlobal: allGlobal, example: example, decoderChunk: request.decoderChunk, in: workspace
            ).pieces()
        }
    }

    private var model: SegmentAnythingModel { adapted.model }
    private var context: PassContext { adapted.context(in: workspace, recompute: request.recompute) }

    private func encoderPieces() -> [Benchmark.Piece] {
        let cost = EncoderCost(model.configuration.encoder)
        let (encoder, context) = (model.encoder, context)
        let dEmbedding = Tensor(
            repeating: 1e-3, [encoder.embeddingSide * encoder.embeddingSide, encoder.embeddingWidth])
        return [
            .init("forward, nothing kept", operations: cost.forward) {
                _ = encoder.encode(example.weak, in: context.frozen)
            },
            .init(
                "forward and backward, recompute \(request.recompute.rawValue)",
                operations: cost.forward + cost.backward
            ) {
                let pass = encoder.encodeForTraining(example.weak, in: context)
                var gradients = GradientBuffer(adapted.layout)
                pass.backward(dEmbedding, &gradients)
            },
        ]
    }

    private func decoderPieces() throws -> [Benchmark.Piece] {
        let frozen = context.frozen
        let features = model.encoder.encode(example.weak, in: frozen)
        let prompts = example.prompts
        let position = model.promptEncoder.densePositionalEncoding
        let chunks = try stride(from: 0, to: prompts.count, by: request.decoderChunk).map {
            try prompts.objects($0..<min($0 + request.decoderChunk, prompts.count))
        }
        return [
            .init("forward, \(prompts.count) prompts") {
                for chunk in chunks { _ = try model.logits(features, chunk, in: frozen) }
            },
            .init("forward and backward, \(prompts.count) prompts") {
                for chunk in chunks {
                    let pass = model.decoder.decodeForTraining(
                        features, position: position, prompts: try model.promptEncoder.encode(chunk, in: frozen),
                        in: frozen)
                    var gradients = GradientBuffer(count: 0)
                    _ = pass.backward(
                        MaskGradients(
                            logits: Tensor(repeating: 1e-3, pass.logits.shape),
                            iou: Tensor(repeating: 1e-3, pass.iou.shape)), &gradients)
                }
            },
        ]
    }

    private func stepPieces() throws -> [Benchmark.Piece] {
        func piece(_ name: String, keepsAnchor: Bool) throws -> Benchmark.Piece {
            let kept = keepsAnchor ? model.encoder.encode(example.weak, in: context.frozen) : nil
            let rehearsal = try StepRehearsal(request, keepsAnchor: keepsAnchor)
            // Counts only the encoder's operations: decoder and losses count as overhead.
            let cost = StepCost(model.configuration, rehearsal, recompute: request.recompute)
            return .init(name, operations: cost.encoder) {
                var step = StepContext(
                    adapted, decoderChunk: request.decoderChunk, recompute: request.recompute,
                    anchors: AnchorFeatures(kept: kept), in: workspace)
                _ = try request.method.step(example, in: &step)
            }
        }
        let whole = try piece("step, \(example.prompts.count) instances", keepsAnchor: false)
        guard request.method.needs.anchor else { return [whole] }
        return [whole, try piece("step, anchor's features kept", keepsAnchor: true)]
    }
}
