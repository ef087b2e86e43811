import Foundation
public import Kernels
public import Tensors

// For each of n masks, z(k) and t(k) are the logits and the target at K points, p = sigma(z):
//   bce  = (1/n) sum over masks of mean_k [ max(z, 0) - z t + log(1 + e^-|z|) ]
//   dice = (1/n) sum over masks of 1 - (2 S_pt + 1) / (S_p + S_t + 1),   S_pt = sum_k p t, ...
//   dbce/dz = (p - t) / (n K),   ddice/dz = [ (2 S_pt + 1) / D^2 - 2 t / D ] p (1 - p) / n,   D = S_p + S_t + 1
// The choice of points has no gradient.

/// Cross entropy and dice at sampled points, most of them where the mask is least certain (PointRend's sampling in
/// Mask2Former's form, as HQ-SAM and CoSAM use it: `loss_mask.py`).
public struct PointSampledLoss: Sendable {
    /// Points per mask, K.
    public let pointCount: Int
    /// Candidates per point.
    public static let oversampling = 3
    /// The share of points taken from the least certain candidates.
    public static let importance = 0.75

    /// CoSAM's number of points: 112 x 112.
    public static let defaultPointCount = 112 * 112

    /// Creates a loss over a number of points per mask.
    public init(pointCount: Int = Self.defaultPointCount) {
        precondition(pointCount > 0)
        self.pointCount = pointCount
    }

    /// Candidates per mask.
    public var candidateCount: Int { Self.oversampling * pointCount }
    /// Points per mask that are the least certain of the candidates.
    public var uncertainCount: Int { Int(Self.importance * Double(pointCount)) }

    /// Random numbers of one call: uniform in [0, 1).
    public struct Draws: Sendable {
        /// x, y of the candidates. // [n, 3 K, 2]
        public let candidates: Tensor
        /// x, y of the points taken without a choice. // [n, K - 3/4 K, 2]
        public let random: Tensor

        /// Creates draws from given numbers.
        public init(candidates: Tensor, random: Tensor) { (self.candidates, self.random) = (candidates, random) }
    }

    /// Draws for n masks.
    public func draws(masks n: Int, from generator: inout SeededGenerator) -> Draws {
        func uniform(_ count: Int) -> Tensor {
            Tensor((0..<n * count * 2).map { _ in Float(generator.unit()) }, [n, count, 2])
        }
        let candidates = uniform(candidateCount)
        return Draws(candidates: candidates, random: uniform(pointCount - uncertainCount))
    }

    /// The points of n masks: the candidates with the smallest |z|, then the random ones. // [n, K, 2]
    ///
    /// - Parameter logits: // [n, h, w]
    public func points(_ logits: Tensor, _ draws: Draws, in workspace: Workspace) -> Tensor {
        let n = logits.shape[0]
        let values = PointSampleKernel.forward(logits, at: draws.candidates, in: workspace)
        var points = Tensor(uninitialized: [n, pointCount, 2])
        PointSampleKernel.leastCertain(
            uncertainCount, of: draws.candidates, values: values, into: &points, in: workspace)
        let rest = (pointCount - uncertainCount) * 2
        let (random, destination) = (draws.random.pointer, points.mutablePointer)
        for mask in 0..<n {
            (destination + (mask * pointCount + uncertainCount) * 2).update(from: random + mask * rest, count: rest)
        }
        return points
    }

    /// The two losses and the gradient of the logits at the points.
    public struct Values: Sendable {
        /// Cross entropy, the mean over masks.
        public let crossEntropy: Double
        /// Dice, the mean over masks.
        public let dice: Double
    }

    /// The losses; the gradient of their weighted sum is added to `dLogits`.
    ///
    /// - Parameters:
    ///   - logits: // [n, h, w]
    ///   - target: In [0, 1], constant. // [n, H, W]
    ///   - points: From `points`. // [n, K, 2]
    ///   - dLogits: // [n, h, w]
    public func callAsFunction(
        _ logits: Tensor, target: Tensor, at points: Tensor,
        weights: (crossEntropy: Double, dice: Double) = (1, 1), addingTo dLogits: inout Tensor,
        in workspace: Workspace
    ) -> Values {
        let sampled = PointSampleKernel.forward(target, at: points, in: workspace)
        return callAsFunction(
            logits, sampled: sampled, at: points, weights: weights, addingTo: &dLogits, in: workspace)
    }

    /// The losses against targets that are already sampled. // [n, K]
    public func callAsFunction(
        _ logits: Tensor, sampled target: Tensor, at points: Tensor,
        weights: (crossEntropy: Double, dice: Double) = (1, 1), addingTo dLogits: inout Tensor, in workspace: Workspace
    ) -> Values {
        let n = logits.shape[0]
        let z = PointSampleKernel.forward(logits, at: points, in: workspace)
        let (logit, target) = (z.pointer, target.pointer)
        var dValues = Tensor(uninitialized: z.shape)
        let gradient = dValues.mutablePointer
        var (crossEntropy, dice) = (0.0, 0.0)
        for mask in 0..<n {
            let range = mask * pointCount..<(mask + 1) * pointCount
            var (entropy, overlap, predicted, wanted) = (0.0, 0.0, 0.0, 0.0)
            for k in range {
                let (z, t) = (Double(logit[k]), Double(target[k]))
                let tail = exp(-abs(z))
                let p = z >= 0 ? 1 / (1 + tail) : tail / (1 + tail)
                entropy += max(z, 0) - z * t + log1p(tail)
                overlap += p * t
                predicted += p
                wanted += t
            }
            let sum = predicted + wanted + 1
            crossEntropy += entropy / Double(pointCount)
            dice += 1 - (2 * overlap + 1) / sum
            let (inside, outside) = (2 / sum, (2 * overlap + 1) / (sum * sum))
            for k in range {
                let (z, t) = (Double(logit[k]), Double(target[k]))
                let tail = exp(-abs(z))
                let p = z >= 0 ? 1 / (1 + tail) : tail / (1 + tail)
                let slope = p * (1 - p) * (outside - inside * t)
                gradient[k] = Float(
                    (weights.crossEntropy * (p - t) / Double(pointCount) + weights.dice * slope) / Double(n))
            }
        }
        PointSampleKernel.backward(dValues, at: points, addingTo: &dLogits, in: workspace)
        return Values(crossEntropy: crossEntropy / Double(n), dice: dice / Double(n))
    }
}
