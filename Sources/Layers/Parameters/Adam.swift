// Adam (Kingma and Ba 2015) as torch.optim.Adam computes it, with the released WeSAM's coupled L2 term:
//   g' = g + decay w                                 (coupled), or  w *= 1 - rate decay  (decoupled, AdamW)
//   m = b1 m + (1 - b1) g',   v = b2 v + (1 - b2) g'^2
//   w -= rate / (1 - b1^t)  m / (sqrt v / sqrt(1 - b2^t) + eps)
//
// A group of parameters may have its own rate (the rate times a factor) and its own decay.
//
// Every number is updated independently, so the owner of a slice gets the bits a single process would get.

/// Adam over one rank's slice of the trainable parameters, including the slice's moments.
public struct Adam: Sendable {
    /// The constants.
    public struct Configuration: Sendable, Equatable {
        /// Decay of the first moment.
        public var beta1: Double
        /// Decay of the second moment.
        public var beta2: Double
        /// Added to the root of the second moment.
        public var epsilon: Double
        /// Factor of the L2 term.
        public var weightDecay: Double
        /// True for an L2 term inside the gradient (Adam), false for decay of the weights (AdamW).
        public var isWeightDecayCoupled: Bool

        /// Creates a configuration.
        public init(beta1: Double, beta2: Double, epsilon: Double, weightDecay: Double, isWeightDecayCoupled: Bool) {
            (self.beta1, self.beta2, self.epsilon) = (beta1, beta2, epsilon)
            (self.weightDecay, self.isWeightDecayCoupled) = (weightDecay, isWeightDecayCoupled)
        }
    }

    /// The constants.
    public let configuration: Configuration
    /// Running mean of the gradient. // [slice]
    public private(set) var firstMoment: [Float]
    /// Running mean of its square. // [slice]
    public private(set) var secondMoment: [Float]
    /// Updates made so far.
    public private(set) var step = 0

    /// Starts with zero moments for `count` numbers.
    public init(count: Int, configuration: Configuration) {
        self.configuration = configuration
        firstMoment = [Float](repeating: 0, count: count)
        secondMoment = firstMoment
    }

    /// Continues with the moments of an earlier run. // [slice] each
    public init(firstMoment: [Float], secondMoment: [Float], step: Int, configuration: Configuration) {
        precondition(firstMoment.count == secondMoment.count && step >= 0)
        (self.firstMoment, self.secondMoment, self.step) = (firstMoment, secondMoment, step)
        self.configuration = configuration
    }

    /// Updates the slice in place.
    ///
    /// - Parameters:
    ///   - weights: The parameters. // [slice]
    ///   - gradient: Their gradient. // [slice]
    ///   - rate: The learning rate of this step.
    ///   - groups: The groups' ranges in the slice; nil applies the configuration to all.
    public mutating func update(
        _ weights: inout [Float], gradient: [Float], rate: Double,
        groups: [(range: Range<Int>, group: ParameterGroup)]? = nil
    ) {
        precondition(weights.count == firstMoment.count && gradient.count == weights.count)
        step += 1
        for (range, group) in groups ?? [(weights.indices, ParameterGroup("all"))] {
            update(&weights, range, gradient: gradient, rate: rate * group.rateFactor, decay: group.decay)
        }
    }

    private mutating func update(
        _ weights: inout [Float], _ range: Range<Int>, gradient: [Float], rate: Double, decay kind: ParameterGroup.Decay
    ) {
        let (b1, b2) = (Float(configuration.beta1), Float(configuration.beta2))
        let correction1 = 1 - power(configuration.beta1, step)
        let correction2 = (1 - power(configuration.beta2, step)).squareRoot()
        let (stepSize, root) = (Float(rate / correction1), Float(correction2))
        let factor = kind == .none ? 0 : configuration.weightDecay
        let isCoupled = kind == .asConfigured ? configuration.isWeightDecayCoupled : kind == .coupled
        let (decay, epsilon) = (Float(factor), Float(configuration.epsilon))
        let shrink = Float(1 - rate * factor)
        for i in range {
            var g = gradient[i]
            if isCoupled { g += decay * weights[i] } else { weights[i] *= shrink }
            firstMoment[i] = b1 * firstMoment[i] + (1 - b1) * g
            secondMoment[i] = b2 * secondMoment[i] + (1 - b2) * g * g
            weights[i] -= stepSize * firstMoment[i] / (secondMoment[i].squareRoot() / root + epsilon)
        }
    }

    /// base^exponent by repeated squaring: no library call, hence no difference between C libraries.
    private func power(_ base: Double, _ exponent: Int) -> Double {
        var (result, factor, rest) = (1.0, base, exponent)
        while rest > 0 {
            if rest & 1 == 1 { result *= factor }
            factor *= factor
            rest >>= 1
        }
        return result
    }
}
