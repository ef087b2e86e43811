import Kernels
import Tensors
import Testing
import TestSupport

/// Reading maps at points, and its adjoint.
@Suite struct PointSampleTests {
    /// torch.nn.functional.grid_sample(bilinear, padding "zeros", align_corners false) of [[1, 2, 3], [4, 5, 6]] at x, y:
    /// pixel centres, a point between four pixels, corners of the map (a quarter of a corner pixel), an edge.
    @Test func valuesOfGridSample() {
        let maps = Tensor([1, 2, 3, 4, 5, 6], [1, 2, 3])
        let points: [Float] = [1 / 6, 0.25, 0.5, 0.75, 1 / 3, 0.5, 0, 0, 1, 1, 0.5, 0]
        let values = PointSampleKernel.forward(maps, at: Tensor(points, [1, 6, 2]), in: Workspace(threads: 1)).elements
        for (value, expected) in zip(values, [1, 5, 3, 0.25, 1.5, 1] as [Float]) {
            #expect(abs(value - expected) < 1e-6, "\(values)")
        }
    }

    @Test func backwardIsTheAdjoint() {
        let maps = TestValues.uniform([3, 7, 5], "maps")
        let points = Tensor(TestValues.uniform(3 * 40 * 2, "points").map { 0.5 + 0.5 * $0 }, [3, 40, 2])
        let dValues = TestValues.uniform([3, 40], "dValues")
        func run(threads: Int) -> (values: [Float], dMaps: [Float]) {
            let workspace = Workspace(threads: threads)
            var dMaps = Tensor(zeros: maps.shape)
            PointSampleKernel.backward(dValues, at: points, addingTo: &dMaps, in: workspace)
            return (PointSampleKernel.forward(maps, at: points, in: workspace).elements, dMaps.elements)
        }
        let (values, dMaps) = run(threads: 1)
        for threads in 2...3 { #expect(run(threads: threads) == (values, dMaps)) }
        #expect(AdjointTest.gap(x: maps.elements, forward: values, y: dValues.elements, adjoint: dMaps) < 1e-6)
    }

    /// Equal certainties are taken in the order of the candidates.
    @Test func leastCertainPoints() {
        let candidates = Tensor((0..<10).map { Float($0) / 10 }, [1, 5, 2])
        var points = Tensor(zeros: [1, 3, 2])
        PointSampleKernel.leastCertain(
            3, of: candidates, values: Tensor([2, -1, 0.5, 1, -0.5], [1, 5]), into: &points, in: Workspace(threads: 1))
        #expect(points.elements == [0.4, 0.5, 0.8, 0.9, 0.2, 0.3])
    }
}
