import Kernels
import Layers
import Tensors
import Testing
import TestSupport

/// The two halves of an encoder block against their definitions in Double: values, and gradients by central differences.
@Suite struct EncoderHalfBlockTests {
    /// Numbers by name and shape, with scales around 1.
    struct Source: ParameterSource {
        func tensor(_ name: String, _ shape: Shape) -> Tensor {
            let numbers = TestValues.uniform(shape, name)
            guard shape.rank == 1, name.hasSuffix("norm.weight") else { return numbers }
            return Tensor(numbers.elements.map { 1 + 0.3 * $0 }, shape)
        }
    }

    private func doubles(_ name: String, _ shape: Shape) -> [Double] {
        Source().tensor(name, shape).elements.map(Double.init)
    }

    @Test(arguments: [1, 2]) func feedForward(threads: Int) {
        let (tokens, width, hidden) = (5, 6, 24)
        let context = PassContext(Workspace(threads: threads))
        let layer = FeedForward(
            norm: LayerNorm(Source().scoped("norm"), width: width, epsilon: 1e-6),
            expand: Linear(Source().scoped("lin1"), in: width, out: hidden),
            contract: Linear(Source().scoped("lin2"), in: hidden, out: width))
        let x = TestValues.uniform([tokens, width], "x")
        let dY = TestValues.uniform([tokens, width], "dy")
        let (weights, biases) = (
            [doubles("lin1.weight", [hidden, width]), doubles("lin2.weight", [width, hidden])],
            [doubles("lin1.bias", [hidden]), doubles("lin2.bias", [width])]
        )
        let (scale, shift) = (doubles("norm.weight", [width]), doubles("norm.bias", [width]))
        func definition(_ x: [Double]) -> [Double] {
            let normal = layerNorm(x, scale: scale, shift: shift, epsilon: 1e-6)
            let inner = linear(normal, weight: weights[0], bias: biases[0], inputs: width).map(gelu)
            return zip(x, linear(inner, weight: weights[1], bias: biases[1], inputs: hidden)).map { $0 + $1 }
        }
        let (y, saved) = layer.forward(x, in: context)
        #expect(GradientCheck.relativeError(y.elements, definition(TestValues.doubles(x))) < 1e-6)
        #expect(layer(x, in: context).elements == y.elements)
        var gradients = GradientBuffer(count: 0)
        let outcome = GradientCheck.check(
            TestValues.doubles(x), function: definition, dOutput: TestValues.doubles(dY),
            analytic: layer.backward(dY, saved, gradients: &gradients, in: context).elements, tolerance: 2e-6)
        #expect(outcome.passed, "\(outcome)")
    }

    /// Both paddings of windows beyond the image, on a grid that windows do not divide.
    @Test(arguments: [WindowedAttention.Padding.afterNorm, .beforeNorm])
    func windowedAttention(_ padding: WindowedAttention.Padding) {
        let (height, side, window, heads, d) = (4, 5, 3, 2, 4)
        let (tokens, width) = (height * side, heads * d)
        let context = PassContext(Workspace(threads: 2))
        let geometry = AttentionGeometry(
            heads: heads, headDimension: d, height: height, width: side, window: window)
        let layer = WindowedAttention(
            norm: LayerNorm(Source().scoped("norm"), width: width, epsilon: 1e-6),
            qkv: Linear(Source().scoped("qkv"), in: width, out: 3 * width),
            projection: Linear(Source().scoped("proj"), in: width, out: width), geometry: geometry, bias: .none,
            padding: padding, site: ProjectionSite(index: 0, name: "qkv", inputWidth: width, outputWidth: width))
        let x = TestValues.uniform([tokens, width], "x")
        let dY = TestValues.uniform([tokens, width], "dy")
        let (scale, shift) = (doubles("norm.weight", [width]), doubles("norm.bias", [width]))
        let (qkv, qkvBias) = (doubles("qkv.weight", [3 * width, width]), doubles("qkv.bias", [3 * width]))
        let (projection, bias) = (doubles("proj.weight", [width, width]), doubles("proj.bias", [width]))
        let table = (geometry.rows ?? []).map { Int($0) }
        let rows = (0..<geometry.groups).map { group in
            table[group * geometry.queries..<(group + 1) * geometry.queries].map { $0 == tokens ? nil : $0 }
        }
        let reference = AttentionReference(
            heads: heads, headDimension: d, rows: rows, outside: tokens, bias: { _, _, _, _ in 0 })
        func definition(_ x: [Double]) -> [Double] {
            let outside = padding == .afterNorm ? [Double](repeating: 0, count: width) : shift
            let normal = layerNorm(x, scale: scale, shift: shift, epsilon: 1e-6) + outside
            let projected = linear(normal, weight: qkv, bias: qkvBias, inputs: width)
            let attended = reference.output(qkv: projected, tokens: tokens)
            return zip(x, linear(attended, weight: projection, bias: bias, inputs: width)).map { $0 + $1 }
        }
        let (y, saved) = layer.forward(x, in: context)
        #expect(GradientCheck.relativeError(y.elements, definition(TestValues.doubles(x))) < 2e-6)
        #expect(layer(x, in: context).elements == y.elements)
        var gradients = GradientBuffer(count: 0)
        let dX = layer.backward(dY, saved, gradients: &gradients, inputNeeded: true, in: context)
        let outcome = GradientCheck.check(
            TestValues.doubles(x), function: definition, dOutput: TestValues.doubles(dY),
            analytic: dX?.elements ?? [], tolerance: 5e-6, probes: 60)
        #expect(outcome.passed, "\(outcome)")
    }
}
