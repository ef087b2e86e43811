import Layers
import Testing

@Suite struct AdamTests {
    /// torch.optim.Adam(lr 0.1, weight_decay 0.01) on w = [0.5, -1, 2] with gradients [0.1, -0.2, 0.3], [0.4, 0, -0.1], [-0.5, 0.25, 0.05].
    @Test func meetsPyTorch() {
        let configuration = Adam.Configuration(
            beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01, isWeightDecayCoupled: true)
        var adam = Adam(count: 3, configuration: configuration)
        var weights: [Float] = [0.5, -1, 2]
        for gradient: [Float] in [[0.1, -0.2, 0.3], [0.4, 0, -0.1], [-0.5, 0.25, 0.05]] {
            adam.update(&weights, gradient: gradient, rate: 0.1)
        }
        for (value, expected) in zip(weights, expectedCoupled) { #expect(abs(value - expected) < 2e-6) }
    }

    /// torch.optim.AdamW with the same values.
    @Test func decoupledDecayMeetsPyTorch() {
        let configuration = Adam.Configuration(
            beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01, isWeightDecayCoupled: false)
        var adam = Adam(count: 3, configuration: configuration)
        var weights: [Float] = [0.5, -1, 2]
        for gradient: [Float] in [[0.1, -0.2, 0.3], [0.4, 0, -0.1], [-0.5, 0.25, 0.05]] {
            adam.update(&weights, gradient: gradient, rate: 0.1)
        }
        for (value, expected) in zip(weights, expectedDecoupled) { #expect(abs(value - expected) < 2e-6) }
    }

    /// torch.optim.Adam and AdamW with one group per parameter: as configured, half the rate without decay, decoupled,
    /// a tenth of the rate.
    @Test func groupsMeetPyTorch() {
        let configuration = Adam.Configuration(
            beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01, isWeightDecayCoupled: true)
        let groups = [
            (0..<1, ParameterGroup("a")), (1..<2, ParameterGroup("b", rateFactor: 0.5, decay: .none)),
            (2..<3, ParameterGroup("c", decay: .decoupled)), (3..<4, ParameterGroup("d", rateFactor: 0.1)),
        ].map { (range: $0.0, group: $0.1) }
        var adam = Adam(count: 4, configuration: configuration)
        var weights: [Float] = [0.5, -1, 2, 0.25]
        for gradient: [Float] in [[0.1, -0.2, 0.3, 0.2], [0.4, 0, -0.1, -0.3], [-0.5, 0.25, 0.05, 0.1]] {
            adam.update(&weights, gradient: gradient, rate: 0.1, groups: groups)
        }
        let expected: [Float] = [0.315879287, -0.925279919, 1.81368153, 0.242408734]
        for (value, expected) in zip(weights, expected) { #expect(abs(value - expected) < 2e-6) }
    }

    /// A single group of all parameters is bit-identical to no group.
    @Test func oneGroupChangesNoBit() {
        let configuration = Adam.Configuration(
            beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 1e-4, isWeightDecayCoupled: false)
        var (plain, grouped) = (
            Adam(count: 3, configuration: configuration), Adam(count: 3, configuration: configuration)
        )
        var (first, second): ([Float], [Float]) = ([0.3, -0.1, 0.7], [0.3, -0.1, 0.7])
        for step in 1..<5 {
            let gradient = first.indices.map { Float(step) / Float($0 + 2) - 0.4 }
            plain.update(&first, gradient: gradient, rate: 0.01)
            grouped.update(&second, gradient: gradient, rate: 0.01, groups: [(0..<3, ParameterGroup("all"))])
        }
        #expect(first.map(\.bitPattern) == second.map(\.bitPattern))
    }

    /// Two owners of a slice each get the bits of a single owner.
    @Test func slicesGetTheSameBits() {
        let configuration = Adam.Configuration(
            beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 1e-4, isWeightDecayCoupled: true)
        var (whole, left, right) = (
            Adam(count: 5, configuration: configuration), Adam(count: 2, configuration: configuration),
            Adam(count: 3, configuration: configuration)
        )
        var weights: [Float] = [0.3, -0.1, 0.7, 1.1, -2]
        var (low, high) = (Array(weights[..<2]), Array(weights[2...]))
        for step in 0..<7 {
            let gradient = weights.indices.map { Float(step + 1) / Float($0 * 3 + 2) - 0.4 }
            whole.update(&weights, gradient: gradient, rate: 0.01)
            left.update(&low, gradient: Array(gradient[..<2]), rate: 0.01)
            right.update(&high, gradient: Array(gradient[2...]), rate: 0.01)
        }
        #expect(weights.map(\.bitPattern) == (low + high).map(\.bitPattern))
    }
}

private let expectedCoupled: [Float] = [0.3158793, -0.8425376, 1.8049815]
private let expectedDecoupled: [Float] = [0.3161691, -0.8478298, 1.8136816]
