import AdaptationMethods
import Foundation
import Kernels
import Machine
import Tensors
import Testing
import TestSupport
import WeightFiles

/// Maps of uncertainty and pairs of the refinement module, of the official SUM code (`sum.safetensors`).
@Suite struct GoldenSUMMapTests {
    private let table: TensorTable
    private let workspace = Workspace(threads: 2)

    init() throws {
        BLASEnvironment.useSingleThread()
        table = try Golden.open("sum", in: Bundle.module)
    }

    /// Maps without their axis of channels. // [n, 1, h, w] -> [n, h, w]
    private func maps(_ name: String) throws -> Tensor {
        let tensor = try table.tensor(name)
        return tensor.reshaped([tensor.shape[0], tensor.shape[2], tensor.shape[3]])
    }

    private func expectMap(_ map: UncertaintyMap, _ u: String, _ label: String) throws {
        #expect(maximumAbsoluteError(map.uncertainty, try maps(u)) <= 1e-6, "\(u)")
        #expect(map.label == (try table.bytes(label)).map { $0 != 0 }, "\(label)")
    }

    @Test func mapsAtTheirOwnResolution() throws {
        let map = UncertaintyMap(logits: try maps("unc.in.sam_logits"), refined: try maps("unc.in.refined_logits"))
        try expectMap(map, "unc.out.u", "unc.out.label")
        #expect(zip(map.certainty.elements, map.uncertainty.elements).allSatisfy { $0 == 1 - $1 })
    }

    @Test func mapsOnTheCanvas() throws {
        let shape = try maps("unc.out.u_canvas").shape
        let map = UncertaintyMap(
            probability: UncertaintyMap.sigmoid(try maps("unc.in.sam_logits")),
            refined: UncertaintyMap.sigmoid(try maps("unc.in.refined_logits")), side: 128, height: shape[1],
            width: shape[2], in: workspace)
        try expectMap(map, "unc.out.u_canvas", "unc.out.label_canvas")
    }

    @Test func mapsOfTheReleasedLoader() throws {
        let stored = try #require(table["released.in.sam_prob"]?.shape)
        let refined = try #require(table["released.in.refined_prob"]?.shape)
        let shape = try maps("released.out.u").shape
        let map = UncertaintyMap(
            releasedProbability: try table.bytes("released.in.sam_prob"), size: (stored[1], stored[2]),
            refined: Tensor(
                try table.bytes("released.in.refined_prob").map(Float.init), Shape(refined)), side: 128,
            height: shape[1], width: shape[2], in: workspace)
        try expectMap(map, "released.out.u", "released.out.label")
    }

    /// A map is 0 where both agree, and certain nowhere else.
    @Test func anUnchangedMaskIsCertain() {
        let logits = Tensor([-3, 0, 0.5, 40, -200, 200], [1, 2, 3])
        #expect(UncertaintyMap(logits: logits, refined: logits).uncertainty.elements.allSatisfy { $0 == 0 })
        let opposite = UncertaintyMap(logits: logits, refined: Tensor(logits.elements.map { -$0 }, logits.shape))
        #expect(opposite.uncertainty.elements.allSatisfy { (0...1).contains($0) })
        #expect(opposite.uncertainty.elements.last == 1)
    }

    @Test func pairs() throws {
        let (logits, predicted) = (try table.tensor("pairs.in.logits"), try table.tensor("pairs.in.iou_pred").elements)
        let target = try table.bytes("pairs.in.target").map { $0 != 0 }
        let area = logits.shape[2] * logits.shape[3]
        let all = logits.elements
        let outputs = try ["true_iou", "stability", "area"].map { try table.tensor("pairs.out.\($0)").elements }
        let (best, keep) = (try table.integers("pairs.out.best"), try table.bytes("pairs.out.keep"))
        let byIoU = try table.bytes("pairs.out.keep_iou_only")
        var loose = RefinementPairRule()
        loose.filtersAsAutomatic = false
        for object in 0..<logits.shape[0] {
            let answers = (0..<3).map { answer in
                let place = 3 * object + answer
                return RefinementCandidate(
                    logits: all[place * area..<(place + 1) * area],
                    target: Array(target[object * area..<(object + 1) * area]), predictedIoU: Double(predicted[place]))
            }
            for (answer, found) in answers.enumerated() {
                let place = 3 * object + answer
                let expected = outputs.map { Double($0[place]) }
                let actual = [found.trueIoU, found.stability, found.area]
                #expect(zip(actual, expected).allSatisfy { abs($0 - $1) <= 1e-6 }, "\(actual) \(expected)")
            }
            let chosen = RefinementPairRule.best(answers)
            #expect(chosen == best[object])
            #expect(RefinementPairRule().keeps(answers[chosen]) == (keep[object] != 0), "object \(object)")
            #expect(loose.keeps(answers[chosen]) == (byIoU[object] != 0), "object \(object)")
        }
    }
}
