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
    private let rounds: GoldenSUMRounds
    private var golden: GoldenSUM { rounds.golden }
    private var training: InteractiveTraining { rounds.training }

    init() throws { rounds = try GoldenSUMRounds() }

    @Test(arguments: ["human", "pseudo"]) func lossesOfEveryRound(_ kind: String) throws {
        let rounds = try rounds.train(kind).rounds
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
        for (index, round) in try rounds.train(kind, carrying: nil).rounds.enumerated() {
            let name = "train.\(kind).round\(index + 1).out.logits"
            expectClose(
                round.logits.elements, try golden.table.tensor(name).elements, relativeToMaximum: 1e-4, name)
        }
    }

    @Test(arguments: ["human", "pseudo"]) func gradientsOfAllThatTrains(_ kind: String) throws {
        let rounds = try GoldenSUMRounds(full: true)
        let (_, dEmbedding, gradients) = try rounds.train(kind)
        let prefix = "train.\(kind).grad."
        let embedding = try golden.table.tensor(prefix + "embedding")
        let positions = dEmbedding.shape[0]
        let own = ElementwiseKernel.transpose(dEmbedding, rows: positions, columns: golden.sizes.ed)
        #expect(relativeL2Error(own.elements, embedding.elements) <= 1e-3, "embedding")
        var (compared, largest) = (0, Float(0))
        let all = gradients.values.elements
        largest = all.map(abs).max() ?? 0
        for entry in rounds.adapted.layout.entries {
            let isEncoders = entry.group.name.hasPrefix("encoder")
            let name = isEncoders ? golden.stored(entry.name) : golden.short(entry.name)
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
        #expect(compared > 205, "\(compared) tensors were compared")
    }
}
