public import Tensors

/// Probabilities of pseudo-masks and of their refined forms, from which labels and certainties on a canvas follow.
public struct PseudoMasks: Sendable {
    /// sigma(s). // [n, h, w]
    public let probability: Tensor
    /// sigma(r). // [n, h, w]
    public let refined: Tensor

    /// Joins the probabilities of the same masks.
    public init(probability: Tensor, refined: Tensor) {
        precondition(probability.shape == refined.shape, "\(probability.shape) and \(refined.shape)")
        (self.probability, self.refined) = (probability, refined)
    }

    /// Those of some masks.
    func rows(_ masks: Range<Int>) -> PseudoMasks {
        PseudoMasks(probability: probability.rows(masks), refined: refined.rows(masks))
    }

    /// Labels are taken from the refined forms, which are trusted everywhere (the paper's ablation "Mask Refinement").
    var refinedAlone: PseudoMasks { PseudoMasks(probability: refined, refined: refined) }
}
