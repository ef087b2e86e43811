import AdaptationMethods
import Adapters
import Foundation
import Interaction
import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// Seven rounds of prompts and the gradients of everything that trains, of the official SUM code.
@Suite struct GoldenSUMRoundTests {
    private let golden: GoldenSUM
    private let adapted: AdaptedModel
    private var training = InteractiveTraining()

    init() throws {
        golden = try GoldenSUM()
        adapted = try golden.adapted(
            TrainablePlan(
                adapters: [.init(LoRA.kind), .init(TaskTable.kind)],
                parameters: [
                    .init("prompt_encoder.", group: ParameterGroup("prompts")),
                    .init("mask_decoder.", group: ParameterGroup("decoder")),
                ]))
        training.rounds = golden.configuration.rounds
        training.loss.overlapThreshold = golden.configuration.theta
    }

    /// Rows and columns of the image's part, padded to the square. // [n, 1, height, width] -> [n, side, side]
    private func padded(_ values: [Float]) -> Tensor {
        let (area, side) = (golden.area, golden.sizes.img)
        var planes: [Float] = []
        for plane in 0..<values.count / area.pixels {
            for row in 0..<area.height {
                let start = plane * area.pixels + row * area.width
                planes += values[start..<start + area.width]
                planes += [Float](repeating: 1, count: side - area.width)
            }
            planes += [Float](repeating: 1, count: (side - area.height) * side)
        }
        return Tensor(planes, [planes.count / side / side, side, side])
    }

    private func objects(_ kind: String) throws -> InteractiveTraining.Objects {
        let table = golden.table
        let target = padded(try table.bytes("train.\(kind).in.target").map { $0 == 0 ? 0 : 1 })
        var canvas = training.loss.canvas(.values(target), side: golden.sizes.img, area: golden.area)
        var start: PromptBatch
        if kind == "human" {
            start = try PromptBatch(boxes: table.tensor("train.human.in.box"))
            start.task = 1
        } else {
            canvas.weights = PixelWeights(
                values: padded(try table.tensor("train.pseudo.in.u").elements.map { 1 - $0 }),
                overlapThreshold: golden.configuration.theta)
            let first = try clicks(kind, 1)
            start = try PromptBatch(
                points: Tensor(first.flatMap { [Float($0.x), Float($0.y)] }, [first.count, 1, 2]),
                labels: first.map { $0.isForeground ? .foreground : .background })
        }
        return .init(start: start, canvas: canvas, total: start.count)
    }

    /// The clicks that the file adds in a round, from 1.
    private func clicks(_ kind: String, _ round: Int) throws -> [Click] {
        let places = try golden.table.tensor("train.\(kind).round\(round).point").elements
        let labels = try golden.table.integers("train.\(kind).round\(round).label")
        return labels.indices.map {
            Click(x: Int(places[2 * $0]), y: Int(places[2 * $0 + 1]), isForeground: labels[$0] == 1)
        }
    }

    /// The rounds on the encoder's features, each fed with the file's carried logits, or with its own.
    private func train(_ kind: String, isFreeRunning: Bool) throws -> (
        rounds: [InteractiveTraining.Round], embedding: Tensor, gradients: GradientBuffer
    ) {
        var context = StepContext(adapted, in: golden.workspace)
        let pass = adapted.model.encoder.encodeForTraining(
            try golden.image(kind == "human" ? 0 : 1), in: context.pass)
        let (dFeatures, rounds) = try training.train(
            try objects(kind), on: pass.features,
            next: { round, carried in
                let stored = try golden.table.tensor("train.\(kind).round\(round).out.carry")
                return (
                    isFreeRunning ? carried : stored.reshaped(carried.shape),
                    round + 1 < training.rounds ? try clicks(kind, round + 1) : nil
                )
            }, in: &context)
        pass.backward(dFeatures, &context.gradients)
        return (rounds, dFeatures.embedding, context.gradients)
    }

    @Test(arguments: ["human", "pseudo"]) func lossesOfEveryRound(_ kind: String) throws {
        let rounds = try train(kind, isFreeRunning: false).rounds
        var total = 0.0
        for (index, round) in rounds.enumerated() {
            let name = "train.\(kind).round\(index + 1)"
            expectClose(
                round.logits.elements, try golden.table.tensor(name + ".out.logits").elements,
                relativeToMaximum: 1e-4, name)
            expectClose(
                round.iou.elements, try golden.table.tensor(name + ".out.iou").elements, relativeToMaximum: 1e-4, name)
            #expect(round.trained == (try golden.table.integers(name + ".out.trained")), "\(name)")
            #expect(round.carried == (try golden.table.integers(name + ".out.carried")), "\(name)")
            try expect(round.values.map(\.focal), "\(name).loss.focal", within: 1e-5)
            try expect(round.values.map(\.dice), "\(name).loss.dice", within: 1e-5)
            try expect(round.values.map(\.iou), "\(name).loss.iou", within: 1e-3)
            let losses = round.values.map { training.loss.total($0) }
            total += losses.reduce(0, +) / Double(losses.count)
        }
        let expected = Double(try golden.table.number("train.step1.\(kind).loss.total"))
        let mean = total / Double(rounds.count)
        #expect(abs(mean - expected) <= 1e-4 * expected)
    }

    private func expect(_ values: [Double], _ name: String, within tolerance: Double) throws {
        let expected = try golden.table.tensor(name).elements.map(Double.init)
        for (value, exact) in zip(values, expected) {
            let (error, limit): (Double, Double) = (abs(value - exact), tolerance * abs(exact) + 1e-9)
            #expect(error <= limit, "\(name): \(value) against \(exact)")
        }
    }

    @Test(arguments: ["human", "pseudo"]) func roundsThatRunFreely(_ kind: String) throws {
        for (index, round) in try train(kind, isFreeRunning: true).rounds.enumerated() {
            let name = "train.\(kind).round\(index + 1).out.logits"
            expectClose(
                round.logits.elements, try golden.table.tensor(name).elements, relativeToMaximum: 1e-4, name)
        }
    }

    @Test(arguments: ["human", "pseudo"]) func gradientsOfAllThatTrains(_ kind: String) throws {
        let (_, dEmbedding, gradients) = try train(kind, isFreeRunning: false)
        let prefix = "train.\(kind).grad."
        let embedding = try golden.table.tensor(prefix + "embedding")
        let positions = dEmbedding.shape[0]
        let own = ElementwiseKernel.transpose(dEmbedding, rows: positions, columns: golden.sizes.ed)
        #expect(relativeL2Error(own.elements, embedding.elements) <= 1e-3, "embedding")
        var (compared, largest) = (0, Float(0))
        let all = gradients.values.elements
        largest = all.map(abs).max() ?? 0
        for entry in adapted.layout.entries {
            let stored = golden.stored(entry.name)
            let name =
                stored.hasPrefix("lora.init.")
                ? "lora." + stored.dropFirst("lora.init.".count) : String(stored.dropFirst("weights.".count))
            let values = Array(all[entry.offset..<entry.offset + entry.shape.count])
            guard golden.table[prefix + name] != nil else {
                #expect(values.allSatisfy { $0 == 0 }, "\(name) has a gradient, but not in the file")
                continue
            }
            let expected = try golden.table.tensor(prefix + name).elements
            compared += 1
            if name.hasSuffix("k_proj.bias") {
                #expect(zip(values, expected).allSatisfy { abs($0 - $1) <= 1e-5 * largest }, "\(name)")
            } else if expected.allSatisfy({ $0 == 0 }) {
                #expect(values.allSatisfy { $0 == 0 }, "\(name) is exactly 0")
            } else {
                #expect(relativeL2Error(values, expected) <= 1e-3, "\(name): \(relativeL2Error(values, expected))")
            }
        }
        #expect(compared > 140, "\(compared) tensors were compared")
    }
}
