import Foundation
import Interaction
import Tensors
import Testing
import TestSupport
import WeightFiles

/// Clicks, draws and jitter of the official SUM code (`sum.safetensors`).
@Suite struct GoldenInteractionTests {
    private let table: TensorTable

    init() throws { table = try Golden.open("sum", in: Bundle.module) }

    /// The masks of a stack. // n x [H, W]
    private func masks(_ name: String) throws -> [PixelMask] {
        let shape = try #require(table[name]?.shape)
        let (height, width) = (shape[shape.count - 2], shape[shape.count - 1])
        let bytes = try table.bytes(name)
        return (0..<bytes.count / (height * width)).map { plane in
            PixelMask(
                width: width, height: height,
                pixels: bytes[plane * height * width..<(plane + 1) * height * width].map { $0 != 0 })
        }
    }

    @Test func clicksOfEvaluation() throws {
        let (predictions, targets) = (try masks("click.in.pred"), try masks("click.in.target"))
        let (places, labels) = (try table.integers("click.out.xy"), try table.integers("click.out.label"))
        let squares = try table.integers("click.out.squared_distance")
        for (index, (prediction, target)) in zip(predictions, targets).enumerated() {
            let found = EvaluationClick(on: prediction, target: target)
            let expected = [places[2 * index], places[2 * index + 1], labels[index]]
            let actual = found.map { [$0.click.x, $0.click.y, $0.click.isForeground ? 1 : 0] } ?? [-1, -1, -1]
            #expect(actual == expected, "case \(index)")
            #expect(
                [target.subtracting(prediction), prediction.subtracting(target)].map {
                    SquaredDistanceTransform.distances(in: $0).max() ?? 0
                } == Array(squares[2 * index..<2 * index + 2]), "case \(index)")
        }
    }

    @Test func clickedPixelsAreNoCandidates() throws {
        let (prediction, target) = (try masks("click.in.pred")[3], try masks("click.in.target")[3])
        let expected = try table.integers("click.out.repeated")
        var clicks: [Click] = []
        for round in 0..<5 {
            let next = try #require(EvaluationClick(on: prediction, target: target, after: clicks)).click
            #expect([next.x, next.y] == Array(expected[2 * round..<2 * round + 2]), "round \(round)")
            clicks.append(next)
        }
    }

    @Test(arguments: ["human", "pseudo"]) func clicksOfTraining(_ kind: String) throws {
        let (predictions, targets) = (try masks("sample.in.pred"), try masks("sample.in.target"))
        let (backup, u) = (try table.tensor("sample.in.backup").elements, try table.tensor("sample.in.u").elements)
        let uniform = try table.tensor("sample.in.uniform").elements
        let (count, area) = (targets.count, targets[0].pixels.count)
        for (name, isFirst) in [("first", true), ("later", false)] {
            let prefix = "sample.\(kind).\(name)"
            let (places, labels) = (
                try table.tensor(prefix + ".xy").elements, try table.integers(prefix + ".label")
            )
            let probability = try table.tensor(prefix + ".probability").elements
            for mask in 0..<count {
                let own = mask * area..<(mask + 1) * area
                let certainty = kind == "human" ? nil : u[own].map { 1 - $0 }
                let region = isFirst ? targets[mask] : targets[mask].differing(from: predictions[mask])
                let chances = RegionSampling.probabilities(of: region, weights: certainty)
                #expect(zip(chances, probability[own]).allSatisfy { abs($0 - Double($1)) <= 1e-6 }, "\(prefix) \(mask)")
                for draw in 0..<uniform.count / count {
                    let place = draw * count + mask
                    let click = Click.training(
                        on: targets[mask], after: isFirst ? nil : predictions[mask], certainty: certainty,
                        uniform: Double(uniform[place]), backup: (Int(backup[2 * mask]), Int(backup[2 * mask + 1])))
                    let expected = [Int(places[2 * place]), Int(places[2 * place + 1]), labels[place]]
                    #expect(
                        [click.x, click.y, click.isForeground ? 1 : 0] == expected,
                        "\(prefix), mask \(mask), draw \(draw)"
                    )
                }
            }
        }
    }

    @Test func tenPointsWithoutReplacement() throws {
        let weights = try table.tensor("sample10.in.weights")
        let uniform = try table.tensor("sample10.in.uniform").elements
        let expected = try table.tensor("sample10.out.xy").elements
        let (height, width) = (weights.shape[1], weights.shape[2])
        let all = PixelMask(width: width, height: height, pixels: Array(repeating: true, count: height * width))
        for mask in 0..<weights.shape[0] {
            let own = weights.rows(mask..<mask + 1).elements
            let drawn = RegionSampling.pixels(
                of: all, weights: own, uniforms: uniform[mask * 10..<mask * 10 + 10].map(Double.init))
            #expect(
                drawn.flatMap { [Float($0 % width), Float($0 / width)] } == Array(expected[mask * 20..<mask * 20 + 20]))
        }
    }

    @Test(arguments: BoxJitter.allCases) func jitteredBoxes(_ rule: BoxJitter) throws {
        let (boxes, normal) = (try table.tensor("jitter.in.boxes"), try table.tensor("jitter.in.normal"))
        let expected = try table.tensor("jitter.out.\(rule.rawValue)").elements
        let jittered = (0..<boxes.shape[0]).flatMap { box in
            rule.apply(
                to: boxes.rows(box..<box + 1).elements, normal: normal.rows(box..<box + 1).elements, width: 128,
                height: 96)
        }
        #expect(zip(jittered, expected).allSatisfy { abs($0 - $1) <= 1e-5 }, "\(jittered) \(expected)")
    }
}
