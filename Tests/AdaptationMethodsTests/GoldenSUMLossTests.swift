import AdaptationMethods
import Foundation
import Kernels
import Machine
import Tensors
import Testing
import TestSupport
import WeightFiles

/// The losses of the official SUM code on the image's part of a canvas (`sum.safetensors`).
@Suite struct GoldenSUMLossTests {
    private let table: TensorTable
    private let workspace = Workspace(threads: 2)
    /// Rows and columns of the image's part, and side of the canvas.
    private let height = 96
    private let width = 128
    private let side = 128

    init() throws {
        BLASEnvironment.useSingleThread()
        table = try Golden.open("sum", in: Bundle.module)
    }

    /// Rows below the image, which must not matter. // [n, height, width] -> [n, side, side]
    private func padded(_ values: [Float], with filling: Float) -> Tensor {
        let area = height * width
        let planes = (0..<values.count / area).map { plane in
            Array(values[plane * area..<(plane + 1) * area])
                + [Float](repeating: filling, count: side * side - area)
        }
        return Tensor(planes.flatMap(\.self), [planes.count, side, side])
    }

    private func canvas(_ loss: UncertaintyWeightedLoss, isPseudo: Bool) throws -> MaskCanvas {
        let target = padded(try table.bytes("loss.in.target").map { $0 == 0 ? 0 : 1 }, with: 1)
        var canvas = loss.canvas(.values(target), side: side, area: .init(height: height, width: width))
        if isPseudo {
            let certainty = try table.tensor("loss.in.u").elements.map { 1 - $0 }
            canvas.weights = PixelWeights(
                values: padded(certainty, with: 1), overlapThreshold: loss.overlapThreshold)
        }
        return canvas
    }

    private func numbers(_ name: String) throws -> [Double] { try table.tensor(name).elements.map(Double.init) }

    /// The image's part of gradients, and that the padding has none.
    private func expectGradient(_ gradient: Tensor, _ name: String) throws {
        let (area, elements) = (height * width, gradient.elements)
        var (own, rest) = ([Float](), [Float]())
        for start in stride(from: 0, to: elements.count, by: side * side) {
            own += elements[start..<start + area]
            rest += elements[start + area..<start + side * side]
        }
        #expect(relativeL2Error(own, try table.tensor(name).elements) <= 1e-5, "\(name)")
        #expect(rest.allSatisfy { $0 == 0 }, "padding in \(name)")
    }

    private func logits() throws -> (Tensor, [Float]) {
        (padded(try table.tensor("loss.in.logits").elements, with: 3), try table.tensor("loss.in.iou_pred").elements)
    }

    @Test(arguments: ["human", "pseudo"]) func valuesOfEachMask(_ kind: String) throws {
        let loss = UncertaintyWeightedLoss()
        let (z, predicted) = try logits()
        let canvas = try canvas(loss, isPseudo: kind == "pseudo")
        let values = loss.values(z, predictedIoU: predicted, on: canvas, in: workspace)
        for (name, actual) in [
            ("focal", values.map(\.focal)), ("dice", values.map(\.dice)), ("iou", values.map(\.iou)),
            ("true_iou", values.map(\.trueIoU)),
        ] {
            let expected = try numbers("loss.\(kind).\(name)")
            #expect(
                zip(actual, expected).allSatisfy { abs($0 - $1) <= 1e-5 * abs($1) + 1e-9 },
                "\(name): \(actual) \(expected)"
            )
        }
        let total = values.reduce(0) { $0 + loss.total($1) } / Double(values.count)
        expectRelative(total, try table.number("loss.\(kind).total"), "total")
    }

    @Test(arguments: ["human", "pseudo"]) func gradientsOfEachPart(_ kind: String) throws {
        let (z, predicted) = try logits()
        let count = Double(predicted.count)
        for (part, name) in [("focal", "focal"), ("dice", "dice"), ("iou", "iou"), ("total", "total")] {
            var loss = UncertaintyWeightedLoss()
            if part != "total" {
                (loss.focalWeight, loss.diceWeight, loss.iouWeight) = (
                    part == "focal" ? count : 0, part == "dice" ? count : 0, part == "iou" ? count : 0
                )
            }
            guard let stored = table["loss.\(kind).grad.\(name)"] else {
                #expect(kind == "human" && part == "total")
                continue
            }
            var dZ = Tensor(zeros: z.shape)
            let (_, dIoU) = loss.addGradient(
                z, predictedIoU: predicted, on: try canvas(loss, isPseudo: kind == "pseudo"), share: 1 / count,
                into: &dZ,
                in: workspace)
            if part == "iou" {
                #expect(stored.shape == [predicted.count, 1])
                let expected = try table.tensor("loss.\(kind).grad.iou").elements
                #expect(relativeL2Error(dIoU, expected) <= 1e-5)
                #expect(dZ.elements.allSatisfy { $0 == 0 })
            } else {
                try expectGradient(dZ, "loss.\(kind).grad.\(name)")
            }
        }
    }

    @Test func anotherThreshold() throws {
        var loss = UncertaintyWeightedLoss()
        loss.overlapThreshold = 0.5
        let (z, predicted) = try logits()
        let canvas = try canvas(loss, isPseudo: true)
        let values = loss.values(z, predictedIoU: predicted, on: canvas, in: workspace)
        let expected = try numbers("loss.pseudo_theta0.5.dice")
        #expect(zip(values.map(\.dice), expected).allSatisfy { abs($0 - $1) <= 1e-5 * abs($1) })
        let total = values.reduce(0) { $0 + loss.total($1) } / Double(values.count)
        expectRelative(total, try table.number("loss.pseudo_theta0.5.total"), "total")
        (loss.focalWeight, loss.diceWeight, loss.iouWeight) = (0, Double(values.count), 0)
        var dZ = Tensor(zeros: z.shape)
        _ = loss.addGradient(z, predictedIoU: predicted, on: canvas, share: 0.25, into: &dZ, in: workspace)
        try expectGradient(dZ, "loss.pseudo_theta0.5.grad.dice")
    }

    /// Label and probability times certainty, without a threshold.
    @Test func softDice() throws {
        var loss = UncertaintyWeightedLoss()
        (loss.overlapThreshold, loss.focalWeight, loss.iouWeight) = (nil, 0, 0)
        let (z, predicted) = try logits()
        var dZ = Tensor(zeros: z.shape)
        let (values, _) = loss.addGradient(
            z, predictedIoU: predicted, on: try canvas(loss, isPseudo: true), share: 1, into: &dZ, in: workspace)
        let expected = try numbers("loss.soft_dice")
        for (value, exact) in zip(values.map(\.dice), expected) {
            #expect(abs(value - exact) <= 1e-5 * exact, "\(value), \(exact)")
        }
        try expectGradient(dZ, "loss.grad.soft_dice")
    }

    /// Maps that are enlarged row by row give what the whole map gives, whatever the size and the pixel order.
    @Test(arguments: [32, 48, 64]) func mapsAreEnlargedOnTheWay(_ low: Int) throws {
        let (count, area) = (2, MaskCanvas.Area(height: 97, width: 121))
        func random(_ purpose: String, _ shape: Shape, _ range: ClosedRange<Double>) -> Tensor {
            var generator = SeededGenerator(seed: 3, purpose: purpose)
            return Tensor(
                (0..<shape.count).map { _ in Float(generator.uniform(range.lowerBound, range.upperBound)) }, shape)
        }
        let z = random("logits", [count, 32, 32], -4...4)
        let s = random("pseudo", [count, low, low], 0...1)
        let r = random("refined", [count, low, low], 0...1)
        let loss = UncertaintyWeightedLoss()
        let fused = loss.canvas(.probabilities(s), side: side, area: area, uncertainty: (s, r))
        let map = UncertaintyMap(
            probability: s, refined: r, side: side, height: side, width: side, in: workspace)
        var whole = loss.canvas(
            .bytes(map.label.map { $0 ? 1 : 0 }), side: side, area: area)
        whole.weights = PixelWeights(values: map.certainty, overlapThreshold: loss.overlapThreshold)
        let predicted: [Float] = [0.3, 0.8]
        var (dFused, dWhole) = (Tensor(zeros: z.shape), Tensor(zeros: z.shape))
        let first = loss.addGradient(z, predictedIoU: predicted, on: fused, share: 0.5, into: &dFused, in: workspace)
        let second = loss.addGradient(z, predictedIoU: predicted, on: whole, share: 0.5, into: &dWhole, in: workspace)
        for (a, b) in zip(first.values, second.values) {
            #expect(abs(a.focal - b.focal) <= 1e-6 * b.focal && abs(a.dice - b.dice) <= 1e-5)
            #expect(abs(a.trueIoU - b.trueIoU) <= 1e-3)
        }
        #expect(relativeL2Error(dFused, dWhole) <= 1e-3)
    }
}
