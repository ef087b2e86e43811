import AdaptationMethods
import Foundation
import Kernels
import Tensors
import Testing
import TestSupport

@Suite struct LossTests {
    private let workspace = Workspace(threads: 1)

    private func sums(_ logit: Float, mask: UInt8, canvas: Int = 16) -> MaskLossKernel.Sums {
        total(
            MaskLossKernel.sums(
                Tensor(repeating: logit, [1, 4, 4]), target: .bytes([UInt8](repeating: mask, count: canvas * canvas)),
                canvas: canvas, threshold: 0.5, in: workspace))
    }

    @Test func focalOfAnUndecidedPixel() {
        let value = FocalLoss(.released, maskCount: 1).value(sums(0, mask: 1), pixels: 256)
        #expect(abs(value - log(2) / 4) < 1e-6)
        let three = FocalLoss(.released, maskCount: 3).value(sums(0, mask: 1), pixels: 256)
        #expect(abs(three - 3 * value) < 1e-12)
        #expect(FocalLoss(.paper, maskCount: 3).value(sums(0, mask: 1), pixels: 256) == value)
    }

    @Test func diceSmoothing() {
        for n in [1, 3, 40] {
            let loss = DiceLoss(.released, maskCount: n)
            #expect(abs(loss.value(sums(-120, mask: 0))) < 1e-12)
            let half = 1 - Double(n) / (0.5 * 256 + Double(n))
            #expect(abs(loss.value(sums(0, mask: 0)) - half) < 1e-6)
            #expect(DiceLoss(.paper, maskCount: n).smoothing == 1)
        }
    }

    /// dDice/dp by differences in the sums: overlap and prediction grow together inside, prediction alone outside.
    @Test func diceSlopes() {
        var sums = MaskLossKernel.Sums()
        (sums.overlap, sums.prediction, sums.target) = (11.5, 30, 21)
        let loss = DiceLoss(smoothing: 3)
        func shifted(_ overlap: Double, _ prediction: Double) -> Double {
            var other = sums
            other.overlap += overlap
            other.prediction += prediction
            return loss.value(other)
        }
        let step = 1e-5
        let slopes = loss.slopes(sums)
        #expect(abs(slopes.inside - (shifted(step, step) - shifted(-step, -step)) / (2 * step)) < 1e-10)
        #expect(abs(slopes.outside - (shifted(0, step) - shifted(0, -step)) / (2 * step)) < 1e-10)
        #expect(AnchorLoss.value(sums) == 0.5 * DiceLoss(smoothing: 1).value(sums))
        #expect(AnchorLoss.slopes(sums).inside == 0.5 * DiceLoss(smoothing: 1).slopes(sums).inside)
    }

    /// From low-resolution logits to the gradient: dice and focal of several instances, coupled by the sums.
    @Test func gradientOfDiceAndFocalOverSeveralInstances() {
        let (n, side, canvas) = (3, 16, 64)
        let z = Tensor(TestValues.uniform(n * side * side, "z").map { 3 * $0 }, [n, side, side])
        let other = TestValues.uniform([n, side, side], "other")
        let pixels = n * canvas * canvas
        let masks = (0..<n).map {
            MaskLossReference.mask(part(TestValues.doubles(other), $0, side * side), h: side, w: side, canvas: canvas)
        }
        let (focal, dice) = (FocalLoss(.released, maskCount: 5), DiceLoss(.released, maskCount: 5))
        let sums = total(
            MaskLossKernel.sums(z, target: .logits(other), canvas: canvas, threshold: 0.5, in: workspace))
        let slopes = dice.slopes(sums)
        var gradient = Tensor(zeros: z.shape)
        MaskLossKernel.addGradient(
            z, target: .logits(other), canvas: canvas,
            slopes: .init(
                focal: Float(20 * focal.slope(pixels: pixels)), inside: Float(slopes.inside),
                outside: Float(slopes.outside)),
            into: &gradient, in: workspace)
        func objective(_ z: [Double]) -> [Double] {
            var (focal, overlap, both) = (0.0, 0.0, 0.0)
            for instance in 0..<n {
                let sums = MaskLossReference.sums(
                    part(z, instance, side * side), h: side, w: side, canvas: canvas, target: masks[instance],
                    threshold: 0.5)
                focal += sums.focal
                overlap += sums.overlap
                both += sums.prediction + sums.target
            }
            return [20 * 5 * focal / Double(pixels) + 1 - (2 * overlap + 5) / (both + 5)]
        }
        #expect(
            abs(objective(TestValues.doubles(z))[0] - 20 * focal.value(sums, pixels: pixels) - dice.value(sums)) < 1e-5)
        let outcome = GradientCheck.check(
            TestValues.doubles(z), function: objective, dOutput: [1], analytic: gradient.elements, tolerance: 1e-4,
            step: 1e-4, probes: 30)
        #expect(outcome.passed, "\(outcome)")
    }

    /// Dice and focal with pixel weights: these enter the sums, the losses stay the same functions of them.
    @Test(arguments: [nil, 0.375 as Float])
    func gradientOfWeightedDiceAndFocal(theta: Float?) {
        let (n, side, canvas) = (2, 16, 64)
        let z = Tensor(TestValues.uniform(n * side * side, "z").map { 3 * $0 }, [n, side, side])
        let masks = TestValues.uniform(n * canvas * canvas, "m").map { $0 > 0.2 ? UInt8(1) : 0 }
        let target = MaskTarget.bytes(masks)
        let shares = TestValues.uniform(n * canvas * canvas, "c").map { 0.5 * $0 + 0.5 }
        let weights = PixelWeights(values: Tensor(shares, [n, canvas, canvas]), overlapThreshold: theta)
        let (focal, dice) = (FocalLoss(.released, maskCount: 5), DiceLoss(.released, maskCount: 5))
        let pixels = n * canvas * canvas
        let sums = total(
            MaskLossKernel.sums(
                z, target: target, canvas: canvas, threshold: 0.5, weights: weights, in: workspace))
        let slopes = dice.slopes(sums)
        var gradient = Tensor(zeros: z.shape)
        MaskLossKernel.addGradient(
            z, target: target, canvas: canvas,
            slopes: .init(
                focal: Float(20 * focal.slope(pixels: pixels)), inside: Float(slopes.inside),
                outside: Float(slopes.outside)),
            weights: weights, into: &gradient, in: workspace)
        func objective(_ z: [Double]) -> [Double] {
            var (focal, overlap, both) = (0.0, 0.0, 0.0)
            for instance in 0..<n {
                let sums = MaskLossReference.sums(
                    part(z, instance, side * side), h: side, w: side, canvas: canvas,
                    target: part(masks.map(Double.init), instance, canvas * canvas), threshold: 0.5,
                    weights: (part(shares.map(Double.init), instance, canvas * canvas), theta.map(Double.init)))
                focal += sums.focal
                overlap += sums.overlap
                both += sums.prediction + sums.target
            }
            return [20 * 5 * focal / Double(pixels) + 1 - (2 * overlap + 5) / (both + 5)]
        }
        #expect(
            abs(objective(TestValues.doubles(z))[0] - 20 * focal.value(sums, pixels: pixels) - dice.value(sums)) < 1e-5)
        let outcome = GradientCheck.check(
            TestValues.doubles(z), function: objective, dOutput: [1], analytic: gradient.elements, tolerance: 1e-4,
            step: 1e-4, probes: 30)
        #expect(outcome.passed, "\(outcome)")
    }

    /// Entropy weighted pixel by pixel, still a mean over all pixels.
    @Test func weightedEntropy() {
        let shape: Shape = [2, 3, 5]
        let logits = Tensor(TestValues.uniform(shape.count, "z").map { 6 * $0 }, shape)
        let shares = Tensor(TestValues.uniform(shape.count, "c").map { max($0, 0) }, shape)
        var gradient = Tensor(zeros: shape)
        let value = EntropyLoss.value(logits, weights: shares, addingTo: &gradient)
        func objective(_ z: [Double]) -> [Double] {
            let terms = zip(z, shares.elements).map { z, c -> Double in
                let p = 1 / (1 + exp(-z))
                return Double(c) * (-p * log(p) - (1 - p) * log(1 - p))
            }
            return [terms.reduce(0, +) / Double(z.count)]
        }
        #expect(abs(value - objective(TestValues.doubles(logits))[0]) < 1e-9)
        let outcome = GradientCheck.check(
            TestValues.doubles(logits), function: objective, dOutput: [1], analytic: gradient.elements, tolerance: 1e-5)
        #expect(outcome.passed, "\(outcome)")

        var (plain, ones) = (Tensor(zeros: shape), Tensor(zeros: shape))
        let unweighted = EntropyLoss.value(logits, addingTo: &plain)
        #expect(EntropyLoss.value(logits, weights: Tensor(repeating: 1, shape), addingTo: &ones) == unweighted)
        #expect(ones.elements == plain.elements && unweighted > value)
    }

    /// A probability of single precision is one half or more exactly from the threshold on.
    @Test func theThresholdIsWhereSinglePrecisionReachesOneHalf() {
        func reachesHalf(_ logit: Float) -> Bool { 1 / (1 + Float(exp(-Double(logit)))) >= 0.5 }
        for logit: Float in [0, -1e-9, -2e-8, -7.9e-8, -1e-7, -1.5e-7, -1.78e-7, -1.8e-7, -2e-7, -1e-6, -0.1, 0.1] {
            #expect(reachesHalf(logit) == (logit >= IoULoss.logitThreshold), "\(logit)")
        }
    }

    @Test func iouHead() {
        var sums = MaskLossKernel.Sums()
        (sums.intersection, sums.union) = (30, 40)
        let empty = MaskLossKernel.Sums()
        #expect(abs(IoULoss.target(sums) - 0.75) < 1e-8 && IoULoss.target(empty) == 0)
        let value = IoULoss.value([0.5, 1], [sums, empty], maskCount: 4)
        #expect(abs(value - (0.0625 + 1) / 4) < 1e-8)
        let gradient = IoULoss.gradient([0.5, 1], [sums, empty], maskCount: 4)
        #expect(abs(gradient[0] + 0.125) < 1e-8 && abs(gradient[1] - 0.5) < 1e-8)
    }

    private func part(_ values: [Double], _ index: Int, _ size: Int) -> [Double] {
        Array(values[(index * size)..<((index + 1) * size)])
    }
}
