import Kernels
import Tensors
import Testing
import TestSupport

@Suite struct Convolution3x3Tests {
    struct Case: Sendable, CustomTestStringConvertible {
        let height, width, inputs, outputs, stride: Int
        var testDescription: String { "\(height)x\(width)x\(inputs) -> \(outputs), stride \(stride)" }
        var x: Tensor { TestValues.uniform([height, width, inputs], "x") }
        var weight: Tensor { TestValues.uniform([outputs, inputs, 3, 3], "weight") }
        var bias: Tensor { TestValues.uniform([outputs], "bias") }
        var output: Shape { [(height - 1) / stride + 1, (width - 1) / stride + 1, outputs] }

        func reference(_ x: [Double], bias: [Double]) -> [Double] {
            ConvolutionReference.forward(
                .init(height, width, inputs, x), weight: TestValues.doubles(weight), bias: bias, outputs: outputs,
                kernel: 3, stride: stride, padding: 1
            ).elements
        }
    }

    static let cases: [Case] = [1, 2].flatMap { stride in
        [
            (1, 1, 1, 1), (1, 5, 2, 3), (4, 1, 3, 2), (2, 2, 3, 5), (5, 7, 3, 8), (6, 8, 16, 4), (33, 9, 5, 17),
            (40, 35, 3, 6),
        ].map { Case(height: $0.0, width: $0.1, inputs: $0.2, outputs: $0.3, stride: stride) }
    }

    @Test(arguments: cases) func forwardAgreesWithItsDefinition(_ problem: Case) {
        let (x, weight, bias) = (problem.x, Convolution3x3Kernel.pack(problem.weight), problem.bias)
        let expected = problem.reference(TestValues.doubles(x), bias: TestValues.doubles(bias))
        let plain = EveryThreadCount.run(problem.output) {
            Convolution3x3Kernel.forward(
                x, weight: FrozenMatrix(weight), bias: bias, stride: problem.stride, into: &$0, in: $1)
        }
        #expect(GradientCheck.relativeError(plain, expected) < 5e-7)
        let activated = EveryThreadCount.run(problem.output) {
            Convolution3x3Kernel.forward(
                x, weight: FrozenMatrix(weight), bias: bias, stride: problem.stride, activation: .gelu, into: &$0,
                in: $1)
        }
        #expect(GradientCheck.relativeError(activated, EveryThreadCount.gelu(expected)) < 1e-6)
        let kept = EveryThreadCount.run(problem.output) { y, workspace in
            var before = GuardedOutput(problem.output)
            Convolution3x3Kernel.forwardKeepingPreActivation(
                x, weight: FrozenMatrix(weight), bias: bias, stride: problem.stride, preActivation: &before.tensor,
                into: &y,
                in: workspace)
            #expect(before.isIntact && before.tensor.elements == plain)
        }
        #expect(kept == activated)
    }

    @Test(arguments: cases) func backwardIsTheAdjoint(_ problem: Case) {
        let x = problem.x
        let (weight, transposed) = (
            Convolution3x3Kernel.pack(problem.weight), Convolution3x3Kernel.packForBackward(problem.weight)
        )
        let dY = TestValues.uniform(problem.output, "dY")
        let y = EveryThreadCount.run(problem.output) {
            Convolution3x3Kernel.forward(
                x, weight: FrozenMatrix(weight), bias: nil, stride: problem.stride, into: &$0, in: $1)
        }
        let dX = EveryThreadCount.run(x.shape) {
            Convolution3x3Kernel.backwardInput(
                dY, weight: FrozenMatrix(transposed), stride: problem.stride, into: &$0, in: $1)
        }
        #expect(AdjointTest.gap(x: x.elements, forward: y, y: dY.elements, adjoint: dX) < 5e-7)
    }

    @Test(arguments: [1, 2]) func backwardAgreesWithDifferences(stride: Int) {
        let problem = Case(height: 5, width: 6, inputs: 3, outputs: 4, stride: stride)
        let dY = TestValues.uniform(problem.output, "dY")
        let transposed = Convolution3x3Kernel.packForBackward(problem.weight)
        let dX = EveryThreadCount.run(problem.x.shape) {
            Convolution3x3Kernel.backwardInput(dY, weight: FrozenMatrix(transposed), stride: stride, into: &$0, in: $1)
        }
        let outcome = GradientCheck.check(
            TestValues.doubles(problem.x), function: { problem.reference($0, bias: []) },
            dOutput: TestValues.doubles(dY), analytic: dX, tolerance: 1e-6)
        #expect(outcome.passed, "\(outcome)")
    }

    /// The weight enters linearly, so its gradient is the adjoint of forward in it.
    @Test(arguments: cases) func weightGradientIsTheAdjoint(_ problem: Case) {
        let (x, weight) = (problem.x, problem.weight)
        let dY = TestValues.uniform(problem.output, "dY")
        let y = EveryThreadCount.run(problem.output) {
            Convolution3x3Kernel.forward(
                x, weight: FrozenMatrix(Convolution3x3Kernel.pack(weight)), bias: nil, stride: problem.stride,
                into: &$0, in: $1)
        }
        let dWeight = EveryThreadCount.run(weight.shape) {
            Convolution3x3Kernel.backwardWeight(dY, input: x, stride: problem.stride, into: &$0, in: $1)
        }
        #expect(AdjointTest.gap(x: weight.elements, forward: y, y: dY.elements, adjoint: dWeight) < 1e-6)
    }

    /// Every element of the weight's gradient, by differences in Double.
    @Test(arguments: [1, 2]) func weightGradientAgreesWithDifferences(stride: Int) {
        let problem = Case(height: 5, width: 6, inputs: 3, outputs: 4, stride: stride)
        let dY = TestValues.uniform(problem.output, "dY")
        let dWeight = EveryThreadCount.run(problem.weight.shape) {
            Convolution3x3Kernel.backwardWeight(dY, input: problem.x, stride: stride, into: &$0, in: $1)
        }
        let outcome = GradientCheck.check(
            TestValues.doubles(problem.weight),
            function: { weight in
                ConvolutionReference.forward(
                    .init(problem.height, problem.width, problem.inputs, TestValues.doubles(problem.x)),
                    weight: weight, bias: [], outputs: problem.outputs, kernel: 3, stride: stride, padding: 1
                ).elements
            }, dOutput: TestValues.doubles(dY), analytic: dWeight, tolerance: 1e-6)
        #expect(outcome.passed, "\(outcome)")
    }

    /// Numbers of torch.nn.functional.conv2d for x = weight = 1 ... 9.
    @Test func goldenNumbers() {
        let x = Tensor((1...9).map(Float.init), [3, 3, 1])
        let weight = Convolution3x3Kernel.pack(Tensor((1...9).map(Float.init), [1, 1, 3, 3]))
        let dense = EveryThreadCount.run([3, 3, 1]) {
            Convolution3x3Kernel.forward(x, weight: FrozenMatrix(weight), bias: nil, into: &$0, in: $1)
        }
        #expect(dense == [94, 154, 106, 186, 285, 186, 106, 154, 94])
        let strided = EveryThreadCount.run([2, 2, 1]) {
            Convolution3x3Kernel.forward(x, weight: FrozenMatrix(weight), bias: nil, stride: 2, into: &$0, in: $1)
        }
        #expect(strided == [94, 106, 106, 94])
    }
}
