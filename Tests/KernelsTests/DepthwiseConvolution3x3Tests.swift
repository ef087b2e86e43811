import Kernels
import Tensors
import Testing
import TestSupport

@Suite struct DepthwiseConvolution3x3Tests {
    struct Case: Sendable, CustomTestStringConvertible {
        let height, width, channels, stride: Int
        var testDescription: String { "\(height)x\(width)x\(channels), stride \(stride)" }
        var x: Tensor { TestValues.uniform([height, width, channels], "x") }
        var weight: Tensor { TestValues.uniform([channels, 1, 3, 3], "weight") }
        var bias: Tensor { TestValues.uniform([channels], "bias") }
        var output: Shape { [(height - 1) / stride + 1, (width - 1) / stride + 1, channels] }

        func reference(_ x: [Double], bias: [Double]) -> [Double] {
            ConvolutionReference.forward(
                .init(height, width, channels, x), weight: TestValues.doubles(weight), bias: bias, outputs: channels,
                kernel: 3, stride: stride, padding: 1, groups: channels
            ).elements
        }
    }

    /// Channel counts around the vector width, widths around the block of four pixels, and one image of several tiles
    /// in both directions (2056 channels leave room for eight, or four, columns).
    static let cases: [Case] = [1, 2].flatMap { stride in
        [
            (1, 1, 1), (1, 6, 8), (7, 1, 9), (2, 2, 8), (3, 3, 3), (5, 4, 8), (5, 5, 16), (6, 6, 7), (7, 13, 24),
            (35, 19, 8),
            (38, 22, 12), (5, 27, 2056),
        ].map { Case(height: $0.0, width: $0.1, channels: $0.2, stride: stride) }
    }

    @Test(arguments: cases) func forwardAgreesWithItsDefinition(_ problem: Case) {
        let (x, weight, bias) = (problem.x, DepthwiseConvolution3x3Kernel.pack(problem.weight), problem.bias)
        let expected = problem.reference(TestValues.doubles(x), bias: TestValues.doubles(bias))
        let plain = EveryThreadCount.run(problem.output) {
            DepthwiseConvolution3x3Kernel.forward(
                x, weight: weight, bias: bias, stride: problem.stride, into: &$0, in: $1)
        }
        #expect(GradientCheck.relativeError(plain, expected) < 3e-7)
        let activated = EveryThreadCount.run(problem.output) {
            DepthwiseConvolution3x3Kernel.forward(
                x, weight: weight, bias: bias, stride: problem.stride, activation: .gelu, into: &$0, in: $1)
        }
        #expect(GradientCheck.relativeError(activated, EveryThreadCount.gelu(expected)) < 1e-6)
        let kept = EveryThreadCount.run(problem.output) { y, workspace in
            var before = GuardedOutput(problem.output)
            DepthwiseConvolution3x3Kernel.forwardKeepingPreActivation(
                x, weight: weight, bias: bias, stride: problem.stride, preActivation: &before.tensor, into: &y,
                in: workspace)
            #expect(before.isIntact && before.tensor.elements == plain)
        }
        #expect(kept == activated)
    }

    @Test(arguments: cases) func backwardIsTheAdjoint(_ problem: Case) {
        let (x, weight) = (problem.x, DepthwiseConvolution3x3Kernel.pack(problem.weight))
        let dY = TestValues.uniform(problem.output, "dY")
        let y = EveryThreadCount.run(problem.output) {
            DepthwiseConvolution3x3Kernel.forward(
                x, weight: weight, bias: nil, stride: problem.stride, into: &$0, in: $1)
        }
        let dX = EveryThreadCount.run(x.shape) {
            DepthwiseConvolution3x3Kernel.backwardInput(
                dY, weight: weight, stride: problem.stride, into: &$0, in: $1)
        }
        #expect(AdjointTest.gap(x: x.elements, forward: y, y: dY.elements, adjoint: dX) < 3e-7)
    }

    @Test(arguments: [1, 2], [5, 6]) func backwardAgreesWithDifferences(stride: Int, height: Int) {
        let problem = Case(height: height, width: 11 - height, channels: 11, stride: stride)
        let weight = DepthwiseConvolution3x3Kernel.pack(problem.weight)
        let dY = TestValues.uniform(problem.output, "dY")
        let dX = EveryThreadCount.run(problem.x.shape) {
            DepthwiseConvolution3x3Kernel.backwardInput(dY, weight: weight, stride: stride, into: &$0, in: $1)
        }
        let outcome = GradientCheck.check(
            TestValues.doubles(problem.x), function: { problem.reference($0, bias: []) },
            dOutput: TestValues.doubles(dY), analytic: dX, tolerance: 1e-6)
        #expect(outcome.passed, "\(outcome)")
    }
}
