import AdaptationMethods
import Adapters
import Interaction
import Kernels
import Layers
import SegmentAnything
import Tensors
import TestSupport
import WeightFiles

/// The training rounds of the official SUM code: its two images with labels, clicks and everything that trains.
struct GoldenSUMRounds {
    let golden: GoldenSUM
    var adapted: AdaptedModel
    private(set) var training = InteractiveTraining()

    /// - Parameter full: Whether the encoder's own weights train too.
    init(full: Bool = false) throws {
        golden = try GoldenSUM()
        let encoder = TrainablePlan.Selection("image_encoder.", group: ParameterGroup("encoder"))
        adapted = try golden.adapted(
            TrainablePlan(
                adapters: [.init(LoRA.kind), .init(TaskTable.kind)],
                parameters: (full ? [encoder] : []) + [
                    .init("prompt_encoder.", group: ParameterGroup("prompts")),
                    .init("mask_decoder.", group: ParameterGroup("decoder")),
                ], layerDecay: LayerDecay(factor: golden.configuration.layer_decay)))
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

    /// The labels of a kind of image, for pseudo-masks with their certainty.
    func canvas(_ kind: String, _ loss: UncertaintyWeightedLoss, threshold: Float) throws -> MaskCanvas {
        let target = padded(try golden.table.bytes("train.\(kind).in.target").map { $0 == 0 ? 0 : 1 })
        var canvas = loss.canvas(.values(target), side: golden.sizes.img, area: golden.area)
        if kind == "pseudo" {
            canvas.weights = PixelWeights(
                values: padded(try golden.table.tensor("train.pseudo.in.u").elements.map { 1 - $0 }),
                overlapThreshold: threshold)
        }
        return canvas
    }

    func objects(_ kind: String) throws -> InteractiveTraining.Objects {
        let table = golden.table
        let canvas = try canvas(kind, training.loss, threshold: golden.configuration.theta)
        var start: PromptBatch
        if kind == "human" {
            start = try PromptBatch(boxes: table.tensor("train.human.in.box"))
            start.task = 1
        } else {
            let first = try clicks(kind, 1)
            start = try PromptBatch(
                points: Tensor(first.flatMap { [Float($0.x), Float($0.y)] }, [first.count, 1, 2]),
                labels: first.map { $0.isForeground ? .foreground : .background })
        }
        return .init(start: start, canvas: canvas, total: start.count)
    }

    /// The clicks that the file adds in a round, from 1.
    func clicks(_ kind: String, _ round: Int) throws -> [Click] {
        let places = try golden.table.tensor("train.\(kind).round\(round).point").elements
        let labels = try golden.table.integers("train.\(kind).round\(round).label")
        return labels.indices.map {
            Click(x: Int(places[2 * $0]), y: Int(places[2 * $0 + 1]), isForeground: labels[$0] == 1)
        }
    }

    /// The rounds on the encoder's features, each fed with the file's carried logits of a step, or with its own.
    func train(_ kind: String, carrying step: String? = "train") throws -> (
        rounds: [InteractiveTraining.Round], embedding: Tensor, gradients: GradientBuffer
    ) {
        var context = StepContext(adapted, in: golden.workspace)
        let pass = adapted.model.encoder.encodeForTraining(
            try golden.image(kind == "human" ? 0 : 1), in: context.pass)
        let (dFeatures, rounds) = try training.train(
            try objects(kind), on: pass.features,
            next: { round, carried in
                let stored = try step.map { try golden.table.tensor("\($0).\(kind).round\(round).out.carry") }
                return (
                    stored?.reshaped(carried.shape) ?? carried,
                    round + 1 < training.rounds ? try clicks(kind, round + 1) : nil
                )
            }, in: &context)
        pass.backward(dFeatures, &context.gradients)
        return (rounds, dFeatures.embedding, context.gradients)
    }
}
