import Foundation
public import Tensors

// For logits z of all pixels of all instances, p = sigma(z):
//   L = mean of H(p) = -p log p - (1 - p) log(1 - p)
//   dH/dz = -z p (1 - p)
// With pixel weights c, both are multiplied by c; the mean is still over all pixels, so that c = 0 removes a pixel's
// term and leaves the others unchanged.
// With u = |z|: H = log(1 + e^-u) + u e^-u / (1 + e^-u), which is exact where sigma rounds to 0 or 1.

/// The mean binary entropy of mask logits on the decoder's own grid (TENT: Wang et al., ICLR 2021, eq. 1).
public enum EntropyLoss {
    /// The loss; its gradient times `weight` is added to `dLogits`.
    ///
    /// - Parameters:
    ///   - logits: z. // [n, h, w]
    ///   - weight: Factor on the gradient.
    ///   - weights: c, from 0 to 1: factor on each pixel's entropy; the sum is still divided by n h w. Nil weights
    ///     every pixel with 1. // [n, h, w]
    ///   - dLogits: Added to. // [n, h, w]
    public static func value(
        _ logits: Tensor, weight: Double = 1, weights: Tensor? = nil, addingTo dLogits: inout Tensor
    ) -> Double {
        precondition(logits.shape == dLogits.shape && weights.map { $0.shape == logits.shape } ?? true)
        let count = logits.count
        guard count > 0 else { return 0 }
        var values = dLogits.elements
        var sum = 0.0
        let scale = weight / Double(count)
        let shares = weights?.elements
        for (place, logit) in logits.elements.enumerated() {
            let z = Double(logit)
            let tail = exp(-abs(z))
            let p = 1 / (1 + tail)
            let share = shares.map { Double($0[place]) } ?? 1
            sum += share * (log1p(tail) + abs(z) * tail * p)
            values[place] += Float(-z * tail * p * p * scale * share)
        }
        dLogits = Tensor(values, logits.shape)
        return sum / Double(count)
    }
}
