import AdaptationMethods
import Adapters
import Interaction
import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport

/// The method that trains over rounds of clicks, on the small model of the official numbers.
@Suite struct InteractiveFineTuningTests {
    private let golden: GoldenSUM
    private var side: Int { golden.sizes.img }

    init() throws { golden = try GoldenSUM() }

    private func method(_ parts: InteractiveParts, rounds: Int = 4) -> InteractiveFineTuning {
        var settings = InteractiveSettings()
        (settings.trains, settings.rounds) = (parts, rounds)
        return InteractiveFineTuning(settings)
    }

    private func adapted(_ method: InteractiveFineTuning) throws -> AdaptedModel {
        AdaptedModel(
            golden.model, try golden.weights(),
            try Trainables(method.trainables, in: ModelDescription(golden.model), AdapterOptions(rank: 2, seed: 4)))
    }

    /// Two squares on an image that fills three quarters of the frame's height.
    private func example(seed: UInt64, masks: Bool = true) throws -> AdaptationExample {
        var generator = SeededGenerator(seed: 9, purpose: "interactive image")
        let view = Tensor((0..<side * side * 3).map { _ in Float(generator.uniform(-2, 2)) }, [side, side, 3])
        var bytes = [UInt8](repeating: 0, count: 2 * side * side)
        for object in 0..<2 {
            for row in side / 8 + object * side / 4..<side / 3 + object * side / 4 {
                for column in side / 4..<side / 2 { bytes[(object * side + row) * side + column] = 1 }
            }
        }
        let boxes = Tensor([1, 1, 9, 9, 2, 2, 12, 12], [2, 4])
        var example = AdaptationExample(
            weak: view, strong: view, prompts: try PromptBatch(boxes: boxes), masks: masks ? bytes : nil,
            random: SeededGenerator(seed: seed, purpose: "method"))
        example.area = .init(height: side * 3 / 4, width: side)
        example.task = TaskKind.entity.id
        return example
    }

    private func run(
        _ method: InteractiveFineTuning, seed: UInt64, chunk: Int = 8, threads: Int = 1, kept: ImageFeatures? = nil
    ) throws -> (losses: StepLosses, gradient: [Float]) {
        let adapted = try adapted(method)
        var context = StepContext(
            adapted, decoderChunk: chunk, anchors: AnchorFeatures(kept: kept),
            in: Workspace(threads: threads, fillingScratchWith: .nan))
        let losses = try method.step(try example(seed: seed), in: &context)
        return (losses, context.gradients.values.elements)
    }

    @Test(arguments: InteractiveParts.allCases) func aStepGivesGradientsToAllThatTrains(_ parts: InteractiveParts)
        throws
    {
        let method = method(parts)
        let (losses, gradient) = try run(method, seed: 1)
        #expect(losses.isFinite && losses.instances == 2 && losses.parts.map(\.name) == method.lossNames)
        #expect(losses.parts.allSatisfy { $0.value > 0 })
        #expect((losses.parts.last?.weight == 0) == (parts == .hq), "SAM's own IoU head does not train with hq")
        let layout = try adapted(method).layout
        #expect(layout.entries.contains { $0.name.hasPrefix("image_encoder.") } == [.light, .full].contains(parts))
        guard parts != .hq else { return try checkHQ(layout, gradient) }
        for prefix in [
            "mask_decoder.transformer.", "mask_decoder.iou_prediction_head.", "prompt_encoder.mask_downscaling.",
        ] + (parts == .full ? ["image_encoder.pos_embed", "image_encoder.patch_embed.", "image_encoder.neck.2."] : []) {
            let own = layout.entries.filter { $0.name.hasPrefix(prefix) }.flatMap { gradient[$0.range] }
            #expect(own.contains { $0 != 0 } && own.allSatisfy(\.isFinite), "\(prefix)")
        }
        // The vector of the named task alone.
        for task in 1...TaskTable.tasks {
            let slot = try #require(layout.slot(of: TaskTable.name(of: task)))
            #expect(gradient[slot.range].contains { $0 != 0 } == (task == TaskKind.entity.id), "task \(task)")
        }
    }

    /// HQ-SAM's token and branches, and the offsets of the named task alone.
    private func checkHQ(_ layout: ParameterLayout, _ gradient: [Float]) throws {
        #expect(layout.entries.allSatisfy { $0.group.rateFactor == InteractiveSettings().adapterRate })
        for entry in layout.entries {
            let isOfAnotherTask =
                entry.name.contains("_tokens.") && !entry.name.contains("_tokens.\(TaskKind.entity.id).")
            #expect(gradient[entry.range].contains { $0 != 0 } != isOfAnotherTask, "\(entry.name)")
        }
    }

    @Test(arguments: InteractiveParts.allCases) func theSameSeedGivesTheSameBits(_ parts: InteractiveParts) throws {
        let method = method(parts)
        let first = try run(method, seed: 1)
        let again = try run(method, seed: 1, threads: 3)
        #expect(first.losses == again.losses && first.gradient == again.gradient)
        var different = 0
        for seed: UInt64 in 2...5 where try run(method, seed: seed).losses != first.losses { different += 1 }
        #expect(different >= 3, "other clicks give other losses")
    }

    /// Features that a node has kept are those of the frozen encoder.
    @Test func keptFeaturesChangeNothing() throws {
        let method = method(.decoder)
        let adapted = try adapted(method)
        let features = adapted.model.encoder.encode(
            try example(seed: 1).weak, in: adapted.context(in: Workspace(threads: 1)).frozen)
        let (own, kept) = (try run(method, seed: 1), try run(method, seed: 1, kept: features))
        #expect(own.losses == kept.losses && own.gradient == kept.gradient)
    }

    /// Objects of one image in chunks have the same random numbers, so only rounding differs.
    @Test func chunksHaveTheSameClicks() throws {
        let method = method(.decoder, rounds: 2)
        for seed: UInt64 in 1...4 {
            let (whole, parts) = (try run(method, seed: seed), try run(method, seed: seed, chunk: 1))
            #expect(abs(whole.losses.total - parts.losses.total) <= 1e-4 * whole.losses.total, "seed \(seed)")
            #expect(relativeL2Error(parts.gradient, whole.gradient) <= 1e-3, "seed \(seed)")
        }
    }

    @Test func masksAreNeeded() throws {
        let method = method(.light)
        var context = StepContext(try adapted(method), in: Workspace(threads: 1))
        let error = #expect(throws: AdaptationMethodError.self) {
            _ = try method.step(try example(seed: 1, masks: false), in: &context)
        }
        #expect(error?.description.contains("needs the masks of all 2 objects") == true, "\(error as Any)")
    }
}
