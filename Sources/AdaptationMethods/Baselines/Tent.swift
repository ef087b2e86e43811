public import Kernels
public import Layers
public import LowRankAdaptation
public import SegmentAnything
import Tensors

// One branch, base + LoRA, weak view:   L = mean over pixels and objects of H(sigma(z)), on the decoder's own grid
// The published method adapts the affine numbers of normalisation layers; here, as for every method, the LoRA matrices train.

/// Entropy minimisation (TENT: Wang et al., ICLR 2021) of the masks of the weak labels' prompts.
public struct Tent: AdaptationMethod {
    /// How passes are made; the losses' settings are of no use here.
    public let configuration: WeSAMConfiguration
    /// entropy.
    public let lossNames = ["entropy"]

    /// Creates the method.
    public init(_ configuration: WeSAMConfiguration = .init()) { self.configuration = configuration }

    /// The loss of one image; its gradient is added to `gradients`.
    public func step(
        _ example: AdaptationExample, model: SegmentAnythingModel, adapter: LoRAAdapter,
        gradients: inout GradientBuffer, in workspace: Workspace
    ) throws -> StepLosses {
        try example.check(for: model)
        let chunks = try model.promptEncoder.encode(
            example.prompts, chunk: configuration.decoderChunk, in: workspace)
        let pass = model.encoder.encodeForTraining(
            example.weak, adapter: adapter, recompute: configuration.recompute, in: workspace)
        let round = DecoderRound(model, pass.embedding, chunks, keepingPass: true, in: workspace)
        var dLogits = Tensor(zeros: round.logits.shape)
        let entropy = EntropyLoss.value(round.logits, addingTo: &dLogits)
        let dIoU = [Float](repeating: 0, count: round.iou.count)
        pass.backward(round.backward(dLogits, dIoU, in: workspace), &gradients, workspace)
        return StepLosses(
            parts: [StepLosses.Part("entropy", entropy, weight: 1)], instances: example.prompts.count)
    }
}
