import Kernels
import Layers
import Tensors
import Testing
import TestSupport

/// The halves of an encoder block whose own weights train, against their definitions in Double.
@Suite struct TrainedHalfBlockTests {
    /// A layer with all its parameters trained, at values by their names.
    private func build<Layer>(_ make: (any ParameterSource) -> Layer) -> (layer: Layer, trained: TrainableParameters) {
        let recorder = ParameterRecorder()
        _ = make(recorder)
        var layout = ParameterLayout()
        layout.append(recorder.trainable, group: ParameterGroup("all"))
        let source = TrainableSource(EncoderHalfBlockTests.Source(), layout: layout)
        return (make(source), TrainableParameters(layout: layout, values: source.initialValues))
    }

    private func part(_ numbers: [Double], _ trained: TrainableParameters, _ name: String) -> [Double] {
        guard let slot = trained.layout.slot(of: name) else { return [] }
        return Array(numbers[slot.range])
    }

    @Test(arguments: RecomputeLevel.allCases) func feedForward(_ recompute: RecomputeLevel) {
        let (tokens, width, hidden) = (5, 6, 24)
        let (layer, trained) = build {
            FeedForward(
                norm: LayerNorm($0.scoped("norm"), width: width, epsilon: 1e-6),
                expand: Linear($0.scoped("lin1"), in: width, out: hidden),
                contract: Linear($0.scoped("lin2"), in: hidden, out: width))
        }
        #expect(trained.layout.count == layer.parameters.reduce(0) { $0 + $1.count })
        let context = PassContext(Workspace(threads: 2), trained: trained, recompute: recompute)
        let (x, dY) = (TestValues.uniform([tokens, width], "x"), TestValues.uniform([tokens, width], "dy"))
        func definition(_ numbers: [Double]) -> [Double] {
            func values(_ name: String) -> [Double] { part(numbers, trained, name) }
            let normal = layerNorm(
                TestValues.doubles(x), scale: values("norm.weight"), shift: values("norm.bias"), epsilon: 1e-6)
            let inner = linear(normal, weight: values("lin1.weight"), bias: values("lin1.bias"), inputs: width).map(
                gelu)
            let outer = linear(inner, weight: values("lin2.weight"), bias: values("lin2.bias"), inputs: hidden)
            return zip(TestValues.doubles(x), outer).map { $0 + $1 }
        }
        var gradients = GradientBuffer(trained.layout)
        let (_, saved) = layer.forward(x, in: context)
        _ = layer.backward(dY, saved, gradients: &gradients, in: context)
        let outcome = GradientCheck.check(
            TestValues.doubles(trained.values), function: definition, dOutput: TestValues.doubles(dY),
            analytic: gradients.values.elements, tolerance: 5e-6, probes: 120)
        #expect(outcome.passed, "\(outcome)")
    }

    /// Windows that the grid is not a multiple of, with tables of relative positions, and one window over the whole grid.
    @Test(arguments: [(3, WindowedAttention.Padding.afterNorm), (3, .beforeNorm), (5, .afterNorm)])
    func windowedAttention(_ window: Int, _ padding: WindowedAttention.Padding) {
        let (height, across, heads, d) = (5, 5, 2, 4)
        let (tokens, width) = (height * across, heads * d)
        let geometry = AttentionGeometry(
            heads: heads, headDimension: d, height: height, width: across, window: window)
        let (layer, trained) = build {
            WindowedAttention(
                norm: LayerNorm($0.scoped("norm"), width: width, epsilon: 1e-6),
                qkv: Linear($0.scoped("qkv"), in: width, out: 3 * width),
                projection: Linear($0.scoped("proj"), in: width, out: width), geometry: geometry,
                positions: RelativePositions($0, stored: window, side: window, columns: d), padding: padding,
                site: ProjectionSite(index: 0, name: "qkv", inputWidth: width, outputWidth: 3 * width))
        }
        #expect(layer.canTrain && trained.layout.slot(of: "rel_pos_h")?.shape == [2 * window - 1, d])
        let (x, dY) = (TestValues.uniform([tokens, width], "x"), TestValues.uniform([tokens, width], "dy"))
        let table = geometry.rows.map { $0.map { Int($0) } } ?? Array(0..<tokens)
        let rows = (0..<geometry.groups).map { group in
            table[group * geometry.queries..<(group + 1) * geometry.queries].map { $0 == tokens ? nil : $0 }
        }
        func definition(_ numbers: [Double]) -> [Double] {
            func values(_ name: String) -> [Double] { part(numbers, trained, name) }
            let (high, wide) = (values("rel_pos_h"), values("rel_pos_w"))
            let reference = AttentionReference(
                heads: heads, headDimension: d, rows: rows, outside: geometry.padRow,
                bias: { _, query, key, q in
                    let dy = query / window - key / window + window - 1
                    let dx = query % window - key % window + window - 1
                    return (0..<d).reduce(0) { $0 + q[$1] * (high[dy * d + $1] + wide[dx * d + $1]) }
                })
            let shift = values("norm.bias")
            let outside = padding == .afterNorm ? [Double](repeating: 0, count: width) : shift
            let normal = layerNorm(TestValues.doubles(x), scale: values("norm.weight"), shift: shift, epsilon: 1e-6)
            let projected = linear(
                normal + (geometry.padRow == nil ? [] : outside), weight: values("qkv.weight"),
                bias: values("qkv.bias"), inputs: width)
            let attended = reference.output(qkv: projected, tokens: tokens)
            let added = linear(attended, weight: values("proj.weight"), bias: values("proj.bias"), inputs: width)
            return zip(TestValues.doubles(x), added).map { $0 + $1 }
        }
        let context = PassContext(Workspace(threads: 2, fillingScratchWith: .nan), trained: trained)
        let (y, saved) = layer.forward(x, in: context)
        #expect(GradientCheck.relativeError(y.elements, definition(TestValues.doubles(trained.values))) < 2e-6)
        var gradients = GradientBuffer(trained.layout)
        _ = layer.backward(dY, saved, gradients: &gradients, inputNeeded: true, in: context)
        for entry in trained.layout.entries {
            // A key's bias adds the same number to all scores of a query: its gradient is 0, here a remainder of rounding.
            let checked = entry.name == "qkv.bias" ? Array(entry.range.prefix(width)) : Array(entry.range)
            let start = TestValues.doubles(trained.values)
            let outcome = GradientCheck.check(
                checked.map { start[$0] },
                function: { own in
                    var numbers = start
                    for (place, value) in zip(checked, own) { numbers[place] = value }
                    return definition(numbers)
                }, dOutput: TestValues.doubles(dY), analytic: checked.map { gradients.values.elements[$0] },
                tolerance: 1e-5, probes: 24)
            #expect(outcome.passed, "\(entry.name): \(outcome)")
        }
    }
}
