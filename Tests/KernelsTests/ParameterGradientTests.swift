import Kernels
import Tensors
import Testing
import TestSupport

/// Gradients of weights, biases, scales and shifts: sums over tokens.
@Suite struct LinearParameterGradientTests {
    struct Size: Sendable, CustomTestStringConvertible {
        let rows, outputs, inputs: Int
        var testDescription: String { "\(rows) rows, \(outputs) x \(inputs)" }
    }

    /// dW[n, k] = sum_t dy[t, n] x[t, k], in Double.
    private func weightGradient(_ dY: [Double], _ x: [Double], _ size: Size) -> [Double] {
        var sum = [Double](repeating: 0, count: size.outputs * size.inputs)
        for t in 0..<size.rows {
            for n in 0..<size.outputs {
                let slope = dY[t * size.outputs + n]
                for k in 0..<size.inputs { sum[n * size.inputs + k] += slope * x[t * size.inputs + k] }
            }
        }
        return sum
    }

    /// One row; tokens in one and several bands, of one and several tiles; one output or input over many tokens;
    /// a dW above the size that partial sums may have; no token.
    @Test(arguments: [
        Size(rows: 1, outputs: 3, inputs: 5), Size(rows: 8, outputs: 130, inputs: 300),
        Size(rows: 513, outputs: 33, inputs: 17), Size(rows: 3000, outputs: 200, inputs: 270),
        Size(rows: 9, outputs: 1100, inputs: 1030), Size(rows: 8, outputs: 2048, inputs: 1),
        Size(rows: 65_536, outputs: 1, inputs: 40), Size(rows: 65_536, outputs: 4, inputs: 32),
        Size(rows: 65_536, outputs: 24, inputs: 1), Size(rows: 0, outputs: 4, inputs: 6),
    ])
    func weightAgreesWithItsDefinition(_ size: Size) {
        let x = TestValues.uniform([size.rows, size.inputs], "x")
        let dY = TestValues.uniform([size.rows, size.outputs], "dy")
        let expected = weightGradient(TestValues.doubles(dY), TestValues.doubles(x), size)
        let analytic = EveryThreadCount.run([size.outputs, size.inputs], "dW") {
            LinearKernel.backwardWeight(dY, input: x, into: &$0, in: $1)
        }
        #expect(GradientCheck.relativeError(analytic, expected) < 1e-6)
    }

    @Test(arguments: [
        Size(rows: 1, outputs: 3, inputs: 1), Size(rows: 257, outputs: 40, inputs: 1),
        Size(rows: 8, outputs: 2048, inputs: 1), Size(rows: 65_536, outputs: 1, inputs: 1),
        Size(rows: 65_536, outputs: 21, inputs: 1), Size(rows: 0, outputs: 4, inputs: 1),
    ])
    func biasAgreesWithItsDefinition(_ size: Size) {
        let dY = TestValues.uniform([size.rows, size.outputs], "dy")
        // x = 1 makes the weight a bias.
        let ones = [Double](repeating: 1, count: size.rows)
        let expected = weightGradient(TestValues.doubles(dY), ones, size)
        let analytic = EveryThreadCount.run([size.outputs], "db") { LinearKernel.backwardBias(dY, into: &$0, in: $1) }
        // Relative to the terms: a single sum of terms of both signs may be near zero.
        let terms = TestValues.doubles(dY).reduce(0) { $0 + $1 * $1 }
        let error = zip(analytic, expected).reduce(0) { $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1) }
        #expect(error.squareRoot() <= 1e-6 * terms.squareRoot())
    }

    /// A sum without cancellation: all tokens add with the same sign.
    @Test func longSumsOfOneSign() {
        let rows = 65_536
        let (x, dY) = (TestValues.uniform([rows, 3], "x"), TestValues.uniform([rows, 2], "dy"))
        let positive = { (t: Tensor) in Tensor(t.elements.map { abs($0) + 0.1 }, t.shape) }
        let (a, b) = (positive(x), positive(dY))
        let size = Size(rows: rows, outputs: 2, inputs: 3)
        let expected = weightGradient(TestValues.doubles(b), TestValues.doubles(a), size)
        let analytic = EveryThreadCount.run([2, 3], "dW") {
            LinearKernel.backwardWeight(b, input: a, into: &$0, in: $1)
        }
        #expect(GradientCheck.relativeError(analytic, expected) < 1e-6)
    }

    /// Compared with finite differences of the forward pass, like every other kernel.
    @Test(arguments: [Size(rows: 300, outputs: 33, inputs: 17), Size(rows: 40, outputs: 5, inputs: 64)])
    func gradientsAgreeWithDifferences(_ size: Size) {
        let x = TestValues.uniform([size.rows, size.inputs], "x")
        let dY = TestValues.uniform([size.rows, size.outputs], "dy")
        let weight = TestValues.doubles(TestValues.uniform([size.outputs, size.inputs], "w"))
        let bias = TestValues.doubles(TestValues.uniform([size.outputs], "b"))
        let workspace = Workspace(threads: 2)
        var dW = Tensor(uninitialized: [size.outputs, size.inputs])
        var db = Tensor(uninitialized: [size.outputs])
        LinearKernel.backwardWeight(dY, input: x, into: &dW, in: workspace)
        LinearKernel.backwardBias(dY, into: &db, in: workspace)
        let input = TestValues.doubles(x)
        let ofWeight = GradientCheck.check(
            weight, function: { linear(input, weight: $0, bias: bias, inputs: size.inputs) },
            dOutput: TestValues.doubles(dY), analytic: dW.elements, tolerance: 2e-6, probes: 12)
        #expect(ofWeight.passed, "weight: \(ofWeight)")
        let ofBias = GradientCheck.check(
            bias, function: { linear(input, weight: weight, bias: $0, inputs: size.inputs) },
            dOutput: TestValues.doubles(dY), analytic: db.elements, tolerance: 2e-6, probes: 5)
        #expect(ofBias.passed, "bias: \(ofBias)")
    }

    /// Leftovers in scratch memory have no effect.
    @Test func scratchIsWrittenBeforeItIsRead() {
        let (x, dY) = (TestValues.uniform([2500, 30], "x"), TestValues.uniform([2500, 20], "dy"))
        func gradients(_ workspace: Workspace) -> [UInt32] {
            var (dW, db) = (Tensor(uninitialized: [20, 30]), Tensor(uninitialized: [20]))
            LinearKernel.backwardWeight(dY, input: x, into: &dW, in: workspace)
            LinearKernel.backwardBias(dY, into: &db, in: workspace)
            return (dW.elements + db.elements).map(\.bitPattern)
        }
        #expect(
            gradients(Workspace(threads: 2, fillingScratchWith: .nan))
                == gradients(Workspace(threads: 2, fillingScratchWith: 7)))
    }
}

@Suite struct LayerNormParameterGradientTests {
    /// Tokens in one and several bands; widths without, with part of and with several whole vectors.
    @Test(arguments: [1, 70, 513], [7, 16, 40, 256])
    func agreesWithDifferences(_ rows: Int, _ width: Int) {
        let x = Tensor(TestValues.uniform(rows * width, "x").map { 3 * $0 }, [rows, width])
        // Three rows more than x has, which must be ignored.
        let dY = TestValues.uniform([rows + 3, width], "dy")
        let (scale, shift) = (TestValues.uniform([width], "g"), TestValues.uniform([width], "b"))
        let (dScale, dShift) = gradients(dY, x, scale: scale, shift: shift)
        let (g, b, input) = (TestValues.doubles(scale), TestValues.doubles(shift), TestValues.doubles(x))
        let dOutput = Array(TestValues.doubles(dY).prefix(rows * width))
        let ofScale = GradientCheck.check(
            g, function: { layerNorm(input, scale: $0, shift: b, epsilon: 1e-6) }, dOutput: dOutput,
            analytic: dScale, tolerance: 2e-6, probes: 20)
        #expect(ofScale.passed, "scale: \(ofScale)")
        let ofShift = GradientCheck.check(
            b, function: { layerNorm(input, scale: g, shift: $0, epsilon: 1e-6) }, dOutput: dOutput,
            analytic: dShift, tolerance: 2e-6, probes: 20)
        #expect(ofShift.passed, "shift: \(ofShift)")
    }

    /// SAM's largest map: 65,536 pixels, against the sums in Double.
    @Test func manyRows() {
        let (rows, width) = (65_536, 20)
        let x = TestValues.uniform([rows, width], "x")
        let dY = TestValues.uniform([rows, width], "dy")
        let unit = Tensor(repeating: 1, [width])
        let (dScale, dShift) = gradients(dY, x, scale: unit, shift: Tensor(zeros: [width]))
        let normal = layerNorm(
            TestValues.doubles(x), scale: [Double](repeating: 1, count: width),
            shift: [Double](repeating: 0, count: width), epsilon: 1e-6)
        var ofScale = [Double](repeating: 0, count: width)
        var ofShift = ofScale
        for (place, slope) in TestValues.doubles(dY).enumerated() {
            ofScale[place % width] += slope * normal[place]
            ofShift[place % width] += slope
        }
        #expect(GradientCheck.relativeError(dScale, ofScale) < 1e-6)
        #expect(GradientCheck.relativeError(dShift, ofShift) < 1e-6)
    }

    /// Both gradients, each checked for guard bands and for equal bits with one to three threads.
    private func gradients(_ dY: Tensor, _ x: Tensor, scale: Tensor, shift: Tensor) -> ([Float], [Float]) {
        let (rows, width) = (x.shape[0], x.shape[1])
        var y = Tensor(uninitialized: x.shape)
        var statistics: Tensor? = Tensor(uninitialized: [rows, 2])
        LayerNormKernel.forward(
            x, scale: scale, shift: shift, epsilon: 1e-6, into: &y, statistics: &statistics, in: Workspace(threads: 1))
        let saved = statistics ?? y
        let dScale = EveryThreadCount.run([width], "dg") {
            var other = Tensor(uninitialized: [width])
            LayerNormKernel.backwardParameters(
                dY, input: x, statistics: saved, scale: &$0, shift: &other, in: $1)
        }
        let dShift = EveryThreadCount.run([width], "db") {
            var other = Tensor(uninitialized: [width])
            LayerNormKernel.backwardParameters(
                dY, input: x, statistics: saved, scale: &other, shift: &$0, in: $1)
        }
        return (dScale, dShift)
    }
}
