public import SegmentAnything

/// Floating-point operations of an image encoder, two per multiply-add, products and convolutions only.
public struct EncoderCost: Sendable, Equatable {
    /// One forward pass.
    public let forward: Double
    /// The backward pass behind it: gradients of activations alone, since the weights are frozen. A linear layer costs
    /// as much again; attention five products for its two.
    public let backward: Double

    /// Counts an encoder's operations.
    public init(_ encoder: SegmentAnythingConfiguration.Encoder) {
        let total: Int
        let attention: Int
        let untrained: Int
        switch encoder {
        case .viT(let sizes):
            (total, attention, untrained) = (
                sizes.multiplyAdds, sizes.attentionMultiplyAdds, sizes.patchEmbeddingMultiplyAdds
            )
        case .tinyViT(let sizes):
            (total, attention, untrained) = (
                sizes.multiplyAdds, sizes.attentionMultiplyAdds, sizes.frozenStageMultiplyAdds
            )
        }
        forward = 2 * Double(total)
        backward = 2 * (Double(total - untrained - attention) + 2.5 * Double(attention))
    }
}
