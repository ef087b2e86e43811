import AdaptationMethods
import Adapters
import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// The refinement module of SUM: another decoder and prompt encoder over the base model's embedding, with mask, box and
/// point together.
@Suite struct GoldenSUMRefinerTests {
    private let golden: GoldenSUM
    private let adapted: AdaptedModel

    init() throws {
        golden = try GoldenSUM()
        let plan = TrainablePlan(
            adapters: [],
            parameters: [
                .init("prompt_encoder.", group: ParameterGroup("prompts")),
                .init("mask_decoder.", group: ParameterGroup("decoder")),
            ])
        let trainables = try Trainables(plan, in: ModelDescription(golden.model))
        let source = TrainableSource(try golden.weights(replacedBelow: "refiner"), layout: trainables.layout)
        adapted = AdaptedModel(
            SegmentAnythingModel(golden.model, source), trainables,
            values: trainables.initialValues(weights: source.initialValues))
    }

    private func prompts() throws -> PromptBatch {
        let labels = try golden.table.integers("refine.in.labels").compactMap(PointLabel.init(rawValue:))
        return try PromptBatch(
            boxes: golden.table.tensor("refine.in.boxes"), points: golden.table.tensor("refine.in.points"),
            labels: labels, masks: golden.table.tensor("refine.in.mask_logits").reshaped([4, golden.low, golden.low]))
    }

    @Test func embeddingsAndMasks() throws {
        let context = adapted.context(in: golden.workspace)
        let embeddings = try adapted.model.promptEncoder.encode(prompts(), in: context)
        let table = golden.table
        expectClose(
            embeddings.sparse.elements, try table.tensor("refine.out.sparse").elements, relativeToMaximum: 1e-5,
            "sparse")
        for (selection, suffix) in [(MaskSelection.single, ""), (.multiple, "_multi")] {
            let decoded = adapted.model.decoder.decode(
                try golden.features(0), position: adapted.model.promptEncoder.densePositionalEncoding,
                prompts: embeddings, masks: selection, in: context)
            expectClose(
                decoded.logits.elements, try table.tensor("refine.out.logits\(suffix)").elements,
                relativeToMaximum: 1e-4, "logits\(suffix)")
            expectClose(
                decoded.iou.elements, try table.tensor("refine.out.iou\(suffix)").elements, relativeToMaximum: 1e-4,
                "IoU\(suffix)")
            guard selection == .single else { continue }
            let low = golden.low
            let map = UncertaintyMap(
                logits: try table.tensor("refine.in.mask_logits").reshaped([4, low, low]),
                refined: decoded.logits.reshaped([4, low, low]))
            expectClose(
                map.uncertainty.elements, try table.tensor("refine.out.u").elements, relativeToMaximum: 1e-4, "u")
        }
    }

    @Test func lossesAndGradients() throws {
        let (table, area, side) = (golden.table, golden.area, golden.sizes.img)
        var training = InteractiveTraining()
        training.rounds = 1
        let bytes = try table.bytes("refine.in.target")
        var target = [Float](repeating: 1, count: 4 * side * side)
        for place in bytes.indices {
            let (plane, pixel) = place.quotientAndRemainder(dividingBy: area.pixels)
            target[plane * side * side + pixel / area.width * side + pixel % area.width] = bytes[place] == 0 ? 0 : 1
        }
        let canvas = training.loss.canvas(.values(Tensor(target, [4, side, side])), side: side, area: area)
        var context = StepContext(adapted, in: golden.workspace)
        let round = try training.train(
            .init(start: prompts(), canvas: canvas, total: 4), on: golden.features(0),
            next: { _, carried in (carried, nil) }, in: &context
        ).rounds[0]
        for (name, values) in [
            ("focal", round.values.map(\.focal)), ("dice", round.values.map(\.dice)), ("iou", round.values.map(\.iou)),
        ] {
            let expected = try table.tensor("refine.loss.\(name)").elements.map(Double.init)
            for (value, exact) in zip(values, expected) {
                let limit: Double = (name == "iou" ? 1e-3 : 1e-5) * exact + 1e-9
                #expect(abs(value - exact) <= limit, "\(name): \(value), \(exact)")
            }
        }
        let all = context.gradients.values.elements
        let largest = all.map(abs).max() ?? 0
        var compared = 0
        for entry in adapted.layout.entries {
            let (own, expected) = (Array(all[entry.range]), try table.tensor("refine.grad.\(entry.name)").elements)
            compared += 1
            if entry.name.hasSuffix("k_proj.bias") || expected.allSatisfy({ $0 == 0 }) {
                #expect(maximumAbsoluteError(own, expected) <= 1e-5 * largest, "\(entry.name)")
            } else {
                #expect(relativeL2Error(own, expected) <= 1e-3, "\(entry.name)")
            }
        }
        #expect(compared > 120)
    }
}
