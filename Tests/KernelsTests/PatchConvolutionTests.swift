import Kernels
import Tensors
import TestSupport
import Testing

/// The convolutions whose kernel is their stride, and batch-norm folding.
@Suite struct PatchConvolutionTests {
    @Test(arguments: [(16, 16, 1, 16), (48, 32, 7, 16), (112, 480, 5, 16), (12, 20, 9, 4)])
    func patchEmbeddingAgreesWithItsDefinition(_ problem: (height: Int, width: Int, outputs: Int, patch: Int)) {
        let (height, width, outputs, patch) = problem
        let x = TestValues.uniform([height, width, 3], "x")
        let weight = TestValues.uniform([outputs, 3, patch, patch], "weight")
        let bias = TestValues.uniform([outputs], "bias")
        let output: Shape = [height / patch, width / patch, outputs]
        let position = TestValues.uniform(output, "position")
        let expected = ConvolutionReference.forward(
            .init(height, width, 3, TestValues.doubles(x)), weight: TestValues.doubles(weight),
            bias: TestValues.doubles(bias), outputs: outputs, kernel: patch, stride: patch, padding: 0
        ).elements
        let packed = PatchEmbeddingKernel.pack(weight)
        let plain = EveryThreadCount.run(output) {
            PatchEmbeddingKernel.forward(
                x, weight: FrozenMatrix(packed), bias: bias, patchSize: patch, into: &$0, in: $1)
        }
        #expect(GradientCheck.relativeError(plain, expected) < 1e-6)
        let positioned = EveryThreadCount.run(output) {
            PatchEmbeddingKernel.forward(
                x, weight: FrozenMatrix(packed), bias: bias, positionEmbedding: position, patchSize: patch, into: &$0,
                in: $1)
        }
        #expect(
            GradientCheck.relativeError(positioned, zip(expected, TestValues.doubles(position)).map(+)) < 1e-6)
    }

    static let doublings = [(1, 1, 1, 1), (1, 7, 3, 2), (5, 1, 2, 3), (4, 6, 16, 8), (9, 5, 17, 19)]

    @Test(arguments: doublings) func transposedConvolutionAgreesWithItsDefinition(_ problem: (Int, Int, Int, Int)) {
        let (height, width, inputs, outputs) = problem
        let x = TestValues.uniform([height, width, inputs], "x")
        let weight = TestValues.uniform([inputs, outputs, 2, 2], "weight")
        let bias = TestValues.uniform([outputs], "bias")
        let output: Shape = [2 * height, 2 * width, outputs]
        func reference(_ x: [Double], _ bias: [Double]) -> [Double] {
            ConvolutionReference.transposed(
                .init(height, width, inputs, x), weight: TestValues.doubles(weight), bias: bias, outputs: outputs,
                kernel: 2, stride: 2
            ).elements
        }
        let expected = reference(TestValues.doubles(x), TestValues.doubles(bias))
        let packed = TransposedConvolution2x2Kernel.pack(weight)
        let plain = EveryThreadCount.run(output) {
            TransposedConvolution2x2Kernel.forward(x, weight: packed, bias: bias, into: &$0, in: $1)
        }
        #expect(GradientCheck.relativeError(plain, expected) < 5e-7)
        let activated = EveryThreadCount.run(output) {
            TransposedConvolution2x2Kernel.forward(
                x, weight: packed, bias: bias, activation: .gelu, into: &$0, in: $1)
        }
        #expect(GradientCheck.relativeError(activated, EveryThreadCount.gelu(expected)) < 1e-6)
        let kept = EveryThreadCount.run(output) { y, workspace in
            var before = GuardedOutput(output)
            TransposedConvolution2x2Kernel.forwardKeepingPreActivation(
                x, weight: packed, bias: bias, preActivation: &before.tensor, into: &y, in: workspace)
            #expect(before.isIntact && before.tensor.elements == plain)
        }
        #expect(kept == activated)

        let dY = TestValues.uniform(output, "dY")
        let linear = EveryThreadCount.run(output) {
            TransposedConvolution2x2Kernel.forward(x, weight: packed, bias: nil, into: &$0, in: $1)
        }
        let dX = EveryThreadCount.run(x.shape) {
            TransposedConvolution2x2Kernel.backwardInput(dY, weight: packed, into: &$0, in: $1)
        }
        #expect(AdjointTest.gap(x: x.elements, forward: linear, y: dY.elements, adjoint: dX) < 5e-7)
        let outcome = GradientCheck.check(
            TestValues.doubles(x), function: { reference($0, []) }, dOutput: TestValues.doubles(dY), analytic: dX,
            tolerance: 1e-6, probes: 60)
        #expect(outcome.passed, "\(outcome)")
    }

    /// Numbers of torch.nn.functional.conv_transpose2d.
    @Test func transposedConvolutionGoldenNumbers() {
        let x = Tensor([1, 10], [1, 2, 1])
        let weight = TransposedConvolution2x2Kernel.pack(Tensor((1...8).map(Float.init), [1, 2, 2, 2]))
        let y = EveryThreadCount.run([2, 4, 2]) {
            TransposedConvolution2x2Kernel.forward(
                x, weight: weight, bias: Tensor([0.5, -0.5], [2]), into: &$0, in: $1)
        }
        #expect(
            y == [1.5, 4.5, 2.5, 5.5, 10.5, 49.5, 20.5, 59.5, 3.5, 6.5, 4.5, 7.5, 30.5, 69.5, 40.5, 79.5])
    }

    @Test(arguments: [(2, 2, 1, 4), (8, 6, 4, 16), (7, 9, 3, 5), (64, 64, 1, 4)])
    func halvingConvolutionAgreesWithItsDefinition(_ problem: (Int, Int, Int, Int)) {
        let (height, width, inputs, outputs) = problem
        let x = TestValues.uniform([height, width, inputs], "x")
        let weight = TestValues.uniform([outputs, inputs, 2, 2], "weight")
        let bias = TestValues.uniform([outputs], "bias")
        let expected = ConvolutionReference.forward(
            .init(height, width, inputs, TestValues.doubles(x)), weight: TestValues.doubles(weight),
            bias: TestValues.doubles(bias), outputs: outputs, kernel: 2, stride: 2, padding: 0
        ).elements
        let packed = Convolution2x2Kernel.pack(weight)
        let y = EveryThreadCount.run([height / 2, width / 2, outputs]) {
            Convolution2x2Kernel.forward(x, weight: packed, bias: bias, into: &$0, in: $1)
        }
        #expect(GradientCheck.relativeError(y, expected) < 5e-7)
    }

    @Test(arguments: [true, false]) func foldedBatchNormEqualsConvolutionThenNorm(hasBias: Bool) {
        let (inputs, outputs) = (3, 6)
        let x = TestValues.uniform([5, 4, inputs], "x")
        let weight = TestValues.uniform([outputs, inputs, 3, 3], "weight")
        let bias = hasBias ? TestValues.uniform([outputs], "bias") : nil
        let norm = BatchNormFolding.Statistics(
            scale: TestValues.uniform([outputs], "scale"), shift: TestValues.uniform([outputs], "shift"),
            mean: TestValues.uniform([outputs], "mean"),
            // Small variances, so that epsilon counts.
            variance: Tensor([1e-5, 1e-4, 0.01, 0.3, 2, 9], [outputs]))
        func convolve(_ weight: Tensor, _ bias: [Double]) -> [Double] {
            ConvolutionReference.forward(
                .init(5, 4, inputs, TestValues.doubles(x)), weight: TestValues.doubles(weight), bias: bias,
                outputs: outputs, kernel: 3, stride: 1, padding: 1
            ).elements
        }
        let expected = convolve(weight, bias.map(TestValues.doubles) ?? []).enumerated().map { index, value in
            let c = index % outputs
            return Double(norm.scale[c]) * (value - Double(norm.mean[c]))
                / (Double(norm.variance[c]) + 1e-5).squareRoot() + Double(norm.shift[c])
        }
        let folded = BatchNormFolding.fold(norm, into: weight, bias: bias)
        #expect(folded.weight.shape == weight.shape && folded.bias.shape == [outputs])
        let actual = convolve(folded.weight, TestValues.doubles(folded.bias))
        #expect(GradientCheck.relativeError(actual.map { Float($0) }, expected) < 5e-7)
    }
}
