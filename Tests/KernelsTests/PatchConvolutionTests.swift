import Kernels
import Tensors
import Testing
import TestSupport

/// The convolutions with a kernel as large as their stride, and batch-norm folding.
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

    @Test(arguments: [true, false]) func foldedBatchNormEqualsConvolutionThenNorm(hasBias: Bool) {
        let (inputs, outputs) = (3, 6)
        let x = TestValues.uniform([5, 4, inputs], "x")
        let weight = TestValues.uniform([outputs, inputs, 3, 3], "weight")
        let bias = hasBias ? TestValues.uniform([outputs], "bias") : nil
        let norm = BatchNormFolding.Statistics(
            scale: TestValues.uniform([outputs], "scale"), shift: TestValues.uniform([outputs], "shift"),
            mean: TestValues.uniform([outputs], "mean"),
            // Small variances, so that epsilon matters.
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
