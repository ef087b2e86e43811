import AdaptationMethods
import Adapters
import Foundation
import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport

/// The baselines and the forms of WeSAM, on the model and the first image (three boxes) of the golden steps.
@Suite struct BaselineTests {
    private let setting: GoldenWeSAMStepTests.Setting
    private let start: [Float]
    private let prompts: PromptBatch

    init() throws {
        setting = try GoldenWeSAMStepTests.Setting()
        start = try setting.matrices("lora.init")
        prompts = try setting.prompts("boxes.step0", "boxes", 0)
    }

    private func example(
        masks: [UInt8]? = nil, strong: Tensor? = nil,
        random: SeededGenerator = SeededGenerator(seed: 3, purpose: "test")
    ) throws -> AdaptationExample {
        AdaptationExample(
            weak: try setting.image("boxes.step0.in.weak", 0),
            strong: try strong ?? setting.image("boxes.step0.in.strong", 0), prompts: prompts, masks: masks,
            random: random)
    }

    private func run(
        _ method: some AdaptationMethod, _ example: AdaptationExample, _ parameters: [Float]? = nil
    ) throws -> (losses: StepLosses, gradient: [Float]) {
        var context = StepContext(setting.adapted(parameters ?? start), in: Workspace(threads: 2))
        let losses = try method.step(example, in: &context)
        return (losses, context.gradients.values.elements)
    }

    /// The loss changes along its own gradient as the gradient predicts.
    private func checkSlope(_ method: some AdaptationMethod, _ example: AdaptationExample) throws {
        let gradient = try run(method, example).gradient
        let square = gradient.reduce(0.0) { $0 + Double($1) * Double($1) }
        let length = square.squareRoot()
        try #require(length > 0)
        let step = 2e-3
        func loss(_ sign: Double) throws -> Double {
            let moved = zip(start, gradient).map { $0 + Float(sign * step / length) * $1 }
            return try run(method, example, moved).losses.total
        }
        let slope = (try loss(1) - loss(-1)) / (2 * step)
        #expect(abs(slope / length - 1) < 0.02, "slope \(slope), gradient \(length)")
    }

    /// Halves of the canvas, one per box.
    private var masks: [UInt8] {
        let side = setting.model.encoder.imageSize
        return (0..<prompts.count).flatMap { instance in
            (0..<(side * side)).map { ($0 % side < side / 2) == (instance % 2 == 0) ? UInt8(1) : 0 }
        }
    }

    @Test func selfTrainingIsWeSAMWithoutTheAnchor() throws {
        var weights = WeSAMSettings()
        (weights.anchorWeight, weights.contrastWeight) = (0, 0)
        let method = try MethodRegistry.known.make("self-training")
        #expect(method.lossNames == ["focal", "dice", "iou"] && !method.needs.anchor)
        let (plain, whole) = (try run(SelfTraining(), example()), try run(WeSAM(weights), example()))
        for name in method.lossNames { #expect(plain.losses[name] == whole.losses[name]) }
        #expect(plain.losses.total == whole.losses.total)
        #expect(relativeL2Error(plain.gradient, whole.gradient) < 1e-6)
    }

    @Test func supervisedFollowsItsGradient() throws {
        // The IoU target jumps where a pixel changes sides.
        var smooth = MaskLossSettings()
        smooth.iouWeight = 0
        try checkSlope(Supervised(smooth), example(masks: masks))
        let losses = try run(Supervised(), example(masks: masks)).losses
        #expect(losses.parts.map(\.name) == Supervised().lossNames && losses.instances == 3)
    }

    /// Weights of 1 equal no weights, smaller ones change losses and gradient, and the gradient stays that of the loss.
    @Test(arguments: [nil, 0.6] as [Float?]) func pixelWeightsReachTheLosses(threshold: Float?) throws {
        var smooth = MaskLossSettings()
        smooth.iouWeight = 0
        let side = setting.model.encoder.imageSize
        func weighted(_ values: Tensor) throws -> AdaptationExample {
            AdaptationExample(
                weak: try setting.image("boxes.step0.in.weak", 0),
                strong: try setting.image("boxes.step0.in.strong", 0),
                prompts: prompts, masks: masks, weights: PixelWeights(values: values, overlapThreshold: threshold))
        }
        let shape: Shape = [prompts.count, side, side]
        let plain = try run(Supervised(smooth), example(masks: masks))
        let ones = try run(Supervised(smooth), weighted(Tensor(repeating: 1, shape)))
        #expect(abs(ones.losses.total / plain.losses.total - 1) < 1e-6)
        let sure = Tensor((0..<shape.count).map { Float($0 % 5) / 4 }, shape)
        #expect(try run(Supervised(smooth), weighted(sure)).losses["focal"] != plain.losses["focal"])
        try checkSlope(Supervised(smooth), weighted(sure))
        let error = try #require(
            #expect(throws: AdaptationMethodError.self) {
                _ = try run(Supervised(), weighted(Tensor(repeating: 1, [1, side, side])))
            })
        #expect(error.kind == .example)
    }

    @Test func supervisedNeedsMasksOfAllObjects() throws {
        for wrong in [nil, [], Array(masks.dropLast())] as [[UInt8]?] {
            let error = try #require(
                #expect(throws: AdaptationMethodError.self) { _ = try run(Supervised(), example(masks: wrong)) })
            #expect(error.kind == .example)
        }
    }

    @Test func tentFollowsItsGradient() throws {
        try checkSlope(Tent(), example())
        let entropy = try #require(try run(Tent(), example()).losses["entropy"])
        #expect(entropy > 0 && entropy < log(2))
    }

    @Test func entropyAgreesWithDifferences() {
        let logits = Tensor([0, 0.5, -2, 8, -30, 90], [1, 2, 3])
        var gradient = Tensor(zeros: [1, 2, 3])
        let value = EntropyLoss.value(logits, addingTo: &gradient)
        func objective(_ z: [Double]) -> [Double] {
            let terms = z.map { z -> Double in
                let p = 1 / (1 + exp(-z))
                return (p > 0 ? -p * log(p) : 0) + (p < 1 ? -(1 - p) * log(1 - p) : 0)
            }
            return [terms.reduce(0, +) / Double(z.count)]
        }
        #expect(abs(value - objective(logits.elements.map(Double.init))[0]) < 1e-9)
        let outcome = GradientCheck.check(
            logits.elements.map(Double.init), function: objective, dOutput: [1], analytic: gradient.elements,
            tolerance: 1e-5)
        #expect(outcome.passed, "\(outcome)")
        var twice = Tensor(zeros: [1, 2, 3])
        #expect(EntropyLoss.value(logits, weight: 2, addingTo: &twice) == value)
        #expect(zip(twice.elements, gradient.elements).allSatisfy { $0 == 2 * $1 })
    }

    @Test(arguments: [WeSAMSettings.ContrastRegions.background, .patches])
    func theFormOfTheContrastReachesTheStep(form: WeSAMSettings.ContrastRegions) throws {
        var (plain, other) = (WeSAMSettings(), WeSAMSettings())
        (other.contrast, other.patchSide) = (form, 2)
        plain.temperature = 0.3
        let (first, second) = (try run(WeSAM(plain), example()), try run(WeSAM(other), example()))
        #expect(
            first.losses["contrast"] != second.losses["contrast"] && first.losses["focal"] == second.losses["focal"])
        #expect(first.gradient != second.gradient)
    }

    // Masked image modelling.

    private func masked(_ ratio: Double) -> WeSAMSettings {
        var settings = WeSAMSettings()
        (settings.masking.ratio, settings.masking.block) = (ratio, 2)
        return settings
    }

    @Test func hiddenBlocksAreDrawnByTheirRatio() {
        func draw(_ purpose: String, ratio: Double = 0.5) -> StudentMasking {
            StudentMasking(side: 8, block: 2, ratio: ratio, random: SeededGenerator(seed: 1, purpose: purpose))
        }
        #expect(draw("a").hiddenCells == 32 && draw("a", ratio: 0).hiddenCells == 0)
        let single = StudentMasking(side: 8, block: 8, ratio: 0.9, random: SeededGenerator(seed: 1, purpose: "a"))
        #expect(single.hiddenCells == 0, "a student that sees nothing learns nothing")
        let ones = Tensor(repeating: 1, [64, 64, 3])
        #expect(draw("a").hide(ones).elements == draw("a").hide(ones).elements)
        #expect(draw("a").hide(ones).elements != draw("b").hide(ones).elements)
        #expect(draw("a").hide(ones).elements.count { $0 == 0 } == 64 * 64 * 3 / 2)
        let filled = draw("a").fill(Tensor(repeating: 1, [64, 4]), with: Tensor(repeating: 2, [64, 4]))
        #expect(filled.elements.count { $0 == 2 } == 32 * 4)
        let gradient = draw("a").gradient(Tensor(repeating: 3, [64, 4])).elements
        #expect(zip(filled.elements, gradient).allSatisfy { ($0 == 2) == ($1 == 0) })
    }

    /// Hidden pixels of the student's view have no effect.
    @Test func hiddenPixelsDoNotCount() throws {
        let example = try example()
        let encoder = setting.model.encoder
        let masking = StudentMasking(
            side: encoder.embeddingSide, block: 2, ratio: 0.5, random: example.random)
        let visible = masking.hide(example.strong)
        #expect(visible.elements != example.strong.elements)
        let (seen, hidden) = (
            try run(WeSAM(masked(0.5)), example), try run(WeSAM(masked(0.5)), self.example(strong: visible))
        )
        #expect(seen.losses == hidden.losses && seen.gradient == hidden.gradient)
        #expect(try run(WeSAM(masked(0)), example).losses != seen.losses)
        #expect(
            try run(WeSAM(masked(0.5)), self.example(random: SeededGenerator(seed: 4, purpose: "test"))).losses
                != seen.losses)
    }

    @Test func anUnmaskedStudentIsThePlainOne() throws {
        let (plain, zero) = (try run(WeSAM(), example()), try run(WeSAM(masked(0)), example()))
        #expect(plain.losses == zero.losses && plain.gradient == zero.gradient)
    }
}
