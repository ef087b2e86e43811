public import Layers
public import SegmentAnything

/// Floating-point operations of one step on one image, two per multiply-add, counting only matrix products and
/// convolutions.
public struct StepCost: Sendable, Equatable {
    /// The encoder's passes, forward and backward.
    public let encoder: Double
    /// Operations the encoder recomputes in the backward pass.
    public let recomputed: Double
    /// The decoder's passes over all instances, forward and backward.
    public let decoder: Double

    /// All operations.
    public var total: Double { encoder + recomputed + decoder }

    /// Counts the passes of a rehearsed step.
    public init(_ configuration: SegmentAnythingConfiguration, _ rehearsal: StepRehearsal, recompute: RecomputeLevel) {
        let (cost, passes) = (EncoderCost(configuration.encoder), rehearsal.passes)
        encoder =
            Double(passes.stems) * cost.stem + Double(passes.encoder.forward) * (cost.forward - cost.stem)
            + Double(passes.encoder.backward)
            * (cost.backward + (rehearsal.trainsEncoderWeights ? cost.parameters : 0))
        recomputed = Double(passes.encoder.backward) * cost.recomputed(recompute)
        let decoder = DecoderCost(configuration)
        let backward = decoder.backward + (rehearsal.trainsDecoder ? decoder.parameters : 0)
        self.decoder =
            Double(passes.decoder.forward) * decoder.forward + Double(passes.decoder.backward) * backward
    }
}

/// Floating-point operations of the mask decoder for one prompt, as Kedge computes it: image tokens are not projected.
struct DecoderCost {
    let forward: Double
    let backward: Double
    /// The gradients of its parameters, if they train: as much again as the upscaling's products.
    let parameters: Double

    init(_ configuration: SegmentAnythingConfiguration) {
        let (width, heads) = (Double(configuration.decoder.width), Double(configuration.decoder.heads))
        let positions = Double(configuration.embeddingSide * configuration.embeddingSide)
        let tokens = Double(configuration.decoder.multimaskOutputs + 2 + 2)  // masks, IoU, two corners
        let attention = 2 * heads * tokens * width * positions  // scores and sums over all positions
        let attentions = Double(2 * configuration.decoder.depth + 1)
        let upscaling = positions * width * width + 4 * positions * (width / 4) * (width / 2)
        forward = 2 * (attentions * attention + upscaling)
        // Attention needs five products for two; upscaling is recomputed and propagated back.
        backward = 2 * (attentions * 2.5 * attention + 2 * upscaling)
        parameters = 2 * upscaling
    }
}
