import AdaptationMethods
import Adapters
import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport

/// The training of the refinement module, on the small model of the official numbers.
@Suite struct RefinerTrainingTests {
    private let golden: GoldenSUM
    private var side: Int { golden.sizes.img }
    private var area: MaskCanvas.Area { .init(height: side * 3 / 4, width: side) }

    init() throws { golden = try GoldenSUM() }

    private func method(minimumIoU: Double) -> RefinerTraining {
        var settings = RefinerSettings()
        (settings.minimumIoU, settings.filters) = (minimumIoU, false)
        return RefinerTraining(settings)
    }

    private func adapted(_ method: RefinerTraining) throws -> AdaptedModel {
        AdaptedModel(
            golden.model, try golden.weights(), try Trainables(method.trainables, in: ModelDescription(golden.model)))
    }

    /// Three squares; the third is empty.
    private var masks: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 3 * side * side)
        for object in 0..<2 {
            for row in side / 8 + object * side / 4..<side / 3 + object * side / 4 {
                for column in side / 4..<side / 2 { bytes[(object * side + row) * side + column] = 1 }
            }
        }
        return bytes
    }

    private func example(seed: UInt64 = 1) throws -> AdaptationExample {
        var generator = SeededGenerator(seed: 9, purpose: "refined image")
        let view = Tensor((0..<side * side * 3).map { _ in Float(generator.uniform(-2, 2)) }, [side, side, 3])
        let boxes = Tensor([1, 1, 9, 9, 2, 2, 12, 12, 0, 0, 1, 1], [3, 4])
        var example = AdaptationExample(
            weak: view, strong: view, prompts: try PromptBatch(boxes: boxes), masks: masks,
            random: SeededGenerator(seed: seed, purpose: "method"))
        example.area = area
        return example
    }

    private func run(_ method: RefinerTraining, threads: Int = 1, chunk: Int = 8) throws -> (
        losses: StepLosses, gradient: [Float]
    ) {
        var context = StepContext(
            try adapted(method), decoderChunk: chunk, in: Workspace(threads: threads, fillingScratchWith: .nan))
        let losses = try method.step(try example(), in: &context)
        return (losses, context.gradients.values.elements)
    }

    @Test func pairsAreTheBestAnswersToPointsInTheObjects() throws {
        let method = method(minimumIoU: 0)
        let adapted = try adapted(method)
        let context = adapted.context(in: golden.workspace).frozen
        let features = adapted.model.encoder.encode(try example().weak, in: context)
        let uniform = [0.0, 0.5, 0.5]
        let pairs = try method.settings.pairs.pairs(
            of: masks, area: area, uniform: uniform, on: features, of: adapted.model, in: context, chunk: 2)
        #expect(!pairs.isEmpty && pairs.allSatisfy { $0.object < 2 })
        for pair in pairs {
            let (x, y) = (Int(pair.prompt.point[0]), Int(pair.prompt.point[1]))
            #expect(masks[(pair.object * side + y) * side + x] == 1, "the point lies in the object")
            // The logits are those of the best of the three answers to the point alone.
            let decoded = try adapted.model.predict(
                features,
                PromptBatch(points: Tensor(pair.prompt.point, [1, 1, 2]), labels: [.foreground]), masks: .multiple,
                in: context)
            let planes = decoded.logits.reshaped([3, golden.low, golden.low])
            let errors = (0..<3).map {
                relativeL2Error(planes.rows($0..<$0 + 1).elements, pair.prompt.logits.elements)
            }
            #expect((errors.min() ?? 1) <= 1e-5)
            let box = pair.prompt.box
            #expect(box[0] <= box[2] && box[1] <= box[3] && box[2] < Float(area.width) && box[3] < Float(area.height))
        }
        let first = try #require(pairs.first)
        #expect(first.prompt.point == [Float(side / 4), Float(side / 8)], "the first pixel of the first object")
    }

    @Test func aStepTrainsDecoderAndPrompts() throws {
        let method = method(minimumIoU: 0)
        let (losses, gradient) = try run(method)
        #expect(losses.instances > 0 && losses.isFinite && losses.parts.map(\.name) == method.lossNames)
        #expect(losses["pairs"] == Double(losses.instances))
        let layout = try adapted(method).layout
        for prefix in [
            "mask_decoder.transformer.", "prompt_encoder.mask_downscaling.", "prompt_encoder.point_embeddings.",
        ] {
            let own = layout.entries.filter { $0.name.hasPrefix(prefix) }.flatMap { gradient[$0.range] }
            #expect(own.contains { $0 != 0 } && own.allSatisfy(\.isFinite), "\(prefix)")
        }
        let again = try run(method, threads: 3)
        #expect(again.losses == losses && again.gradient == gradient)
    }

    /// An image whose answers come near no mask teaches nothing and says so.
    @Test func anImageWithoutPairsHasNoLoss() throws {
        let (losses, gradient) = try run(method(minimumIoU: 1))
        #expect(losses.instances == 0 && losses.total == 0)
        #expect(gradient.allSatisfy { $0 == 0 })
    }

    /// Refined masks do not depend on what else is refined.
    @Test func masksAreRefinedOneByOne() throws {
        let method = method(minimumIoU: 0)
        let adapted = try adapted(method)
        let context = adapted.context(in: golden.workspace)
        let features = adapted.model.encoder.encode(try example().weak, in: context.frozen)
        let prompts = (0..<3).map { mask in
            RefinementPrompt(
                logits: Tensor(
                    (0..<golden.low * golden.low).map { Float(($0 + mask) % 7) - 3 }, [golden.low, golden.low]),
                point: [Float(4 + mask), 5], box: [1, 2, 20, 18])
        }
        let all = try MaskRefinement.refined(prompts, on: features, by: adapted.model, in: context)
        #expect(all.shape == [3, golden.low, golden.low])
        for (mask, prompt) in prompts.enumerated() {
            let one = try MaskRefinement.refined([prompt], on: features, by: adapted.model, in: context)
            #expect(one.elements == all.rows(mask..<mask + 1).elements)
        }
        #expect(throws: SegmentAnythingError.self) { _ = try PromptBatch(refining: [RefinementPrompt]()) }
        let empty = RefinementPrompt(
            logits: Tensor(repeating: -1, [golden.low, golden.low]), point: nil, side: side, area: area,
            in: golden.workspace)
        #expect(empty == nil)
    }
}
