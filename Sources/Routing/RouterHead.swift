import Glibc
import Layers
public import Tensors

// With the query f [D], row t of W the key of domain t:
//   z_t = W_t . f + b_t,   p = softmax(z),   loss = -log p_label
//   dz = (p - onehot) / B,   dW = sum dz f^T,   db = sum dz,   df = W^T dz
//
// One thread, Double, in the order of the images and channels: ranks that hold equal features get equal bits.

/// The classifier of a router: one linear layer with bias from the query to a score for each domain.
///
/// The label of a domain is its position in the training sequence.
public struct RouterHead: Sendable, Equatable {
    /// Names of weight and bias in files (CoSAM's released code).
    public static let weightName: String = "classifier_head.0.weight"
    /// Name of the bias in files.
    public static let biasName: String = "classifier_head.0.bias"

    /// Domains T.
    public let domains: Int
    /// Numbers D of a query.
    public let width: Int
    /// The weight, then the bias. // [T D + T]
    public package(set) var values: [Float]

    /// A fresh head with PyTorch's default: uniform in +-1/sqrt(D); a function of the seed alone.
    public init(width: Int, domains: Int, seed: UInt64) {
        let source = FreshParameters(ParameterPlaces(group: nil), seed: seed)
        let weight = source.tensor(Self.weightName, [domains, width])
        self.init(weight: weight, bias: source.tensor(Self.biasName, [domains]))
    }

    /// A head of known values. // [T, D], [T]
    public init(weight: Tensor, bias: Tensor) {
        precondition(
            weight.shape.rank == 2 && bias.count == weight.shape[0] && bias.count > 0, "a head of \(weight.shape)")
        (domains, width) = (weight.shape[0], weight.shape[1])
        values = weight.elements + bias.elements
    }

    /// The keys, one row for each domain. // [T, D]
    public var weight: Tensor { Tensor(Array(values[..<(domains * width)]), [domains, width]) }
    /// The bias. // [T]
    public var bias: Tensor { Tensor(Array(values[(domains * width)...]), [domains]) }

    /// The scores of a query before the softmax. // [D] -> [T]
    public func logits(_ feature: [Float]) -> [Double] {
        precondition(feature.count == width, "a query of \(feature.count) numbers for a head of \(width)")
        return (0..<domains).map { domain in
            var sum = Double(values[domains * width + domain])
            for i in 0..<width { sum += Double(values[domain * width + i]) * Double(feature[i]) }
            return sum
        }
    }

    /// The probability of each domain: softmax of its logits. // [T] -> [T]
    public static func softmax(_ logits: [Double]) -> [Double] {
        let peak = logits.max() ?? 0
        let powers = logits.map { exp($0 - peak) }
        let total = powers.reduce(0, +)
        return powers.map { $0 / total }
    }

    /// The index of the largest score; of equal ones the smallest index.
    public static func best(_ scores: [Double]) -> Int {
        scores.indices.dropFirst().reduce(0) { scores[$1] > scores[$0] ? $1 : $0 }
    }

    /// The cross entropy of one query and its gradient with respect to the logits. // [D] -> (1, [T])
    public func loss(_ feature: [Float], label: Int) -> (loss: Double, dLogits: [Double]) {
        precondition((0..<domains).contains(label), "domain \(label) of \(domains)")
        let logits = logits(feature)
        let peak = logits.max() ?? 0
        let logSumExp = peak + log(logits.reduce(0) { $0 + exp($1 - peak) })
        var dLogits = Self.softmax(logits)
        dLogits[label] -= 1
        return (logSumExp - logits[label], dLogits)
    }

    /// The mean cross entropy of a batch and its gradient, laid out as `values`. // B x [D] -> (1, [T D + T])
    package func meanLoss(_ features: [[Float]], labels: [Int]) -> (loss: Double, gradient: [Float]) {
        var sum = 0.0
        var gradient = [Double](repeating: 0, count: values.count)
        for (feature, label) in zip(features, labels) {
            let (loss, dLogits) = loss(feature, label: label)
            sum += loss
            for domain in 0..<domains {
                for i in 0..<width { gradient[domain * width + i] += dLogits[domain] * Double(feature[i]) }
                gradient[domains * width + domain] += dLogits[domain]
            }
        }
        let count = Double(features.count)
        return (sum / count, gradient.map { Float($0 / count) })
    }

    /// The gradient of a query, given that of its logits: W^T dz. // [T] -> [D]
    func featureGradient(_ dLogits: [Double]) -> [Float] {
        (0..<width).map { i in
            Float((0..<domains).reduce(0.0) { $0 + dLogits[$1] * Double(values[$1 * width + i]) })
        }
    }
}
