public import Kernels

// With A = sum p m, D = sum p + sum m + s over all pixels of all instances of an image:
//   L = 1 - (2 A + s) / D,   dL/dp = (2 A + s) / D^2 - 2 m / D
// so the gradient takes two values: one inside the target, one outside. With pixel weights M (see PixelWeights) p and m are
// M p and M m in all sums, L is the same function of them, and a pixel's dL/dp is M (outside + M m (inside - outside)).

/// Dice loss against binary masks, all instances of an image flattened into one vector (Milletari et al. 2016; WeSAM
/// `losses.py`).
public struct DiceLoss: Sendable {
    /// s, added to both sides of the fraction.
    public let smoothing: Double

    /// Creates a dice loss with a smoothing.
    public init(smoothing: Double) { self.smoothing = smoothing }

    /// The dice loss of one form; `maskCount` is the number of masks of the batch.
    public init(_ form: LossForm, maskCount: Int) { smoothing = form.diceSmoothing(maskCount: maskCount) }

    /// The loss for the sums of all instances, weighted or not: a pixel of weight 0 is in neither mask.
    public func value(_ sums: MaskLossKernel.Sums) -> Double {
        1 - (2 * sums.overlap + smoothing) / (sums.prediction + sums.target + smoothing)
    }

    /// dL/dp inside and outside the target, for a pixel of weight 1.
    public func slopes(_ sums: MaskLossKernel.Sums) -> (inside: Double, outside: Double) {
        let denominator = sums.prediction + sums.target + smoothing
        let outside = (2 * sums.overlap + smoothing) / (denominator * denominator)
        return (outside - 2 / denominator, outside)
    }
}
