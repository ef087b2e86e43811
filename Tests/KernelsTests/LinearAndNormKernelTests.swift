import Kernels
import Machine
import Tensors
import Testing
import TestSupport

/// Numbers in [-1, 1), a function of the label.
private func numbers(_ shape: Shape, _ label: String, scale: Float = 1) -> Tensor {
    var generator = SeededGenerator(seed: 3, purpose: label)
    return Tensor((0..<shape.count).map { _ in scale * Float(generator.uniform(-1, 1)) }, shape)
}

private func doubles(_ tensor: Tensor) -> [Double] { tensor.elements.map(Double.init) }

@Suite struct LinearKernelTests {
    @Test(arguments: [(1, 5, 3), (300, 17, 33), (513, 64, 48)], [1, 2, 3])
    func forwardAndBackward(_ size: (Int, Int, Int), threads: Int) {
        let (rows, inputs, outputs) = size
        let workspace = Workspace(threads: threads)
        let x = numbers([rows, inputs], "x")
        let weight = numbers([outputs, inputs], "w")
        let bias = numbers([outputs], "b")
        let residual = numbers([rows, outputs], "r")
        var y = Tensor(uninitialized: [rows, outputs])
        LinearKernel.forward(
            x, weight: FrozenMatrix(weight), bias: bias, activation: .gelu, residual: residual, into: &y, in: workspace)
        let product = linear(doubles(x), weight: doubles(weight), bias: doubles(bias), inputs: inputs)
        #expect(GradientCheck.relativeError(y.elements, zip(product, doubles(residual)).map { gelu($0) + $1 }) < 1e-6)
        LinearKernel.forward(x, weight: FrozenMatrix(weight), bias: bias, activation: .relu, into: &y, in: workspace)
        #expect(GradientCheck.relativeError(y.elements, product.map { max($0, 0) }) < 1e-6)

        let dY = numbers([rows, outputs], "dy")
        var dX = numbers([rows, inputs], "old")
        let before = doubles(dX)
        LinearKernel.backwardInput(dY, weight: FrozenMatrix(weight), into: &dX, accumulating: true, in: workspace)
        // The adjoint identity <W x, dy> = <x, W' dy> for the linear part.
        let forward = linear(doubles(x), weight: doubles(weight), bias: nil, inputs: inputs)
        let left = zip(forward, doubles(dY)).reduce(0) { $0 + $1.0 * $1.1 }
        let right = zip(doubles(x), zip(doubles(dX), before)).reduce(0) { $0 + $1.0 * ($1.1.0 - $1.1.1) }
        #expect(abs(left - right) < 1e-5 * max(abs(left), 1))
    }

    @Test func preActivationIsKept() {
        let workspace = Workspace(threads: 2)
        let (x, weight, bias) = (numbers([300, 9], "x"), numbers([20, 9], "w"), numbers([20], "b"))
        var (h, y) = (Tensor(uninitialized: [300, 20]), Tensor(uninitialized: [300, 20]))
        LinearKernel.forwardKeepingPreActivation(
            x, weight: FrozenMatrix(weight), bias: bias, preActivation: &h, into: &y, in: workspace)
        let product = linear(doubles(x), weight: doubles(weight), bias: doubles(bias), inputs: 9)
        #expect(GradientCheck.relativeError(h.elements, product) < 1e-6)
        #expect(GradientCheck.relativeError(y.elements, product.map(gelu)) < 1e-6)
    }
}

@Suite struct ElementaryKernelTests {
    @Test func geluOverItsWholeRange() {
        let points = (-2000...2000).map { Float($0) * 0.005 }
        let workspace = Workspace(threads: 1)
        let x = Tensor(points, [points.count])
        var y = Tensor(uninitialized: x.shape)
        GELUKernel.forward(x, into: &y, in: workspace)
        for (value, point) in zip(y.elements, points) {
            #expect(abs(Double(value) - gelu(Double(point))) < 4e-7 * max(1, abs(Double(point))))
        }
        var gradient = Tensor(repeating: 1, x.shape)
        GELUKernel.backward(&gradient, preActivation: x, in: workspace)
        let outcome = GradientCheck.check(
            points.map(Double.init), function: { $0.map(gelu) }, dOutput: points.map { _ in 1 },
            analytic: gradient.elements, tolerance: 1e-6, probes: 400)
        #expect(outcome.passed, "\(outcome)")
    }

    @Test(arguments: [7, 16, 40, 256], [1, 3])
    func layerNormForwardAndBackward(_ width: Int, threads: Int) {
        let workspace = Workspace(threads: threads)
        let x = numbers([70, width], "x", scale: 3)
        let (scale, shift) = (numbers([width], "g"), numbers([width], "b"))
        let dY = numbers([70, width], "dy")
        var y = Tensor(uninitialized: x.shape)
        var statistics: Tensor? = Tensor(uninitialized: [70, 2])
        LayerNormKernel.forward(
            x, scale: scale, shift: shift, epsilon: 1e-6, into: &y, statistics: &statistics, in: workspace)
        let definition = { layerNorm($0, scale: doubles(scale), shift: doubles(shift), epsilon: 1e-6) }
        #expect(GradientCheck.relativeError(y.elements, definition(doubles(x))) < 1e-6)
        var dX = Tensor(zeros: x.shape)
        LayerNormKernel.backward(
            dY, input: x, scale: scale, statistics: statistics ?? y, into: &dX, accumulating: true, in: workspace)
        let outcome = GradientCheck.check(
            doubles(x), function: definition, dOutput: doubles(dY), analytic: dX.elements, tolerance: 2e-6, probes: 60)
        #expect(outcome.passed, "\(outcome)")
    }
}

@Suite struct LowRankKernelTests {
    /// y[:, 5 ..< 16] += (x A^T) B^T, and all three gradients.
    @Test(arguments: [1, 2, 3]) func forwardAndBackward(threads: Int) {
        let workspace = Workspace(threads: threads)
        let (rows, d, n, rank, column, width) = (530, 12, 11, 4, 5, 20)
        let (x, a, b) = (numbers([rows, d], "x"), numbers([rank, d], "a"), numbers([n, rank], "b"))
        let dY = numbers([rows, width], "dy")
        var u = Tensor(uninitialized: [rows, rank])
        var y = Tensor(zeros: [rows, width])
        LowRankKernel.forward(x, down: a, up: b, column: column, projected: &u, into: &y, in: workspace)
        func definition(_ x: [Double], _ a: [Double], _ b: [Double]) -> [Double] {
            let update = linear(linear(x, weight: a, bias: nil, inputs: d), weight: b, bias: nil, inputs: rank)
            return (0..<rows * width).map { i in
                let (row, place) = (i / width, i % width - column)
                return place >= 0 && place < n ? update[row * n + place] : 0
            }
        }
        #expect(GradientCheck.relativeError(y.elements, definition(doubles(x), doubles(a), doubles(b))) < 1e-6)
        var (dA, dB) = (Tensor(uninitialized: a.shape), Tensor(uninitialized: b.shape))
        var dX: Tensor? = Tensor(zeros: x.shape)
        LowRankKernel.backward(
            dY, input: x, projected: u, down: a, up: b, column: column, dDown: &dA, dUp: &dB, addingTo: &dX,
            in: workspace)
        let gradients = [
            GradientCheck.check(
                doubles(a), function: { definition(doubles(x), $0, doubles(b)) }, dOutput: doubles(dY),
                analytic: dA.elements, tolerance: 1e-6, probes: 12),
            GradientCheck.check(
                doubles(b), function: { definition(doubles(x), doubles(a), $0) }, dOutput: doubles(dY),
                analytic: dB.elements, tolerance: 1e-6, probes: 12),
            GradientCheck.check(
                doubles(x), function: { definition($0, doubles(a), doubles(b)) }, dOutput: doubles(dY),
                analytic: dX?.elements ?? [], tolerance: 1e-6, probes: 12),
        ]
        for outcome in gradients { #expect(outcome.passed, "\(outcome)") }
    }
}

@Suite struct ThreadPoolTests {
    @Test(arguments: 1...4) func everyTaskRunsOnce(threads: Int) {
        let pool = ThreadPool(threads: threads)
        for count in [0, 1, 2, 3, 100, 1000] {
            let hits = UnsafeMutablePointer<Int32>.allocate(capacity: max(count, 1))
            defer { hits.deallocate() }
            hits.update(repeating: 0, count: count)
            pool.parallelFor(count) { task, worker in
                #expect(worker >= 0 && worker < threads)
                hits[task] += 1
            }
            #expect((0..<count).allSatisfy { hits[$0] == 1 })
        }
    }
}
