public import Tensors

// At inference batch norm is affine per channel: g (z - mu) / sqrt(v + eps) + beta. After z = W x + b it is
//   W'[o, ...] = r[o] W[o, ...],   b'[o] = r[o] (b[o] - mu[o]) + beta[o],   r[o] = g[o] / sqrt(v[o] + eps)
// so a frozen network needs no batch norm. Computed in Double and rounded once.

/// Folds a frozen batch norm into the convolution or linear layer before it, when weights are loaded.
public enum BatchNormFolding {
    /// The parameters of a frozen batch norm, each of C elements.
    public struct Statistics: Sendable {
        /// The scale g (`weight` in checkpoints). // [C]
        public var scale: Tensor
        /// The shift beta (`bias` in checkpoints). // [C]
        public var shift: Tensor
        /// The running mean mu. // [C]
        public var mean: Tensor
        /// The running variance v. // [C]
        public var variance: Tensor
        /// The number added to the variance.
        public var epsilon: Double

        /// Creates the parameters of one batch norm.
        public init(scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor, epsilon: Double = 1e-5) {
            self.scale = scale
            self.shift = shift
            self.mean = mean
            self.variance = variance
            self.epsilon = epsilon
        }
    }

    /// The layer that equals `weight` and `bias` followed by the batch norm.
    ///
    /// - Parameters:
    ///   - norm: The batch norm.
    ///   - weight: PyTorch's layout, output channel first: convolution, depthwise convolution or linear. // [Cout, ...]
    ///   - bias: The layer's own bias, if it has one. // [Cout]
    /// - Returns: The folded weight in the same layout and the folded bias. // [Cout, ...], [Cout]
    public static func fold(_ norm: Statistics, into weight: Tensor, bias: Tensor?) -> (weight: Tensor, bias: Tensor) {
        let outputs = weight.shape[0]
        precondition(
            [norm.scale, norm.shift, norm.mean, norm.variance].allSatisfy { $0.count == outputs }
                && bias.map { $0.count == outputs } ?? true,
            "a batch norm of \(norm.scale.shape) after a layer of \(weight.shape)")
        let length = outputs == 0 ? 0 : weight.count / outputs
        var foldedWeight = Tensor(uninitialized: weight.shape)
        var foldedBias = Tensor(uninitialized: [outputs])
        let (source, matrix, shift) = (weight.pointer, foldedWeight.mutablePointer, foldedBias.mutablePointer)
        for o in 0..<outputs {
            let ratio = Double(norm.scale[o]) / (Double(norm.variance[o]) + norm.epsilon).squareRoot()
            for i in o * length..<(o + 1) * length { matrix[i] = Float(ratio * Double(source[i])) }
            let own = bias.map { Double($0[o]) } ?? 0
            shift[o] = Float(ratio * (own - Double(norm.mean[o])) + Double(norm.shift[o]))
        }
        return (foldedWeight, foldedBias)
    }
}
