import AdaptationMethods
import Adapters
import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// The task prompt of the official SUM code: dense embeddings and masks for each id.
@Suite struct GoldenTaskTableTests {
    private let golden: GoldenSUM
    private let adapted: AdaptedModel

    init() throws {
        golden = try GoldenSUM()
        adapted = try golden.adapted(TrainablePlan(adapters: [.init(LoRA.kind), .init(TaskTable.kind)]))
    }

    private func prompts(_ task: Int, withMasks: Bool = false) throws -> PromptBatch {
        let table = golden.table
        let labels = try table.integers("task.in.labels").compactMap(PointLabel.init(rawValue:))
        let masks = withMasks ? try table.tensor("task.in.masks").reshaped([2, golden.low, golden.low]) : nil
        var prompts = try PromptBatch(points: table.tensor("task.in.points"), labels: labels, masks: masks)
        prompts.task = task
        return prompts
    }

    /// A dense embedding of every prompt, channels first as in the file. // [n, C, g, g]
    private func dense(_ embeddings: PromptEmbeddings) -> [Float] {
        let positions = golden.sizes.img / 16 * (golden.sizes.img / 16)
        switch embeddings.dense {
        case .shared(let vector):
            return (0..<embeddings.count).flatMap { _ in
                vector.elements.flatMap { Array(repeating: $0, count: positions) }
            }
        case .perPrompt(let images):
            return (0..<embeddings.count).flatMap { prompt in
                ElementwiseKernel.transpose(
                    images.rows(prompt..<prompt + 1), rows: positions, columns: golden.sizes.ed
                ).elements
            }
        }
    }

    @Test(arguments: 0..<4) func embeddingsAndMasks(task: Int) throws {
        let (table, encoder) = (golden.table, adapted.model.promptEncoder)
        let context = adapted.context(in: golden.workspace)
        let plain = try encoder.encode(prompts(task), in: context)
        let masked = try encoder.encode(prompts(task, withMasks: true), in: context)
        for (embeddings, name) in [(plain, "dense"), (masked, "dense_mask")] {
            let expected = try table.tensor("task.out.\(task).\(name)").elements
            #expect(maximumAbsoluteError(dense(embeddings), expected) <= 1e-6, "\(name)")
        }
        expectClose(
            plain.sparse.elements, try table.tensor("task.out.sparse").elements, relativeToMaximum: 1e-6, "sparse")
        let decoded = adapted.model.decoder.decode(
            try golden.features(0), position: encoder.densePositionalEncoding, prompts: plain, masks: .multiple,
            in: context)
        for (actual, name) in [(decoded.logits, "logits"), (decoded.iou, "iou")] {
            let expected = try table.tensor("task.out.\(task).\(name)").elements
            expectClose(actual.elements, expected, relativeToMaximum: 1e-4, name)
        }
    }

    /// The encoder with LoRA, on which all else rests.
    @Test(arguments: 0..<2) func embedding(image: Int) throws {
        let features = adapted.model.encoder.encode(
            try golden.image(image), in: adapted.context(in: golden.workspace))
        expectClose(
            features.embedding.elements, try golden.features(image).embedding.elements, relativeToMaximum: 1e-4,
            "embedding")
    }

    /// A fresh table changes no bit, whatever the task.
    @Test func aFreshTableAddsNothing() throws {
        let trainables = try Trainables(
            TrainablePlan(adapters: [.init(TaskTable.kind)]), in: ModelDescription(golden.model))
        let source = TrainableSource(try golden.weights(), layout: trainables.layout)
        let fresh = AdaptedModel(
            SegmentAnythingModel(golden.model, source), trainables,
            values: trainables.initialValues(weights: source.initialValues))
        let base = PassContext(golden.workspace)
        for withMasks in [false, true] {
            let expected = dense(try fresh.model.promptEncoder.encode(prompts(0, withMasks: withMasks), in: base))
            for task in 0...TaskTable.tasks {
                let embeddings = try fresh.model.promptEncoder.encode(
                    prompts(task, withMasks: withMasks), in: fresh.context(in: golden.workspace))
                #expect(dense(embeddings) == expected, "task \(task)")
            }
        }
    }
}
