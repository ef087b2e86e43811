public import Kernels

/// Focal loss against binary masks: factor * mean over all pixels of (1 - q)^2 (-log q), with q the probability given to
/// the true side of a pixel and -log q at most 100 (Lin et al. 2017 with gamma 2; WeSAM `losses.py`). With pixel weights,
/// each pixel's term is multiplied by its weight, and the mean is still over all pixels (SUM: Liu et al., NeurIPS 2024,
/// eq. 1).
public struct FocalLoss: Sendable {
    /// Factor on the mean.
    public let factor: Double

    /// Creates a focal loss with a factor.
    public init(factor: Double) { self.factor = factor }

    /// The focal loss of one form; `maskCount` is the number of masks of the batch.
    public init(_ form: LossForm, maskCount: Int) { factor = form.focalFactor(maskCount: maskCount) }

    /// The loss for sums over `pixels` pixels: n S^2 for all instances of an image.
    public func value(_ sums: MaskLossKernel.Sums, pixels: Int) -> Double { factor * sums.focal / Double(pixels) }

    /// dL / d(focal sum).
    public func slope(pixels: Int) -> Double { factor / Double(pixels) }
}
