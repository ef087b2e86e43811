import AdaptationMethods
import Adapters
import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// Training SAM's own mask decoder against the official code: logits, points, losses and gradients of one batch.
@Suite struct GoldenDecoderTuningTests {
    @Test func oneOfficialBatch() throws {
        let golden = try GoldenMoDA()
        let kinds = try golden.table.integers("train.in.prompt_kind")
        let description = ModelDescription(golden.model.configuration)
        let trainables = try Trainables(DecoderTuning().trainables, in: description)
        let weights = try Golden.weights(
            of: golden.table, SegmentAnythingModel.parameterShapes(golden.model.configuration))
        let adapted = AdaptedModel(golden.model.configuration, ParameterStore(weights), trainables)
        let context = adapted.context(in: golden.workspace)
        let loss = PointSampledLoss(pointCount: golden.configuration.num_points)
        let share = 1 / Double(golden.batch)
        var gradients = GradientBuffer(adapted.layout)
        var (crossEntropy, dice) = (0.0, 0.0)
        for index in 0..<golden.batch {
            let own = index..<index + 1
            let features = adapted.model.encoder.encode(try golden.image(index), in: context)
            let prompt = try adapted.model.promptEncoder.encode(
                try golden.prompt(index, kind: kinds[index]), in: context)
            let decoded = adapted.model.decoder.decodeForTraining(
                features, position: adapted.model.promptEncoder.densePositionalEncoding, prompts: prompt, in: context)
            let masks = decoded.logits.reshaped([1, golden.low, golden.low])
            expectClose(
                masks.elements, try golden.table.tensor("dectune.logits").rows(own).elements, "dectune.logits \(index)")
            let points = loss.points(masks, try golden.draws("dectune", index), in: golden.workspace)
            expectSamePoints(points, try golden.table.tensor("dectune.points").rows(own), "dectune \(index)")
            var dMasks = Tensor(zeros: masks.shape)
            let values = loss(
                masks, target: try golden.target(index), at: points, weights: (share, share), addingTo: &dMasks,
                in: golden.workspace)
            crossEntropy += share * values.crossEntropy
            dice += share * values.dice
            _ = decoded.backward(
                MaskGradients(
                    answer: dMasks.reshaped(decoded.logits.shape), iou: Tensor(zeros: decoded.iou.shape),
                    of: decoded.masks), &gradients)
        }
        for (name, value) in [("bce", crossEntropy), ("dice", dice)] {
            let expected = Double(try golden.table.number("dectune.loss.\(name)"))
            #expect(abs(value - expected) <= 1e-5 * abs(expected), "dectune \(name): \(value), \(expected)")
        }
        let names = golden.table.names.filter { $0.hasPrefix("dectune.grad.") }
        #expect(names.count > 50)
        for name in names {
            let slot = try #require(adapted.layout.slot(of: "mask_decoder." + name.dropFirst("dectune.grad.".count)))
            expectRelativeL2(
                gradients.values.rows(slot.range).reshaped(slot.shape), try golden.table.tensor(name), atMost: 3e-3,
                name)
        }
    }
}
