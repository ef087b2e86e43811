import AdaptationMethods
import Adapters
import Layers
import Tensors
import Testing
import TestSupport
import WeightFiles

/// Two steps of AdamW with layer-wise decay on the mean of a human and a pseudo gradient, of the official SUM code.
@Suite struct GoldenSUMOptimizerTests {
    @Test func twoSteps() throws {
        var rounds = try GoldenSUMRounds()
        let (golden, layout) = (rounds.golden, rounds.adapted.layout)
        let configuration = golden.configuration
        var adam = Adam(
            count: layout.count,
            configuration: .init(
                beta1: 0.9, beta2: 0.999, epsilon: configuration.eps, weightDecay: configuration.weight_decay,
                isWeightDecayCoupled: false))
        var values = try #require(rounds.adapted.trained?.values.elements)
        for (step, limit) in [(1, 0.05), (2, 0.1)] {
            let parts = try ["human", "pseudo"].map { kind in
                let (done, _, gradients) = try rounds.train(kind, carrying: step == 1 ? "train" : "train.step2")
                let losses = done.flatMap { round in round.values.map { rounds.training.loss.total($0) } }
                let total = losses.reduce(0, +) / Double(losses.count)
                let expected = Double(try golden.table.number("train.step\(step).\(kind).loss.total"))
                #expect(abs(total - expected) <= 1e-3 * expected, "\(kind) in step \(step): \(total), \(expected)")
                return gradients.values.elements
            }
            let before = values
            adam.update(
                &values, gradient: zip(parts[0], parts[1]).map { ($0 + $1) / 2 }, rate: configuration.lr,
                groups: layout.groups(in: 0..<layout.count))
            var compared = 0
            for entry in layout.entries where !entry.name.hasSuffix("k_proj.bias") {
                let name = golden.short(entry.name)
                let expected = try golden.table.tensor("optim.step\(step).\(name)").elements
                let own = Array(values[entry.range])
                #expect(
                    maximumAbsoluteError(own, expected) <= Float(limit * configuration.lr), "\(name) after \(step)")
                compared += 1
                guard step == 1 else { continue }
                let start = Array(before[entry.range])
                let (update, reference) = (zip(own, start).map { $0 - $1 }, zip(expected, start).map { $0 - $1 })
                guard reference.contains(where: { $0 != 0 }) else {
                    #expect(update.allSatisfy { $0 == 0 }, "\(name)")
                    continue
                }
                #expect(relativeL2Error(update, reference) <= 1e-2, "update of \(name)")
            }
            #expect(compared > 140)
            rounds.adapted.trained?.values = Tensor(values, [layout.count])
        }
    }

    /// LoRA of the last layer has the rate times the factor, of the first times its power; biases and tokens do not decay.
    @Test func groupsOfALayout() throws {
        let layout = try GoldenSUMRounds().adapted.layout
        func group(_ name: String) -> ParameterGroup? { layout.entries.first { $0.name == name }?.group }
        let rates = (0..<4).map { group("image_encoder.blocks.\($0).attn.qkv.linear_a_q.weight")?.rateFactor ?? 0 }
        for (rate, exact) in zip(rates, [0.4096, 0.512, 0.64, 0.8]) { #expect(abs(rate - exact) < 1e-12) }
        #expect(group("mask_decoder.iou_token.weight")?.decay == ParameterGroup.Decay.none)
        #expect(group("prompt_encoder.point_embeddings.0.weight")?.decay == ParameterGroup.Decay.none)
        #expect(group("mask_decoder.transformer.norm_final_attn.weight")?.decay == ParameterGroup.Decay.none)
        let product = group("mask_decoder.transformer.layers.0.mlp.lin1.weight")
        #expect(product?.decay == .asConfigured && product?.rateFactor == 1)
    }
}
