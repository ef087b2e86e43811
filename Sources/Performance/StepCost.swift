public import AdaptationMethods
import Layers
public import SegmentAnything

/// Floating-point operations of one adaptation step on one image, two per multiply-add, products and convolutions only.
public struct StepCost: Sendable, Equatable {
    /// Three encoder passes forward (anchor, teacher, student), the first two with one stem, and two backward.
    public let encoder: Double
    /// What the encoder makes again in backward, both passes together.
    public let recomputed: Double
    /// The decoder's three passes forward and two backward over all instances.
    public let decoder: Double

    /// All operations.
    public var total: Double { encoder + recomputed + decoder }

    /// Counts a step.
    public init(_ configuration: SegmentAnythingConfiguration, settings: WeSAMConfiguration, instances: Int) {
        let cost = EncoderCost(configuration.encoder)
        encoder = 3 * cost.forward - cost.stem + 2 * cost.backward
        recomputed = 2 * cost.recomputed(settings.recompute)
        let decoder = DecoderCost(configuration)
        let again = instances > settings.decoderChunk ? decoder.forward : 0
        self.decoder = Double(instances) * (3 * decoder.forward + 2 * (decoder.backward + again))
    }
}

/// Floating-point operations of the mask decoder for one prompt, as Kedge computes it: image tokens are not projected.
struct DecoderCost {
    let forward: Double
    let backward: Double

    init(_ configuration: SegmentAnythingConfiguration) {
        let (width, heads) = (Double(configuration.decoder.width), Double(configuration.decoder.heads))
        let positions = Double(configuration.embeddingSide * configuration.embeddingSide)
        let tokens = Double(configuration.decoder.multimaskOutputs + 2 + 2)  // masks, IoU, two corners
        let attention = 2 * heads * tokens * width * positions  // scores and sums over all positions
        let attentions = Double(2 * configuration.decoder.depth + 1)
        let upscaling = positions * width * width + 4 * positions * (width / 4) * (width / 2)
        forward = 2 * (attentions * attention + upscaling)
        // Attention has five products for two, upscaling is made again and gone back.
        backward = 2 * (attentions * 2.5 * attention + 2 * upscaling)
    }
}
