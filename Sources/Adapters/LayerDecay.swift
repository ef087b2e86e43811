import Layers
import SegmentAnything
import Tensors

/// Layer-wise decay of the learning rate (ViTDet: Li et al. 2022; SUM: Liu et al., NeurIPS 2024): what acts at the l-th of L
/// blocks of the encoder, from the input, has the rate times factor^(L - l), what lies below the first block times
/// factor^(L + 1); everything else has the whole rate.
///
/// Weights decay in tensors of two or more dimensions, but not in embeddings, tokens and tables of positions.
public struct LayerDecay: Sendable, Equatable {
    /// The factor from one layer to the one below it.
    public let factor: Double

    /// SUM's factor.
    public static let published = LayerDecay(factor: 0.8)

    /// Creates a decay.
    public init(factor: Double) {
        precondition(factor > 0 && factor <= 1, "a factor of \(factor)")
        self.factor = factor
    }

    /// Parts of the names of vectors that stand for something, which do not decay.
    private static let embeddings = [
        "point_embeddings", "no_mask_embed", "not_a_point_embed", "task_prompt_embedding", "iou_token", "mask_tokens",
        "pos_embed", "rel_pos_", "hf_token", "task_prompt_tokens", "hf_type_tokens",
    ]

    /// The group of a parameter in place of another.
    func group(of entry: ParameterLayout.Entry, in model: ModelDescription) -> ParameterGroup {
        let isEmbedding = Self.embeddings.contains { entry.name.contains($0) }
        let decay: ParameterGroup.Decay = isEmbedding || entry.shape.rank < 2 ? .none : entry.group.decay
        guard let layer = layer(of: entry.name, in: model) else {
            return ParameterGroup(entry.group.name, rateFactor: entry.group.rateFactor, decay: decay)
        }
        // Multiplied out, as no library's power is the same everywhere.
        let rate = (0..<layer.distance).reduce(entry.group.rateFactor) { rate, _ in rate * factor }
        return ParameterGroup("\(entry.group.name) \(layer.name)", rateFactor: rate, decay: decay)
    }

    /// The layer of a parameter and how many factors it has; nil above the last block.
    private func layer(of name: String, in model: ModelDescription) -> (name: String, distance: Int)? {
        let blocks = model.blockSites
        if let index = blocks.firstIndex(where: { name.hasPrefix($0.name + ".") }) {
            return ("\(index)", blocks.count - index)
        }
        guard name.hasPrefix("image_encoder."), !name.hasPrefix("image_encoder.neck.") else { return nil }
        return ("stem", blocks.count + 1)
    }
}
