import Foundation
public import Tensors

// For logits z of all pixels of all instances, p = sigma(z):
//   L = mean of H(p) = -p log p - (1 - p) log(1 - p)
//   dH/dz = -z p (1 - p)
// With u = |z|: H = log(1 + e^-u) + u e^-u / (1 + e^-u), which is exact where sigma rounds to 0 or 1.

/// The mean binary entropy of mask logits on the decoder's own grid (TENT: Wang et al., ICLR 2021, eq. 1).
public enum EntropyLoss {
    /// The loss; its gradient times `weight` is added to `dLogits`.
    ///
    /// - Parameters:
    ///   - logits: z. // [n, h, w]
    ///   - dLogits: // [n, h, w]
    public static func value(_ logits: Tensor, weight: Double = 1, addingTo dLogits: inout Tensor) -> Double {
        precondition(logits.shape == dLogits.shape)
        let count = logits.count
        guard count > 0 else { return 0 }
        var values = dLogits.elements
        var sum = 0.0
        let scale = weight / Double(count)
        for (place, logit) in logits.elements.enumerated() {
            let z = Double(logit)
            let tail = exp(-abs(z))
            let p = 1 / (1 + tail)
            sum += log1p(tail) + abs(z) * tail * p
            values[place] += Float(-z * tail * p * p * scale)
        }
        dLogits = Tensor(values, logits.shape)
        return sum / Double(count)
    }
}
