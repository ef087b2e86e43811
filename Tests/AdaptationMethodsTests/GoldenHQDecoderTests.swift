import AdaptationMethods
import Adapters
import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// HQ-SAM's decoder against the official code: forward for each kind of prompt, and gradients of a training batch.
@Suite struct GoldenHQDecoderTests {
    @Test(arguments: ["box", "point", "mask"]) func masksOfEachPrompt(_ kind: String) throws {
        let golden = try GoldenMoDA()
        let adapted = try golden.adapted()
        let context = adapted.context(in: golden.workspace)
        let (model, low, side) = (golden.model, golden.low, golden.sizes.img / 16)
        for index in 0..<golden.batch {
            let features = model.encoder.encode(try golden.image(index), in: context)
            let own = index..<index + 1
            if kind == "box" {
                let embedding = try golden.table.tensor("out.embedding").rows(own)
                expectClose(
                    ElementwiseKernel.transpose(
                        features.embedding, rows: side * side, columns: golden.sizes.ed
                    ).elements, embedding.elements, "embedding")
                let tap = try #require(features.taps.first)
                expectClose(
                    tap.tokens.elements, try golden.table.tensor("out.early").rows(own).elements, "early tokens")
                let hq = try #require(adapted.adapters.outputTokens.first)
                let shared = hq.prepare(features, in: context)[0]
                let raster = SubpixelKernel.raster(shared, height: side, width: side)
                expectClose(
                    raster.elements, try golden.table.tensor("out.hq_features").rows(own).elements, "hq features")
            }
            let prompt = try golden.prompt(index, kind: ["box", "point", "mask"].firstIndex(of: kind) ?? 0)
            let decoded = try model.predict(features, prompt, masks: .single, in: context)
            let masks = try #require(decoded.adapterLogits)
            #expect(masks.shape == [1, 1, low, low])
            expectClose(
                masks.elements, try golden.table.tensor("out.\(kind).hq").rows(own).elements, "\(kind) hq \(index)")
            expectClose(
                decoded.logits.elements, try golden.table.tensor("out.\(kind).sam").rows(own).elements,
                "\(kind) sam \(index)")
        }
    }

    /// The losses and the gradient of one official batch.
    static func batch(
        _ golden: GoldenMoDA, _ adapted: AdaptedModel, _ prefix: String, kinds: [Int],
        also: (_ index: Int, _ logits: Tensor, _ dLogits: inout Tensor) throws -> Void = { _, _, _ in }
    ) throws -> (crossEntropy: Double, dice: Double, points: [Tensor], logits: [Tensor], gradient: Tensor) {
        let context = adapted.context(in: golden.workspace)
        let loss = PointSampledLoss(pointCount: golden.configuration.num_points)
        var gradients = GradientBuffer(adapted.layout)
        var (crossEntropy, dice, points, logits) = (0.0, 0.0, [Tensor](), [Tensor]())
        for index in 0..<golden.batch {
            let pass = golden.model.encoder.encodeForTraining(try golden.image(index), in: context)
            let prompt = try golden.model.promptEncoder.encode(
                try golden.prompt(index, kind: kinds[index]), in: context)
            let decoded = golden.model.decoder.decodeForTraining(
                pass.features, position: golden.model.promptEncoder.densePositionalEncoding, prompts: prompt,
                in: context)
            let masks = try #require(decoded.masks.adapterLogits).reshaped([1, golden.low, golden.low])
            let chosen = loss.points(masks, try golden.draws(prefix, index), in: golden.workspace)
            var dMasks = Tensor(zeros: masks.shape)
            let values = loss(
                masks, target: try golden.target(index), at: chosen,
                weights: (1 / Double(golden.batch), 1 / Double(golden.batch)),
                addingTo: &dMasks, in: golden.workspace)
            try also(index, masks, &dMasks)
            crossEntropy += values.crossEntropy / Double(golden.batch)
            dice += values.dice / Double(golden.batch)
            let dInput = decoded.backward(
                MaskGradients(
                    logits: Tensor(zeros: decoded.logits.shape), iou: Tensor(zeros: decoded.iou.shape),
                    adapterLogits: dMasks.reshaped([1, 1, golden.low, golden.low])), &gradients)
            pass.backward(dInput.features, &gradients)
            points.append(chosen)
            logits.append(masks)
        }
        return (crossEntropy, dice, points, logits, gradients.values)
    }

    @Test func twoOfficialSteps() throws {
        let golden = try GoldenMoDA()
        let kinds = try golden.table.integers("train.in.prompt_kind")
        var adapted = try golden.adapted()
        let start = try #require(adapted.trained).values
        var optimizer = DoubleAdam(start.elements.map(Double.init), rate: golden.configuration.lr)
        for step in 0..<2 {
            let prefix = "train.step\(step)"
            let batch = try Self.batch(golden, adapted, prefix, kinds: kinds)
            for index in 0..<golden.batch {
                let own = index..<index + 1
                expectClose(
                    batch.logits[index].elements, try golden.table.tensor("\(prefix).hq").rows(own).elements,
                    "\(prefix).hq \(index)")
                expectSamePoints(
                    batch.points[index], try golden.table.tensor("\(prefix).points").rows(own), "\(prefix) \(index)")
            }
            for (name, value) in [("bce", batch.crossEntropy), ("dice", batch.dice)] {
                let expected = Double(try golden.table.number("\(prefix).loss.\(name)"))
                #expect(abs(value - expected) <= 1e-5 * abs(expected), "\(prefix) \(name): \(value), \(expected)")
            }
            try Self.expectGradients(batch.gradient, golden, adapted.layout, "\(prefix).grad")
            optimizer.update(batch.gradient.elements)
            let values = optimizer.values.map(Float.init)
            try Self.expectValues(values, after: start, golden, adapted.layout, "\(prefix).after")
            adapted.trained?.values = Tensor(values, start.shape)
        }
    }
}

extension GoldenHQDecoderTests {
    /// Expects the gradients stored under a prefix. // [P]
    static func expectGradients(
        _ gradient: Tensor, _ golden: GoldenMoDA, _ layout: ParameterLayout, _ prefix: String,
        atMost limit: Double = 1e-3
    ) throws {
        for entry in layout.entries {
            let name = "\(prefix).\(GoldenMoDA.stored(entry.name))"
            expectRelativeL2(
                gradient.rows(entry.range).reshaped(entry.shape), try golden.table.tensor(name), atMost: limit, name)
        }
    }

    /// Expects values that moved from a start as those stored under a prefix did. // [P]
    static func expectValues(
        _ values: [Float], after start: Tensor, _ golden: GoldenMoDA, _ layout: ParameterLayout, _ prefix: String
    ) throws {
        for entry in layout.entries {
            let name = "\(prefix).\(GoldenMoDA.stored(entry.name))"
            let expected = try golden.table.tensor(name).elements
            let own = entry.range.map { values[$0] }
            let moved = zip(expected, start.rows(entry.range).elements).reduce(0.0) { sum, pair in
                sum + Double(pair.0 - pair.1) * Double(pair.0 - pair.1)
            }
            let off = zip(own, expected).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
            #expect(off.squareRoot() <= 1e-3 * moved.squareRoot(), "\(name): \((off / moved).squareRoot())")
        }
    }
}

/// Adam in Double without weight decay.
struct DoubleAdam {
    private(set) var values: [Double]
    private let rate: Double
    private var first: [Double]
    private var second: [Double]
    private var step = 0.0

    init(_ values: [Double], rate: Double) {
        (self.values, self.rate) = (values, rate)
        first = values.map { _ in 0 }
        second = first
    }

    mutating func update(_ gradient: [Float]) {
        step += 1
        for i in values.indices {
            let g = Double(gradient[i])
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g * g
            let (c1, c2) = (1 - power(0.9, step), 1 - power(0.999, step))
            values[i] -= rate * (first[i] / c1) / ((second[i] / c2).squareRoot() + 1e-8)
        }
    }

    private func power(_ base: Double, _ exponent: Double) -> Double {
        (0..<Int(exponent)).reduce(1) { product, _ in product * base }
    }
}

/// Expects the same set of points, of which one may differ.
func expectSamePoints(_ actual: Tensor, _ expected: Tensor, _ label: String) {
    func set(_ points: Tensor) -> Set<SIMD2<Float>> {
        let values = points.elements
        return Set((0..<values.count / 2).map { SIMD2(values[2 * $0], values[2 * $0 + 1]) })
    }
    let (ours, official) = (set(actual), set(expected))
    #expect(ours.count == official.count && ours.subtracting(official).count <= 1, "\(label): other points")
}
