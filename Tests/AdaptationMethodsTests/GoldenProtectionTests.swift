import AdaptationMethods
import Adapters
import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// Two official steps each of learning without forgetting and of elastic weight consolidation over HQ-SAM's decoder.
@Suite struct GoldenProtectionTests {
    private func expectLoss(_ value: Double, _ golden: GoldenMoDA, _ name: String) throws {
        let expected = Double(try golden.table.number(name))
        #expect(abs(value - expected) <= 1e-5 * abs(expected), "\(name): \(value), \(expected)")
    }

    @Test func distillationFromFormerMasks() throws {
        let golden = try GoldenMoDA()
        let kinds = try golden.table.integers("train.in.prompt_kind")
        var adapted = try golden.adapted()
        let former = try golden.adapted("lwf.teacher")
        let start = try #require(adapted.trained).values
        let distillation = Distillation(
            from: try #require(former.trained), weight: golden.configuration.lwf_weight / Double(golden.batch))
        let loss = PointSampledLoss(pointCount: golden.configuration.num_points)
        var optimizer = DoubleAdam(start.elements.map(Double.init), rate: golden.configuration.lr)
        for step in 0..<2 {
            let prefix = "lwf.step\(step)"
            var (crossEntropy, dice) = (0.0, 0.0)
            let batch = try GoldenHQDecoderTests.batch(golden, adapted, prefix, kinds: kinds) {
                index, logits, dLogits in
                let context = former.context(in: golden.workspace)
                let features = golden.model.encoder.encode(try golden.image(index), in: context)
                let decoded = try golden.model.predict(
                    features, try golden.prompt(index, kind: kinds[index]), masks: .single, in: context)
                expectClose(
                    decoded.answer.elements, try golden.table.tensor("lwf.teacher_hq").rows(index..<index + 1).elements,
                    "former masks \(index)")
                let draws = try golden.draws(prefix, index, ("distill_candidates", "distill_random"))
                let points = loss.points(logits, draws, in: golden.workspace)
                expectSamePoints(
                    points, try golden.table.tensor("\(prefix).distill_points").rows(index..<index + 1),
                    "\(prefix) \(index)")
                let values = distillation.losses(
                    logits, former: decoded.answer.reshaped(logits.shape), at: points, loss, addingTo: &dLogits,
                    in: golden.workspace)
                crossEntropy += values.crossEntropy / Double(golden.batch)
                dice += values.dice / Double(golden.batch)
            }
            let task = batch.crossEntropy + batch.dice
            try expectLoss(task, golden, "\(prefix).loss.task")
            try expectLoss(crossEntropy, golden, "\(prefix).loss.distill_bce")
            try expectLoss(dice, golden, "\(prefix).loss.distill_dice")
            try expectLoss(
                task + golden.configuration.lwf_weight * (crossEntropy + dice), golden, "\(prefix).loss.total")
            if step == 0 {
                try GoldenHQDecoderTests.expectGradients(batch.gradient, golden, adapted.layout, "\(prefix).grad")
            }
            optimizer.update(batch.gradient.elements)
            adapted.trained?.values = Tensor(optimizer.values.map(Float.init), start.shape)
        }
        try GoldenHQDecoderTests.expectValues(
            optimizer.values.map(Float.init), after: start, golden, adapted.layout, "lwf.step1.after")
    }

    @Test func elasticWeights() throws {
        let golden = try GoldenMoDA()
        var adapted = try golden.adapted()
        let former = try #require(adapted.trained).values
        var information = FisherInformation(count: former.count)
        for batch in 0..<2 {
            let prefix = "ewc.fisher\(batch)"
            let kinds = try golden.table.integers("\(prefix).in.prompt_kind")
            information.add(
                batchGradient: try GoldenHQDecoderTests.batch(golden, adapted, prefix, kinds: kinds).gradient.elements)
        }
        let importance = Tensor(information.values, [former.count])
        try GoldenHQDecoderTests.expectGradients(importance, golden, adapted.layout, "ewc.fisher", atMost: 3e-3)

        let penalty = ElasticPenalty(
            former: former, importance: importance, weight: golden.configuration.ewc_weight)
        let start = Tensor(try golden.values("ewc.start", adapted.layout), former.shape)
        let kinds = try golden.table.integers("train.in.prompt_kind")
        var optimizer = DoubleAdam(start.elements.map(Double.init), rate: golden.configuration.lr)
        for step in 0..<2 {
            adapted.trained?.values = Tensor(optimizer.values.map(Float.init), start.shape)
            let prefix = "ewc.step\(step)"
            let batch = try GoldenHQDecoderTests.batch(golden, adapted, prefix, kinds: kinds)
            let values = try #require(adapted.trained).values
            let (task, distance) = (batch.crossEntropy + batch.dice, penalty.value(at: values))
            try expectLoss(task, golden, "\(prefix).loss.task")
            try expectLoss(distance, golden, "\(prefix).penalty")
            try expectLoss(task + penalty.weight * distance, golden, "\(prefix).loss.total")
            var gradient = batch.gradient.elements
            let half = gradient.count / 2
            for range in [0..<half, half..<gradient.count] {
                var slice = Array(gradient[range])
                penalty.addGradient(at: values, of: range, to: &slice)
                gradient.replaceSubrange(range, with: slice)
            }
            if step == 0 {
                try GoldenHQDecoderTests.expectGradients(
                    Tensor(gradient, former.shape), golden, adapted.layout, "\(prefix).grad")
            }
            optimizer.update(gradient)
        }
        try GoldenHQDecoderTests.expectValues(
            optimizer.values.map(Float.init), after: start, golden, adapted.layout, "ewc.step1.after")
    }
}
