import Kernels
import Tensors
import Testing
import TestSupport

@Suite struct UnitNormKernelTests {
    @Test(arguments: [(1, 1), (3, 16), (257, 5), (300, 37)]) func forwardAndBackward(rows: Int, width: Int) {
        let x = TestValues.uniform([rows, width], "x")
        let dY = TestValues.uniform([rows, width], "dY")
        func reference(_ x: [Double]) -> [Double] {
            (0..<rows).flatMap { row in
                let values = x[(row * width)..<((row + 1) * width)]
                let length = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
                return values.map { $0 / length }
            }
        }
        var scale = Tensor(uninitialized: [rows])
        let y = EveryThreadCount.run(x.shape) { UnitNormKernel.forward(x, into: &$0, scale: &scale, in: $1) }
        #expect(GradientCheck.relativeError(y, reference(TestValues.doubles(x))) < 3e-7)
        let kept = Tensor(y, x.shape)
        let dX = EveryThreadCount.run(x.shape) {
            for index in 0..<$0.count { $0[index] = 0 }
            UnitNormKernel.backward(dY, output: kept, scale: scale, addingTo: &$0, in: $1)
        }
        if width == 1 {
            #expect(dX.allSatisfy { abs($0) < 1e-5 })
        } else {
            let outcome = GradientCheck.check(
                TestValues.doubles(x), function: reference, dOutput: TestValues.doubles(dY), analytic: dX,
                tolerance: 2e-6, probes: 30)
            #expect(outcome.passed, "\(outcome)")
        }
    }

    @Test func rowsOfZerosStayZeroAndAddToTheGradient() {
        let x = Tensor(zeros: [2, 4])
        var (y, scale) = (Tensor(uninitialized: [2, 4]), Tensor(uninitialized: [2]))
        let workspace = Workspace(threads: 1)
        UnitNormKernel.forward(x, into: &y, scale: &scale, in: workspace)
        #expect(y.elements == x.elements)
        var dX = Tensor(repeating: 3, [2, 4])
        UnitNormKernel.backward(Tensor(zeros: [2, 4]), output: y, scale: scale, addingTo: &dX, in: workspace)
        #expect(dX.elements == [Float](repeating: 3, count: 8))
    }
}
