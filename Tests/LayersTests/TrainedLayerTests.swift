import Kernels
import Layers
import Tensors
import Testing
import TestSupport

/// Layers whose parameters train, against their definitions in Double: values, and gradients by central differences.
@Suite struct TrainedLayerTests {
    /// Values by name and shape, each with a place among the trained ones.
    private struct Source {
        let recorder = ParameterRecorder()

        func build<Layer>(_ make: (any ParameterSource) -> Layer) -> (layer: Layer, trained: TrainableParameters) {
            _ = make(recorder)
            var layout = ParameterLayout()
            layout.append(recorder.trainable, group: ParameterGroup("all"))
            let source = TrainableSource(EncoderHalfBlockTests.Source(), layout: layout)
            return (make(source), TrainableParameters(layout: layout, values: source.initialValues))
        }
    }

    private func check(
        _ trained: TrainableParameters, _ gradients: GradientBuffer, dY: Tensor, _ definition: ([Double]) -> [Double]
    ) {
        let outcome = GradientCheck.check(
            TestValues.doubles(trained.values), function: definition, dOutput: TestValues.doubles(dY),
            analytic: gradients.values.elements, tolerance: 5e-6, probes: 80)
        #expect(outcome.passed, "\(outcome)")
    }

    /// A parameter's part of the flat values.
    private func part(_ numbers: [Double], _ trained: TrainableParameters, _ name: String) -> [Double] {
        guard let slot = trained.layout.slot(of: name) else { return [] }
        return Array(numbers[slot.range])
    }

    @Test(arguments: [1, 2]) func linearAndNorm(threads: Int) {
        let (rows, inputs, outputs) = (7, 5, 6)
        let (layers, trained) = Source().build {
            (
                Linear($0.scoped("lin"), in: inputs, out: outputs),
                LayerNorm($0.scoped("norm"), width: outputs, epsilon: 1e-5)
            )
        }
        let context = PassContext(Workspace(threads: threads), trained: trained)
        let x = TestValues.uniform([rows, inputs], "x")
        let dY = TestValues.uniform([rows, outputs], "dy")
        func definition(_ numbers: [Double]) -> [Double] {
            let product = linear(
                TestValues.doubles(x), weight: part(numbers, trained, "lin.weight"),
                bias: part(numbers, trained, "lin.bias"), inputs: inputs)
            return layerNorm(
                product, scale: part(numbers, trained, "norm.weight"), shift: part(numbers, trained, "norm.bias"),
                epsilon: 1e-5)
        }
        let before = layers.0(x, in: context)
        let (y, statistics) = layers.1.forward(before, in: context)
        #expect(GradientCheck.relativeError(y.elements, definition(TestValues.doubles(trained.values))) < 2e-6)
        var gradients = GradientBuffer(trained.layout)
        layers.1.backwardParameters(dY, input: before, statistics, gradients: &gradients, in: context)
        let dBefore = layers.1.backward(dY, input: before, statistics, in: context)
        layers.0.backwardParameters(dBefore, input: x, gradients: &gradients, in: context)
        check(trained, gradients, dY: dY, definition)
    }

    /// y[t, (a, b, o)] = sum_c x[t, c] W[c, o, a, b] + b[o].
    @Test func transposedConvolution() {
        let (rows, inputs, outputs) = (5, 3, 4)
        let (layer, trained) = Source().build { TransposedConvolution2x2($0, from: inputs, to: outputs) }
        let context = PassContext(Workspace(threads: 2), trained: trained)
        let x = TestValues.uniform([rows, inputs], "x")
        let dY = TestValues.uniform([rows, 4 * outputs], "dy")
        func definition(_ numbers: [Double]) -> [Double] {
            let (weight, bias) = (part(numbers, trained, "weight"), part(numbers, trained, "bias"))
            return (0..<rows).flatMap { row in
                (0..<4 * outputs).map { column in
                    let (tap, o) = column.quotientAndRemainder(dividingBy: outputs)
                    return (0..<inputs).reduce(bias[o]) {
                        $0 + Double(x[row * inputs + $1]) * weight[($1 * outputs + o) * 4 + tap]
                    }
                }
            }
        }
        let product = layer.product(in: context)
        let y = product(x, in: context.workspace)
        #expect(GradientCheck.relativeError(y.elements, definition(TestValues.doubles(trained.values))) < 1e-6)
        let frozen = layer.product(in: context.frozen)(x, in: context.workspace)
        #expect(frozen.elements == y.elements)
        var gradients = GradientBuffer(trained.layout)
        layer.backwardParameters(dY, input: x, gradients: &gradients, in: context)
        check(trained, gradients, dY: dY, definition)
    }

    /// y[t, o] = sum_{a, b, c} x[t, (a, b, c)] W[o, c, a, b] + b[o].
    @Test func stridedConvolution() {
        let (rows, inputs, outputs) = (5, 3, 4)
        let (layer, trained) = Source().build { StridedConvolution2x2($0, from: inputs, to: outputs) }
        let context = PassContext(Workspace(threads: 2), trained: trained)
        let x = TestValues.uniform([rows, 4 * inputs], "x")
        let dY = TestValues.uniform([rows, outputs], "dy")
        func definition(_ numbers: [Double]) -> [Double] {
            let (weight, bias) = (part(numbers, trained, "weight"), part(numbers, trained, "bias"))
            return (0..<rows).flatMap { row in
                (0..<outputs).map { o in
                    (0..<4 * inputs).reduce(bias[o]) { sum, column in
                        let (tap, c) = column.quotientAndRemainder(dividingBy: inputs)
                        return sum + Double(x[row * 4 * inputs + column]) * weight[(o * inputs + c) * 4 + tap]
                    }
                }
            }
        }
        let y = layer.product(in: context)(x, in: context.workspace)
        #expect(GradientCheck.relativeError(y.elements, definition(TestValues.doubles(trained.values))) < 1e-6)
        #expect(layer.product(in: context.frozen)(x, in: context.workspace).elements == y.elements)
        var gradients = GradientBuffer(trained.layout)
        layer.backwardParameters(dY, input: x, gradients: &gradients, in: context)
        check(trained, gradients, dY: dY, definition)
    }
}
