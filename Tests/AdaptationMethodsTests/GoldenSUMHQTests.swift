import AdaptationMethods
import Adapters
import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// The variant over HQ-SAM's decoder of the official SUM code: masks by task, losses and gradients of a pseudo step.
///
/// The file's id 0 has values of its own in rows that the code freezes, and so do its dense vectors. They are added here to the
/// weights that they are added to there: mask tokens, HQ token, the vector for no mask. Id 1 has its tokens as a task.
@Suite struct GoldenSUMHQTests {
    private let golden: GoldenSUM
    private let width: Int

    init() throws {
        golden = try GoldenSUM()
        width = golden.sizes.ed
    }

    private func sum(_ first: Tensor, _ second: Tensor) -> Tensor {
        Tensor(zip(first.elements, second.elements).map { $0 + $1 }, first.shape)
    }

    private func file(_ name: String) throws -> Tensor { try golden.table.tensor("hq.weights.\(name).weight") }

    /// The model for one of the file's ids, as one of Kedge's tasks.
    private func adapted(id: Int) throws -> AdaptedModel {
        let trainables = try Trainables(
            TrainablePlan(adapters: [.init(HQDecoder.kind), .init(TaskTokens.kind)]), in: ModelDescription(golden.model)
        )
        var weights = try Golden.weights(of: golden.table, SegmentAnythingModel.parameterShapes(golden.model))
        func add(_ value: Tensor, to name: String) throws {
            weights[name] = sum(try #require(weights[name]), value)
        }
        try add(file("task_prompt_embeddings.\(id)"), to: "prompt_encoder.no_mask_embed.weight")
        if id == 0 { try add(file("task_prompt_tokens.0"), to: "mask_decoder.mask_tokens.weight") }
        let values = try trainables.layout.entries.flatMap { entry -> [Float] in
            let name = String(entry.name.dropFirst("mask_decoder.".count))
            switch name {
            case "hf_token.weight":
                return id == 0
                    ? sum(try file("hf_token"), try file("hf_type_tokens.0")).elements : try file("hf_token").elements
            case "hf_type_tokens.3.weight", "task_prompt_tokens.3.weight":
                return [Float](repeating: 0, count: entry.shape.count)
            default: return try golden.table.tensor("hq.weights.\(name)").elements
            }
        }
        let source = TrainableSource(ParameterStore(weights), layout: trainables.layout)
        return AdaptedModel(
            SegmentAnythingModel(golden.model, source), trainables, values: Tensor(values, [trainables.layout.count]))
    }

    /// Image 1 with its early tokens, and the prompts of an id.
    private func inputs(_ adapted: AdaptedModel, id: Int) throws -> (features: ImageFeatures, prompts: PromptBatch) {
        let early = try golden.table.tensor("hq.in.early").rows(1..<2)
        let tap = try #require(adapted.adapters.taps.first)
        let features = ImageFeatures(
            embedding: try golden.features(1).embedding,
            taps: [.init(tap, tokens: early.reshaped([early.shape[1] * early.shape[2], early.shape[3]]))])
        var prompts = try PromptBatch(boxes: golden.table.tensor("hq.in.boxes"))
        prompts.task = id
        return (features, prompts)
    }

    @Test(arguments: [0, 1]) func masksOfEachTask(_ id: Int) throws {
        let adapted = try adapted(id: id)
        let (features, prompts) = try inputs(adapted, id: id)
        let context = adapted.context(in: golden.workspace)
        let decoded = try adapted.model.predict(features, prompts, masks: .all, in: context)
        let (count, area) = (prompts.count, golden.low * golden.low)
        let hq = try #require(decoded.adapterLogits)
        expectClose(hq.elements, try golden.table.tensor("hq.out.\(id).hq").elements, relativeToMaximum: 1e-4, "hq")
        let masks = adapted.model.decoder.configuration.multimaskOutputs + 1
        let logits = decoded.logits.elements
        func mask(_ prompt: Int, _ number: Int) -> ArraySlice<Float> {
            logits[(prompt * masks + number) * area..<(prompt * masks + number + 1) * area]
        }
        expectClose(
            (0..<count).flatMap { mask($0, 0) }, try golden.table.tensor("hq.out.\(id).sam").elements,
            relativeToMaximum: 1e-4, "sam")
        let best = DecodedMasks.mostTrusted(
            Tensor(
                (0..<count).flatMap { decoded.iou.elements[$0 * masks + 1..<($0 + 1) * masks] }, [count, masks - 1]))
        expectClose(
            (0..<count).flatMap { mask($0, 1 + best[$0]) },
            try golden.table.tensor("hq.out.\(id).sam_best_of_3").elements, relativeToMaximum: 1e-4, "best of three")
    }

    /// Where the adapter has a token its mask is the one candidate, also of an ambiguous prompt.
    @Test func theAdapterAnswers() throws {
        let adapted = try adapted(id: 1)
        let (features, prompts) = try inputs(adapted, id: 1)
        let context = adapted.context(in: golden.workspace)
        let decoded = try adapted.model.predict(
            features, prompts, masks: prompts.selection(in: context), in: context)
        #expect(decoded.candidates.elements == decoded.adapterLogits?.elements)
        #expect(decoded.candidates.elements != decoded.logits.elements)
        let point = try PromptBatch(points: Tensor([9, 9], [1, 1, 2]), labels: [.foreground])
        #expect(point.isAmbiguous && point.selection(in: context) == .single)
        #expect(point.selection(in: context.frozen) == .multiple)
    }

    /// Losses of a pseudo step with pixels of certainty above 1/2, and the gradients of all that id 0 reaches.
    @Test func aPseudoStep() throws {
        let adapted = try adapted(id: 0)
        let (features, prompts) = try inputs(adapted, id: 0)
        let context = adapted.context(in: golden.workspace)
        let loss = UncertaintyWeightedLoss()
        let canvas = try GoldenSUMRounds().canvas("pseudo", loss, threshold: 0.5)
        let pass = adapted.model.decoder.decodeForTraining(
            features, position: adapted.model.promptEncoder.densePositionalEncoding,
            prompts: try adapted.model.promptEncoder.encode(prompts, in: context), in: context)
        let hq = try #require(pass.masks.adapterLogits).reshaped([prompts.count, golden.low, golden.low])
        var dMasks = Tensor(zeros: hq.shape)
        let (values, _) = loss.addGradient(
            hq, predictedIoU: [Float](repeating: 0, count: prompts.count), on: canvas,
            share: 1 / Double(prompts.count), into: &dMasks, in: golden.workspace)
        let count = Double(values.count)
        // The file's focal loss has its weight.
        let focal = 20 * values.map(\.focal).reduce(0, +) / count
        let dice = values.map(\.dice).reduce(0, +) / count
        for (name, value) in [("focal", focal), ("dice", dice), ("total", focal + dice)] {
            let expected = Double(try golden.table.number("hq.loss.\(name)"))
            #expect(abs(value - expected) <= 1e-5 * abs(expected), "\(name): \(value), \(expected)")
        }
        var gradients = GradientBuffer(adapted.layout)
        _ = pass.backward(
            MaskGradients(
                logits: Tensor(zeros: pass.logits.shape), iou: Tensor(zeros: pass.iou.shape),
                adapterLogits: dMasks.reshaped([prompts.count, 1, golden.low, golden.low])), &gradients)
        var compared = 0
        for entry in adapted.layout.entries {
            let name = String(entry.name.dropFirst("mask_decoder.".count))
            let own = Array(gradients.values.elements[entry.range])
            guard golden.table["hq.grad.\(name)"] != nil else {
                #expect(own.allSatisfy { $0 == 0 }, "\(name)")
                continue
            }
            // The file's offset of id 0 is added to the HQ token, so both have the token's gradient.
            for file in name == "hf_token.weight" ? [name, "hf_type_tokens.0.weight"] : [name] {
                let expected = try golden.table.tensor("hq.grad.\(file)").elements
                #expect(relativeL2Error(own, expected) <= 1e-3, "\(file): \(relativeL2Error(own, expected))")
                compared += 1
            }
        }
        #expect(compared == 26, "\(compared)")
    }

    /// Offsets of a task train with it alone.
    @Test func offsetsHaveGradients() throws {
        let adapted = try adapted(id: 1)
        let context = adapted.context(in: golden.workspace)
        let (features, prompts) = try inputs(adapted, id: 1)
        let weights = TestValues.uniform([prompts.count, 1, golden.low, golden.low], "hq weights")
        func objective(_ values: Tensor) throws -> Double {
            var moved = adapted
            moved.trained?.values = values
            let decoded = try moved.model.predict(
                features, prompts, masks: .single, in: moved.context(in: golden.workspace))
            let masks = try #require(decoded.adapterLogits).elements
            return zip(masks, weights.elements).reduce(0) { $0 + Double($1.0) * Double($1.1) }
        }
        let pass = adapted.model.decoder.decodeForTraining(
            features, position: adapted.model.promptEncoder.densePositionalEncoding,
            prompts: try adapted.model.promptEncoder.encode(prompts, in: context), in: context)
        var gradients = GradientBuffer(adapted.layout)
        _ = pass.backward(
            MaskGradients(
                logits: Tensor(zeros: pass.logits.shape), iou: Tensor(zeros: pass.iou.shape), adapterLogits: weights),
            &gradients)
        let start = try #require(adapted.trained).values
        for (name, reaches) in [
            ("task_prompt_tokens.1", true), ("hf_type_tokens.1", true), ("task_prompt_tokens.2", false),
            ("hf_type_tokens.3", false),
        ] {
            let slot = try #require(adapted.layout.slot(of: "mask_decoder.\(name).weight"))
            let own = gradients.values.elements[slot.range]
            #expect(own.contains { $0 != 0 } == reaches, "\(name)")
            guard reaches else { continue }
            // Along the gradient itself, where single precision suffices.
            let norm = own.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
            let step = 1e-2
            func moved(_ sign: Double) throws -> Double {
                var values = start.elements
                for place in slot.range {
                    values[place] += Float(sign * step * Double(gradients.values.elements[place]) / norm)
                }
                return try objective(Tensor(values, start.shape))
            }
            let slope = try (moved(1) - moved(-1)) / (2 * step)
            #expect(abs(slope - norm) <= 1e-2 * norm, "\(name): \(slope), \(norm)")
        }
    }
}
