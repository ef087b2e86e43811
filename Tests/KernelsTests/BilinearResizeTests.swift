import Kernels
import Tensors
import Testing
import TestSupport

@Suite struct BilinearResizeTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let planes, h, w, height, width: Int
        var testDescription: String { "\(planes) x \(h)x\(w) -> \(height)x\(width)" }
        var x: Tensor { TestValues.uniform([planes, h, w], "x") }
        var output: Shape { [planes, height, width] }

        func reference(_ x: [Double]) -> [Double] {
            (0..<planes).flatMap {
                BilinearReference.forward(
                    Array(x[($0 * h * w)..<(($0 + 1) * h * w)]), h: h, w: w, height: height, width: width)
            }
        }
    }

    static let cases: [Case] = [
        (1, 1, 1, 1, 1), (2, 1, 1, 5, 3), (1, 1, 7, 4, 2), (3, 5, 1, 2, 9), (2, 6, 7, 6, 7), (1, 2, 3, 3, 5),
        (2, 8, 9, 32, 36), (1, 40, 33, 97, 61), (1, 61, 53, 17, 90), (2, 37, 50, 11, 7), (1, 64, 64, 1, 1),
    ].map { Case(planes: $0.0, h: $0.1, w: $0.2, height: $0.3, width: $0.4) }

    @Test(arguments: cases) func forwardAgreesWithItsDefinition(_ problem: Case) {
        let x = problem.x
        let y = EveryThreadCount.run(problem.output) { BilinearResizeKernel.forward(x, into: &$0, in: $1) }
        // The sampling positions themselves are Float, as in PyTorch: about 1e-7 of the extent.
        #expect(GradientCheck.relativeError(y, problem.reference(TestValues.doubles(x))) < 1e-5)
    }

    @Test(arguments: cases) func backwardIsTheAdjoint(_ problem: Case) {
        let (x, dY) = (problem.x, TestValues.uniform(problem.output, "dY"))
        let y = EveryThreadCount.run(problem.output) { BilinearResizeKernel.forward(x, into: &$0, in: $1) }
        let dX = EveryThreadCount.run(x.shape) { BilinearResizeKernel.backwardInput(dY, into: &$0, in: $1) }
        #expect(AdjointTest.gap(x: x.elements, forward: y, y: dY.elements, adjoint: dX) < 5e-7)
        let outcome = GradientCheck.check(
            TestValues.doubles(x), function: problem.reference, dOutput: TestValues.doubles(dY), analytic: dX,
            tolerance: 1e-5, probes: 40)
        #expect(outcome.passed, "\(outcome)")
    }

    @Test func rowsAreThoseOfTheWholeMap() {
        let problem = Case(planes: 1, h: 9, w: 14, height: 31, width: 50)
        let (x, dY) = (problem.x, TestValues.uniform(problem.output, "dY"))
        let map = BilinearMap(sourceHeight: 9, sourceWidth: 14, height: 31, width: 50)
        let whole = EveryThreadCount.run(problem.output) { BilinearResizeKernel.forward(x, into: &$0, in: $1) }
        let wholeGradient = EveryThreadCount.run(x.shape) { BilinearResizeKernel.backwardInput(dY, into: &$0, in: $1) }
        var row = GuardedOutput([50])
        var gradient = Tensor(zeros: x.shape)
        withExtendedLifetime((x, dY)) {
            for y in 0..<31 {
                map.interpolateRow(x.pointer, row: y, into: row.tensor.mutablePointer)
                #expect(row.isIntact && row.tensor.elements == Array(whole[(y * 50)..<((y + 1) * 50)]))
                map.accumulateRow(dY.pointer + y * 50, row: y, into: gradient.mutablePointer)
            }
        }
        #expect(gradient.elements == wholeGradient)
    }

    /// Numbers of torch.nn.functional.interpolate, enlarging and shrinking.
    @Test func goldenNumbers() {
        let small = Tensor([1, 4, 2, 8, -3, 5], [1, 2, 3])
        let enlarged = EveryThreadCount.run([1, 3, 5]) { BilinearResizeKernel.forward(small, into: &$0, in: $1) }
        let large = Tensor((0..<20).map { Float($0 * $0) }, [1, 4, 5])
        let shrunk = EveryThreadCount.run([1, 3, 2]) { BilinearResizeKernel.forward(large, into: &$0, in: $1) }
        let expectedEnlarged: [Double] = [
            1, 2.2, 4, 2.8, 2, 4.5, 2.9, 0.5, 2.3, 3.5, 8, 3.6, -3, 1.8, 5,
        ]
        let expectedShrunk: [Double] = [6.166_667_5, 20.333_334, 74.5, 122, 226.166_687, 307.000_030_5]
        #expect(GradientCheck.relativeError(enlarged, expectedEnlarged) < 3e-7)
        #expect(GradientCheck.relativeError(shrunk, expectedShrunk) < 3e-7)
    }
}
