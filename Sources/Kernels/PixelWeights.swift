public import Tensors

/// The weight of each pixel of the canvas in a mask loss: c = 1 - u for a map u of uncertainty (SUM: Liu et al.,
/// "Uncertainty-aware Fine-tuning of Segmentation Foundation Models", NeurIPS 2024, eqs. 1 and 2).
///
/// The focal term of a pixel is weighted with c. Its dice terms are weighted with M: 1 where c > theta and 0 elsewhere,
/// or c itself if theta is nil. The losses' normalisers and the counts of intersection and union are unweighted.
public struct PixelWeights: Sendable {
    /// c, from 0 to 1. // [n, S, S]
    public let values: Tensor
    /// theta: a pixel has dice terms where its weight is above this; nil weights them with c.
    public let overlapThreshold: Float?

    /// Creates weights of the pixels of n instances.
    ///
    /// - Parameters:
    ///   - values: c, from 0 to 1. // [n, S, S]
    ///   - overlapThreshold: theta; nil weights the dice terms with c.
    public init(values: Tensor, overlapThreshold: Float? = nil) {
        (self.values, self.overlapThreshold) = (values, overlapThreshold)
    }
}
