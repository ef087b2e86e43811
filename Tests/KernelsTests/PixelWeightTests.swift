import Kernels
import Tensors
import Testing
import TestSupport

/// Mask losses with pixel weights.
@Suite struct PixelWeightTests {
    typealias Case = MaskLossKernelTests.Case
    private static let theta: Float = 0.375

    /// Weights in [0, 1) with some at 0, at 1 and at theta, where the comparison must be strict.
    private func weights(_ problem: Case, threshold: Float?) -> PixelWeights {
        let canvas = problem.canvas
        var values = TestValues.uniform(problem.instances * canvas * canvas, "c").map { 0.5 * $0 + 0.5 }
        for place in stride(from: 0, to: values.count, by: 7) { values[place] = [0, 1, Self.theta][place / 7 % 3] }
        return PixelWeights(values: Tensor(values, [problem.instances, canvas, canvas]), overlapThreshold: threshold)
    }

    /// Pseudo labels, numbers and bytes of the same masks: each kind has its own row order.
    private func targets(_ problem: Case) -> (targets: [(name: String, target: MaskTarget)], masks: [Double]) {
        let other = problem.logits("other")
        let masks = problem.masks(other)
        let values = Tensor(masks.map { Float($0) }, [problem.instances, problem.canvas, problem.canvas])
        let bytes = masks.map { UInt8($0) }
        return ([("logits", .logits(other)), ("values", .values(values)), ("bytes", .bytes(bytes))], masks)
    }

    private func reference(
        _ z: [Double], _ problem: Case, masks: [Double], weights: PixelWeights, threshold: Double
    ) -> [MaskLossReference.Sums] {
        let size = problem.canvas * problem.canvas
        let values = TestValues.doubles(weights.values)
        return (0..<problem.instances).map {
            MaskLossReference.sums(
                problem.part(z, $0, problem.plane), h: problem.h, w: problem.w, canvas: problem.canvas,
                target: problem.part(masks, $0, size), threshold: threshold,
                weights: (problem.part(values, $0, size), weights.overlapThreshold.map(Double.init)))
        }
    }

    @Test(arguments: MaskLossKernelTests.cases, [nil, PixelWeightTests.theta])
    func sumsAgreeWithTheirDefinition(_ problem: Case, theta: Float?) {
        let z = problem.logits("z")
        let weights = weights(problem, threshold: theta)
        let (targets, masks) = targets(problem)
        let expected = reference(
            TestValues.doubles(z), problem, masks: masks, weights: weights, threshold: 0.5)
        for (name, target) in targets {
            var first: [MaskLossKernel.Sums] = []
            for threads in 1...3 {
                let sums = MaskLossKernel.sums(
                    z, target: target, canvas: problem.canvas, threshold: 0.5, weights: weights,
                    in: Workspace(threads: threads, fillingScratchWith: .nan))
                if threads == 1 { first = sums }
                #expect(sums == first, "\(name): bits with \(threads) threads")
            }
            for (sums, reference) in zip(first, expected) {
                for (value, exact) in [
                    (sums.focal, reference.focal), (sums.overlap, reference.overlap),
                    (sums.prediction, reference.prediction), (sums.target, reference.target),
                ] {
                    #expect(abs(value - exact) <= 2e-6 * abs(exact) + 1e-7, "\(name): \(value) against \(exact)")
                }
                #expect(sums.intersection == reference.intersection && sums.union == reference.union, "\(name)")
            }
            var withoutFocal = MaskLossKernel.sums(
                z, target: target, canvas: problem.canvas, threshold: 0.5, weights: weights, includingFocal: false,
                in: Workspace(threads: 1))
            for index in withoutFocal.indices { withoutFocal[index].focal = first[index].focal }
            #expect(withoutFocal == first, "\(name): without the focal term")
        }
    }

    /// d/dz of a focal + c_in sum_{m=1} M p + c_out sum_{m=0} M p, added to the previous contents.
    @Test(arguments: MaskLossKernelTests.cases, [nil, PixelWeightTests.theta])
    func gradientAgreesWithDifferences(_ problem: Case, theta: Float?) {
        let z = problem.logits("z")
        let weights = weights(problem, threshold: theta)
        let (targets, masks) = targets(problem)
        for focal: Float in [0.7, 0] {
            let slopes = MaskLossKernel.Slopes(focal: focal, inside: -0.4, outside: 0.3)
            func objective(_ z: [Double]) -> [Double] {
                let sums = reference(z, problem, masks: masks, weights: weights, threshold: 0)
                let value = sums.reduce(0.0) {
                    $0 + Double(slopes.focal) * $1.focal + Double(slopes.inside) * $1.overlap
                        + Double(slopes.outside) * ($1.prediction - $1.overlap)
                }
                return [value + 0.25 * z.reduce(0, +)]
            }
            for (name, target) in targets {
                var analytic: [Float] = []
                for threads in 1...3 {
                    var gradient = Tensor(repeating: 0.25, problem.shape)
                    MaskLossKernel.addGradient(
                        z, target: target, canvas: problem.canvas, slopes: slopes, weights: weights, into: &gradient,
                        in: Workspace(threads: threads, fillingScratchWith: .nan))
                    if threads == 1 { analytic = gradient.elements }
                    #expect(
                        gradient.elements.map(\.bitPattern) == analytic.map(\.bitPattern),
                        "\(name): bits with \(threads) threads")
                }
                // Beyond a logit of 100 the cross entropy is clamped; differences across the kink are meaningless.
                let outcome = GradientCheck.check(
                    TestValues.doubles(z), function: objective, dOutput: [1], analytic: analytic,
                    tolerance: problem.factor > 100 ? 2e-3 : 2e-5, probes: 16)
                #expect(outcome.passed, "\(name), focal \(focal): \(outcome)")
            }
        }
    }

    /// Nil gives the unweighted path to the bit, and weights of 1 the same sums by the other path: times 1 is exact.
    @Test(arguments: MaskLossKernelTests.cases) func weightsOfOneAreNoWeights(_ problem: Case) {
        let (z, workspace) = (problem.logits("z"), Workspace(threads: 2))
        let ones = Tensor(repeating: 1, [problem.instances, problem.canvas, problem.canvas])
        for (name, target) in targets(problem).targets {
            for focal in [true, false] {
                let plain = MaskLossKernel.sums(
                    z, target: target, canvas: problem.canvas, threshold: 0, includingFocal: focal, in: workspace)
                let slopes = MaskLossKernel.Slopes(focal: focal ? 0.7 : 0, inside: -0.4, outside: 0.3)
                var gradient = Tensor(zeros: problem.shape)
                MaskLossKernel.addGradient(
                    z, target: target, canvas: problem.canvas, slopes: slopes, into: &gradient, in: workspace)
                for weights in [
                    nil, PixelWeights(values: ones), PixelWeights(values: ones, overlapThreshold: 0.5),
                ] {
                    let sums = MaskLossKernel.sums(
                        z, target: target, canvas: problem.canvas, threshold: 0, weights: weights,
                        includingFocal: focal, in: workspace)
                    #expect(sums == plain, "\(name)")
                    var weighted = Tensor(zeros: problem.shape)
                    MaskLossKernel.addGradient(
                        z, target: target, canvas: problem.canvas, slopes: slopes, weights: weights, into: &weighted,
                        in: workspace)
                    #expect(weighted.elements == gradient.elements, "\(name)")
                }
            }
        }
    }

    /// Pixels of weight 0 affect nothing but the counts.
    @Test func weightsOfZeroLeaveTheCounts() {
        let problem = MaskLossKernelTests.cases[3]
        let (z, other, workspace) = (problem.logits("z"), problem.logits("other"), Workspace(threads: 1))
        let none = Tensor(zeros: [problem.instances, problem.canvas, problem.canvas])
        let plain = MaskLossKernel.sums(
            z, target: .logits(other), canvas: problem.canvas, threshold: 0, in: workspace)
        for theta in [nil, Self.theta] {
            let weights = PixelWeights(values: none, overlapThreshold: theta)
            let sums = MaskLossKernel.sums(
                z, target: .logits(other), canvas: problem.canvas, threshold: 0, weights: weights, in: workspace)
            for (sum, whole) in zip(sums, plain) {
                #expect(sum.focal == 0 && sum.overlap == 0 && sum.prediction == 0 && sum.target == 0)
                #expect(sum.intersection == whole.intersection && sum.union == whole.union && sum.union > 0)
            }
            var gradient = Tensor(repeating: 0.25, problem.shape)
            MaskLossKernel.addGradient(
                z, target: .logits(other), canvas: problem.canvas,
                slopes: .init(focal: 0.7, inside: -0.4, outside: 0.3), weights: weights, into: &gradient,
                in: workspace)
            #expect(gradient.elements.allSatisfy { $0 == 0.25 })
        }
    }
}
