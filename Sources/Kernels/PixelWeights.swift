public import Tensors

/// The weight of each pixel of the canvas in a mask loss: c = 1 - u for a map u of uncertainty (SUM: Liu et al.,
/// "Uncertainty-aware Fine-tuning of Segmentation Foundation Models", NeurIPS 2024, eqs. 1 and 2).
///
/// The focal term of a pixel is weighted with c. In the dice loss its probability and its target are weighted with M each: 1
/// where c > theta and 0 elsewhere, or c itself if theta is nil (the soft form in SUM's code). The losses' normalisers and the counts of intersection and union are unweighted.
public struct PixelWeights: Sendable {
    /// c, from 0 to 1, or sigma(s) of pseudo-masks if there are refined ones. // [n, S, S] or [n, h, w]
    public let values: Tensor
    /// sigma(r) of the refined masks; nil where `values` are weights. // [n, h, w]
    public let refined: Tensor?
    /// theta: a pixel has dice terms where its weight is above this; nil weights them with c.
    public let overlapThreshold: Float?

    /// Creates weights of the pixels of n instances.
    ///
    /// - Parameters:
    ///   - values: c, from 0 to 1. // [n, S, S]
    ///   - overlapThreshold: theta; nil weights the dice terms with c.
    public init(values: Tensor, overlapThreshold: Float? = nil) {
        (self.values, refined, self.overlapThreshold) = (values, nil, overlapThreshold)
    }

    /// The weights c = 1 - |sigma(s) - sigma(r)| of n pseudo-masks, both of which are enlarged to the canvas row by row.
    ///
    /// - Parameters:
    ///   - probability: sigma(s). // [n, h, w]
    ///   - refined: sigma(r). // [n, h, w]
    ///   - overlapThreshold: theta; nil weights the dice terms with c.
    public init(probability: Tensor, refined: Tensor, overlapThreshold: Float?) {
        precondition(probability.shape == refined.shape, "\(probability.shape) and \(refined.shape)")
        (values, self.refined, self.overlapThreshold) = (probability, refined, overlapThreshold)
    }

    /// Whether these are weights of n instances on a canvas of side S.
    public func fit(instances: Int, canvas: Int) -> Bool {
        refined == nil ? values.count == instances * canvas * canvas : values.shape[0] == instances
    }
}
