import Kernels
import Tensors
import Testing
import TestSupport

@Suite struct AttentionKernelTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var side: (height: Int, width: Int)
        var window: Int
        var kind: String
        var heads = 2
        var headDimension = 8
        var testDescription: String { "\(side.height)x\(side.width) window \(window) \(kind)" }
    }

    static let cases = [
        Case(side: (5, 7), window: 3, kind: "decomposed"), Case(side: (6, 6), window: 3, kind: "decomposed"),
        Case(side: (5, 7), window: 3, kind: "table"), Case(side: (4, 4), window: 4, kind: "table"),
        Case(side: (5, 6), window: 0, kind: "decomposed"),
        Case(side: (18, 17), window: 17, kind: "decomposed", heads: 1),
        Case(side: (5, 6), window: 0, kind: "none"), Case(side: (26, 28), window: 0, kind: "decomposed", heads: 1),
    ]

    /// The data of one case: numbers, the kernel's inputs and the Double reference.
    struct Setting {
        let geometry: AttentionGeometry
        let bias: AttentionBias
        let qkv: Tensor
        let dOutput: Tensor
        let tokens: Int
        let reference: AttentionReference

        init(_ test: Case) {
            var generator = SeededGenerator(seed: 11, purpose: test.testDescription)
            func numbers(_ count: Int) -> [Float] { (0..<count).map { _ in Float(generator.uniform(-1, 1)) } }
            let (d, heads) = (test.headDimension, test.heads)
            geometry = AttentionGeometry(
                heads: heads, headDimension: d, height: test.side.height, width: test.side.width, window: test.window)
            tokens = test.side.height * test.side.width
            let rows = tokens + (geometry.padRow == nil ? 0 : 1)
            qkv = Tensor(numbers(rows * 3 * heads * d).map { 2 * $0 }, [rows, 3 * heads * d])
            dOutput = Tensor(numbers(tokens * heads * d), [tokens, heads * d])
            let window = test.window == 0 ? test.side : (height: test.window, width: test.window)
            var function: (Int, Int, Int, [Double]) -> Double = { _, _, _, _ in 0 }
            switch test.kind {
            case "table":
                let values = numbers(heads * geometry.queries * geometry.keys)
                let (queries, keys) = (geometry.queries, geometry.keys)
                bias = .table(AttentionBias.paddedTable(Tensor(values, [heads, queries, keys])))
                function = { head, query, key, _ in Double(values[(head * queries + query) * keys + key]) }
            case "decomposed":
                let high = numbers((2 * window.height - 1) * d)
                let wide = numbers((2 * window.width - 1) * d)
                bias = .decomposed(
                    height: AttentionBias.reversedTable(Tensor(high, [2 * window.height - 1, d])),
                    width: AttentionBias.reversedTable(Tensor(wide, [2 * window.width - 1, d])), side: window)
                function = { _, query, key, q in
                    let dy = query / window.width - key / window.width + window.height - 1
                    let dx = query % window.width - key % window.width + window.width - 1
                    return (0..<d).reduce(0) { $0 + q[$1] * (Double(high[dy * d + $1]) + Double(wide[dx * d + $1])) }
                }
            default: bias = .none
            }
            let padRow = geometry.padRow
            let table = geometry.rows?.map { Int($0) } ?? Array(0..<tokens)
            let count = geometry.queries
            let grouped = (0..<geometry.groups).map { group in
                table[group * count..<(group + 1) * count].map { $0 == padRow ? nil : $0 }
            }
            reference = AttentionReference(
                heads: heads, headDimension: d, rows: grouped, outside: padRow, bias: function)
        }

        /// Room for the gradients of the tables of a decomposed bias.
        private var positions: AttentionBias.PositionGradients? {
            guard case .decomposed(let height, let width, _) = bias else { return nil }
            var room = AttentionBias.PositionGradients(height: height.shape, width: width.shape)
            (room.height, room.width) = (Tensor(repeating: .nan, height.shape), Tensor(repeating: .nan, width.shape))
            return room
        }

        func run(threads: Int, scratch: Float? = nil) -> (output: Tensor, gradient: Tensor, positions: [Float]) {
            let workspace = Workspace(threads: threads, fillingScratchWith: scratch)
            var output = Tensor(uninitialized: dOutput.shape)
            var logSumExp: Tensor? = Tensor(uninitialized: [geometry.groups * geometry.heads, geometry.queries])
            AttentionKernel.forward(
                qkv: qkv, geometry: geometry, bias: bias, into: &output, logSumExp: &logSumExp, in: workspace)
            var gradient = Tensor(repeating: .nan, qkv.shape)
            var positions = positions
            AttentionKernel.backward(
                dOutput: dOutput, output: output, logSumExp: logSumExp ?? output, qkv: qkv, geometry: geometry,
                bias: bias, into: &gradient, positions: &positions, in: workspace)
            return (output, gradient, positions.map { $0.height.elements + $0.width.elements } ?? [])
        }
    }

    @Test(arguments: cases) func forwardMeetsTheDefinition(_ test: Case) {
        let setting = Setting(test)
        let expected = setting.reference.output(qkv: setting.qkv.elements.map(Double.init), tokens: setting.tokens)
        #expect(GradientCheck.relativeError(setting.run(threads: 2).output.elements, expected) < 2e-6)
    }

    @Test(arguments: cases) func backwardMeetsCentralDifferences(_ test: Case) {
        let setting = Setting(test)
        let outcome = GradientCheck.check(
            setting.qkv.elements.map(Double.init),
            function: { setting.reference.output(qkv: $0, tokens: setting.tokens) },
            dOutput: setting.dOutput.elements.map(Double.init), analytic: setting.run(threads: 2).gradient.elements,
            tolerance: 5e-6, probes: setting.tokens > 100 ? 24 : 60)
        #expect(outcome.passed, "\(outcome)")
    }

    /// Tables of positions over one and several tiles of queries: along their gradient the objective rises by its norm.
    @Test(arguments: cases.filter { $0.kind == "decomposed" }) func gradientsOfTheTables(_ test: Case) throws {
        let setting = Setting(test)
        guard case .decomposed(let height, let width, let side) = setting.bias else { return }
        let slopes = setting.run(threads: 2).positions.map(Double.init)
        let norm = slopes.reduce(0) { $0 + $1 * $1 }.squareRoot()
        let step = 2e-2
        func objective(_ sign: Double) -> Double {
            func moved(_ table: Tensor, _ first: Int) -> Tensor {
                Tensor(
                    table.elements.enumerated().map { $1 + Float(sign * step * slopes[first + $0] / norm) }, table.shape
                )
            }
            let bias = AttentionBias.decomposed(
                height: moved(height, 0), width: moved(width, height.count), side: side)
            var output = Tensor(uninitialized: setting.dOutput.shape)
            var nothing: Tensor?
            AttentionKernel.forward(
                qkv: setting.qkv, geometry: setting.geometry, bias: bias, into: &output, logSumExp: &nothing,
                in: Workspace(threads: 2))
            return zip(output.elements, setting.dOutput.elements).reduce(0) { $0 + Double($1.0) * Double($1.1) }
        }
        let slope = (objective(1) - objective(-1)) / (2 * step)
        #expect(norm > 0 && abs(slope - norm) <= 5e-3 * norm, "\(slope), \(norm)")
    }

    @Test(arguments: cases) func bitsDoNotDependOnThreads(_ test: Case) {
        let setting = Setting(test)
        let one = setting.run(threads: 1)
        for threads in 2...3 {
            let other = setting.run(threads: threads)
            #expect(one.output.elements.map(\.bitPattern) == other.output.elements.map(\.bitPattern))
            #expect(one.gradient.elements.map(\.bitPattern) == other.gradient.elements.map(\.bitPattern))
            #expect(one.positions.map(\.bitPattern) == other.positions.map(\.bitPattern))
        }
    }

    /// Scores are padded to whole vectors, and the padding starts with leftovers of the memory.
    @Test(arguments: cases) func bitsDoNotDependOnScratch(_ test: Case) {
        let setting = Setting(test)
        let clean = setting.run(threads: 1, scratch: 0)
        for filling in [Float.greatestFiniteMagnitude, -.infinity, .nan] {
            let other = setting.run(threads: 1, scratch: filling)
            let outputIsSame = clean.output.elements.map(\.bitPattern) == other.output.elements.map(\.bitPattern)
            let gradientIsSame = clean.gradient.elements.map(\.bitPattern) == other.gradient.elements.map(\.bitPattern)
            let tablesAreSame = clean.positions.map(\.bitPattern) == other.positions.map(\.bitPattern)
            #expect(outputIsSame && gradientIsSame && tablesAreSame, "scratch that begins as \(filling)")
        }
    }

    /// Cross-attention with several groups and more keys than one tile holds, against the packed form's definition.
    @Test(arguments: [(3, 9, 700), (2, 300, 9), (1, 5, 5)])
    func separateProjections(_ groups: Int, _ queries: Int, _ keys: Int) {
        var generator = SeededGenerator(seed: 5, purpose: "cross")
        let (heads, d) = (2, 4)
        func numbers(_ rows: Int) -> Tensor {
            Tensor((0..<rows * heads * d).map { _ in Float(generator.uniform(-2, 2)) }, [rows, heads * d])
        }
        let (q, k, v) = (numbers(groups * queries), numbers(groups * keys), numbers(groups * keys))
        let dOutput = numbers(groups * queries)
        let geometry = AttentionGeometry(heads: heads, headDimension: d, groups: groups, queries: queries, keys: keys)
        let workspace = Workspace(threads: 2)
        var output = Tensor(uninitialized: q.shape)
        var logSumExp: Tensor? = Tensor(uninitialized: [groups * heads, queries])
        AttentionKernel.forward(
            query: q, key: k, value: v, geometry: geometry, into: &output, logSumExp: &logSumExp, in: workspace)
        var (dQ, dK, dV) = (
            Tensor(uninitialized: q.shape), Tensor(uninitialized: k.shape), Tensor(uninitialized: v.shape)
        )
        AttentionKernel.backward(
            dOutput: dOutput, output: output, logSumExp: logSumExp ?? output, query: q, key: k, value: v,
            geometry: geometry, dQuery: &dQ, dKey: &dK, dValue: &dV, in: workspace)

        // The packed reference has queries + keys rows per group: only the first attend, only the others serve as keys.
        let sizes = [q.count, k.count, v.count]
        let point = (q.elements + k.elements + v.elements).map(Double.init)
        func definition(_ x: [Double]) -> [Double] {
            var result: [Double] = []
            for group in 0..<groups {
                for query in 0..<queries {
                    for head in 0..<heads {
                        let row = (0..<d).map { x[((group * queries + query) * heads + head) * d + $0] }
                        let index = { (part: Int, key: Int, i: Int) in
                            (part == 1 ? sizes[0] : sizes[0] + sizes[1]) + ((group * keys + key) * heads + head) * d + i
                        }
                        let scores = (0..<keys).map { key in
                            (0..<d).reduce(0.0) { $0 + row[$1] * x[index(1, key, $1)] } / Double(d).squareRoot()
                        }
                        let weights = softmax(scores)
                        for i in 0..<d {
                            result.append((0..<keys).reduce(0.0) { $0 + weights[$1] * x[index(2, $1, i)] })
                        }
                    }
                }
            }
            return result
        }
        #expect(GradientCheck.relativeError(output.elements, definition(point)) < 2e-6)
        let outcome = GradientCheck.check(
            point, function: definition, dOutput: dOutput.elements.map(Double.init),
            analytic: dQ.elements + dK.elements + dV.elements, tolerance: 5e-6, probes: 40)
        #expect(outcome.passed, "\(outcome)")
    }
}
