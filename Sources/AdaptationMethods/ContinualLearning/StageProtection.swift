import Foundation
public import Kernels
public import Layers
public import Tensors

// From the second stage on, with the parameters p_old at the stage's start and a weight w:
//   distillation      L + w (bce + dice)(z, sigma(z_old))   at a second draw of points, for each image
//   elastic weights   L + w sum_i F_i (p_i - p_old,i)^2,    F_i = mean over batches of (dL_batch / dp_i)^2
// The gradient of the second is 2 w F_i (p_i - p_old,i) and belongs to a step, not to an image.

/// What holds the training of a later stage near the parameters it began with.
public enum StageProtection: String, Sendable, Equatable {
    /// Nothing.
    case none
    /// Losses against the masks of the former parameters (learning without forgetting, Li and Hoiem 2016).
    case distillation
    /// A penalty on the distance from the former parameters, each weighted by its Fisher information in the stage before
    /// (elastic weight consolidation, Kirkpatrick et al. 2017).
    case elasticWeights

    /// Names of the loss parts it adds to those of a method.
    public var lossNames: [String] {
        switch self {
        case .none: []
        case .distillation: Distillation.lossNames
        case .elasticWeights: ["elastic"]
        }
    }
}

/// The former parameters whose masks an image's losses are also measured against.
public struct Distillation: Sendable {
    /// The parameters at the stage's start.
    public let former: TrainableParameters
    /// Weight of the losses.
    public let weight: Double

    /// Names of the loss parts.
    static let lossNames = ["distil_bce", "distil_dice"]

    /// Distils from former parameters.
    public init(from former: TrainableParameters, weight: Double) { (self.former, self.weight) = (former, weight) }

    /// The losses against former logits at points; their weighted gradient is added to `dLogits`.
    ///
    /// - Parameters:
    ///   - logits: // [n, h, w]
    ///   - former: Logits of the former parameters, constant. // [n, h, w]
    ///   - points: Chosen by `logits`. // [n, K, 2]
    ///   - dLogits: // [n, h, w]
    public func losses(
        _ logits: Tensor, former: Tensor, at points: Tensor, _ loss: PointSampledLoss, addingTo dLogits: inout Tensor,
        in workspace: Workspace
    ) -> PointSampledLoss.Values {
        var target = PointSampleKernel.forward(former, at: points, in: workspace)  // [n, K]
        let value = target.mutablePointer
        for k in 0..<target.count { value[k] = 1 / (1 + exp(-value[k])) }
        return loss(
            logits, sampled: target, at: points, weights: (weight, weight), addingTo: &dLogits, in: workspace)
    }
}

/// The mean over batches of the squared gradient of a batch: the empirical Fisher information, as CoSAM's code estimates
/// it. It depends on the size of the batches.
public struct FisherInformation: Sendable {
    private var sum: [Float]
    private var batches = 0

    /// Begins an estimate for a number of parameters.
    public init(count: Int) { sum = [Float](repeating: 0, count: count) }

    /// Adds the gradient of a batch's mean loss. // [P]
    public mutating func add(batchGradient gradient: [Float]) {
        precondition(gradient.count == sum.count)
        batches += 1
        for i in sum.indices { sum[i] += gradient[i] * gradient[i] }
    }

    /// The estimate; zeros without a batch. // [P]
    public var values: [Float] { batches == 0 ? sum : sum.map { $0 / Float(batches) } }
}

/// A quadratic penalty on the distance of parameters from former values.
public struct ElasticPenalty: Sendable {
    /// The former values. // [P]
    public let former: Tensor
    /// The Fisher information of each parameter. // [P]
    public let importance: Tensor
    /// The factor w of the penalty in the loss.
    public let weight: Double

    /// Creates a penalty.
    public init(former: Tensor, importance: Tensor, weight: Double) {
        precondition(former.count == importance.count)
        (self.former, self.importance, self.weight) = (former, importance, weight)
    }

    /// The penalty before weighting: sum F (p - p_old)^2.
    ///
    /// - Parameter values: The parameters. // [P]
    public func value(at values: Tensor) -> Double {
        precondition(values.count == former.count)
        let (now, then, importance) = (values.pointer, former.pointer, importance.pointer)
        var sum = 0.0
        for i in 0..<values.count {
            let distance = Double(now[i] - then[i])
            sum += Double(importance[i]) * distance * distance
        }
        return sum
    }

    /// Adds the gradient of the weighted penalty for some of the parameters.
    ///
    /// - Parameters:
    ///   - values: All parameters. // [P]
    ///   - range: Those whose gradient is wanted.
    ///   - gradient: // [range.count]
    public func addGradient(at values: Tensor, of range: Range<Int>, to gradient: inout [Float]) {
        precondition(gradient.count == range.count)
        let (now, then, importance) = (values.pointer, former.pointer, importance.pointer)
        for i in range {
            gradient[i - range.lowerBound] += Float(2 * weight) * importance[i] * (now[i] - then[i])
        }
    }
}
