import Kernels
import Tensors
import Testing
import TestSupport

@Suite struct MaskLossKernelTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let instances, h, w, canvas: Int
        var factor: Float = 4
        var testDescription: String { "\(instances) x \(h)x\(w) -> \(canvas), logits up to \(factor)" }
        var shape: Shape { [instances, h, w] }
        var plane: Int { h * w }

        func logits(_ purpose: String) -> Tensor {
            Tensor(TestValues.uniform(shape.count, purpose).map { factor * $0 }, shape)
        }

        func part(_ values: [Double], _ instance: Int, _ size: Int) -> [Double] {
            Array(values[(instance * size)..<((instance + 1) * size)])
        }

        /// The target's masks on the canvas. // n S S
        func masks(_ target: Tensor) -> [Double] {
            (0..<instances).flatMap {
                MaskLossReference.mask(part(TestValues.doubles(target), $0, plane), h: h, w: w, canvas: canvas)
            }
        }

        func sums(_ z: [Double], masks: [Double], threshold: Double) -> [MaskLossReference.Sums] {
            (0..<instances).map {
                MaskLossReference.sums(
                    part(z, $0, plane), h: h, w: w, canvas: canvas, target: part(masks, $0, canvas * canvas),
                    threshold: threshold)
            }
        }
    }

    /// Odd ratios, shrinking, the identity, and enlargement by four with and without whole vectors; saturated logits.
    static let cases: [Case] = [
        Case(instances: 1, h: 1, w: 1, canvas: 16), Case(instances: 2, h: 5, w: 7, canvas: 16),
        Case(instances: 1, h: 8, w: 8, canvas: 32), Case(instances: 3, h: 16, w: 16, canvas: 64),
        Case(instances: 2, h: 32, w: 32, canvas: 128), Case(instances: 2, h: 16, w: 16, canvas: 16),
        Case(instances: 1, h: 12, w: 20, canvas: 64), Case(instances: 1, h: 70, w: 33, canvas: 48),
        Case(instances: 2, h: 16, w: 16, canvas: 64, factor: 130),
    ]

    private func targets(_ problem: Case) -> [(name: String, target: MaskTarget, masks: [Double])] {
        let other = problem.logits("other")
        let masks = problem.masks(other)
        let size = problem.canvas * problem.canvas
        return [
            ("logits", .logits(other), masks),
            (
                "values",
                .values(Tensor(masks.map { Float($0) }, [problem.instances, problem.canvas, problem.canvas])), masks
            ),
            ("bytes", .bytes(masks.map { UInt8($0) }), masks),
            ("none", .bytes([UInt8](repeating: 0, count: problem.instances * size)), masks.map { _ in 0 }),
            ("all", .bytes([UInt8](repeating: 1, count: problem.instances * size)), masks.map { _ in 1 }),
        ]
    }

    @Test(arguments: cases) func sumsAgreeWithTheirDefinition(_ problem: Case) {
        let z = problem.logits("z")
        for (name, target, masks) in targets(problem) {
            let expected = problem.sums(TestValues.doubles(z), masks: masks, threshold: 0.5)
            var first: [MaskLossKernel.Sums] = []
            for threads in 1...3 {
                let sums = MaskLossKernel.sums(
                    z, target: target, canvas: problem.canvas, threshold: 0.5, in: Workspace(threads: threads))
                if threads == 1 { first = sums }
                #expect(sums == first, "\(name): bits with \(threads) threads")
            }
            for (sums, reference) in zip(first, expected) {
                for (value, exact) in [
                    (sums.focal, reference.focal), (sums.overlap, reference.overlap),
                    (sums.prediction, reference.prediction),
                ] {
                    #expect(abs(value - exact) <= 2e-6 * abs(exact) + 1e-7, "\(name): \(value) against \(exact)")
                }
                #expect(sums.target == reference.target && sums.intersection == reference.intersection)
                #expect(sums.union == reference.union, "\(name)")
            }
        }
    }

    @Test func withoutTheFocalTermTheOtherSumsStay() {
        let problem = Case(instances: 3, h: 16, w: 16, canvas: 64)
        let (z, other, workspace) = (problem.logits("z"), problem.logits("other"), Workspace(threads: 1))
        let all = MaskLossKernel.sums(z, target: .logits(other), canvas: 64, threshold: 0, in: workspace)
        let some = MaskLossKernel.sums(
            z, target: .logits(other), canvas: 64, threshold: 0, includingFocal: false, in: workspace)
        for (whole, part) in zip(all, some) {
            var expected = whole
            expected.focal = 0
            #expect(whole.focal > 0 && part == expected)
        }
    }

    /// d/dz of a focal + c_in sum_{m=1} p + c_out sum_{m=0} p, added to the previous contents.
    @Test(arguments: cases) func gradientAgreesWithDifferences(_ problem: Case) {
        let z = problem.logits("z")
        for (name, target, masks) in targets(problem) {
            for slopes in [
                MaskLossKernel.Slopes(focal: 0.7, inside: -0.4, outside: 0.3),
                MaskLossKernel.Slopes(focal: 0, inside: -0.4, outside: 0.3),
            ] {
                var analytic: [Float] = []
                for threads in 1...3 {
                    var gradient = Tensor(repeating: 0.25, problem.shape)
                    MaskLossKernel.addGradient(
                        z, target: target, canvas: problem.canvas, slopes: slopes, into: &gradient,
                        in: Workspace(threads: threads))
                    if threads == 1 { analytic = gradient.elements }
                    #expect(
                        gradient.elements.map(\.bitPattern) == analytic.map(\.bitPattern),
                        "\(name): bits with \(threads) threads")
                }
                // Beyond a logit of 100 the cross entropy is clamped; differences across the kink are meaningless.
                let outcome = GradientCheck.check(
                    TestValues.doubles(z), function: { objective($0, problem, masks, slopes) }, dOutput: [1],
                    analytic: analytic, tolerance: problem.factor > 100 ? 2e-3 : 2e-5, probes: 24)
                #expect(outcome.passed, "\(name): \(outcome)")
            }
        }
    }

    /// The objective plus 0.25 sum z, whose gradient the kernel finds in its output.
    private func objective(
        _ z: [Double], _ problem: Case, _ masks: [Double], _ slopes: MaskLossKernel.Slopes
    ) -> [Double] {
        let sums = problem.sums(z, masks: masks, threshold: 0)
        let value = sums.reduce(0.0) {
            $0 + Double(slopes.focal) * $1.focal + Double(slopes.inside) * $1.overlap
                + Double(slopes.outside) * ($1.prediction - $1.overlap)
        }
        return [value + 0.25 * z.reduce(0, +)]
    }

    /// Enlarging by four in phase order is the general interpolation: sums of the same pixels.
    @Test func phaseOrderAgreesWithTheGeneralPath() {
        let problem = Case(instances: 2, h: 32, w: 32, canvas: 128)
        let (z, workspace) = (problem.logits("z"), Workspace(threads: 1))
        var canvas = Tensor(uninitialized: [2, 128, 128])
        BilinearResizeKernel.forward(z, into: &canvas, in: workspace)
        let target = MaskTarget.bytes(problem.masks(problem.logits("other")).map { UInt8($0) })
        let slopes = MaskLossKernel.Slopes(focal: 1, inside: -1, outside: 1)
        let phases = MaskLossKernel.sums(z, target: target, canvas: 128, threshold: 0.5, in: workspace)
        let raster = MaskLossKernel.sums(canvas, target: target, canvas: 128, threshold: 0.5, in: workspace)
        var (dPhases, dRaster) = (Tensor(zeros: z.shape), Tensor(zeros: z.shape))
        var dCanvas = Tensor(zeros: canvas.shape)
        MaskLossKernel.addGradient(z, target: target, canvas: 128, slopes: slopes, into: &dPhases, in: workspace)
        MaskLossKernel.addGradient(canvas, target: target, canvas: 128, slopes: slopes, into: &dCanvas, in: workspace)
        BilinearResizeKernel.backwardInput(dCanvas, into: &dRaster, in: workspace)
        for (a, b) in zip(phases, raster) {
            #expect(abs(a.focal - b.focal) <= 1e-6 * b.focal && abs(a.overlap - b.overlap) <= 1e-6 * b.overlap)
            #expect(a.intersection == b.intersection && a.union == b.union && a.target == b.target)
        }
        #expect(relativeL2Error(dPhases, dRaster) < 1e-6)
    }
}
