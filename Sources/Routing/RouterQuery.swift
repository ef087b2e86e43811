import Layers
public import SegmentAnything

/// The vector by which a router recognises the domain of an image.
public enum RouterQuery: String, CaseIterable, Sendable, Codable {
    /// A global feature token that goes through the frozen encoder together with the image, in a pass of its own (MoDA,
    /// Yang et al. 2024). Only plain vision transformers can process it.
    case tokens
    /// The mean over the image of early features of the frozen encoder, read from the segmentation's own pass.
    case earlyFeatures = "early-features"
    /// The mean over the image of the frozen encoder's embedding, read from the segmentation's own pass.
    case embedding
    /// Mean and deviation over the image of both, the frozen encoder's early features and its embedding, read from the
    /// segmentation's own pass. It recognises images of no known domain best.
    case statistics

    /// The query of a model's kind of encoder: MoDA's tokens in a plain vision transformer, else statistics.
    public static func standard(for configuration: SegmentAnythingConfiguration) -> RouterQuery {
        switch configuration.encoder {
        case .viT: .tokens
        case .tinyViT: .statistics
        }
    }

    /// Numbers D of the query in a model. Throws `RoutingError` of kind `query` if the model cannot compute it.
    public func width(in model: ModelDescription) throws(RoutingError) -> Int {
        switch self {
        case .tokens:
            guard case .viT(let sizes) = model.configuration.encoder else {
                throw RoutingError(
                    .query,
                    "the query \(rawValue) needs a plain ViT, which this model's encoder is not; use the query "
                        + "\(Self.statistics.rawValue), or a ViT model (vit_b)")
            }
            return sizes.width
        case .earlyFeatures: return model.blockSites[model.configuration.earlyTap.block].width
        case .embedding: return model.configuration.decoder.width
        case .statistics:
            return 2 * (try Self.earlyFeatures.width(in: model) + Self.embedding.width(in: model))
        }
    }
}
