import Kernels
import Layers
import LowRankAdaptation
import SegmentAnything
import Tensors

/// The whole pass of a method of one branch: base and LoRA on the weak view, and the decoder on the student's prompts.
struct BranchPass {
    let round: DecoderRound
    private let pass: EncoderPass

    /// Runs forward. Throws `AdaptationMethodError` for an example of another model, `SegmentAnythingError`.
    init(
        _ example: AdaptationExample, _ model: SegmentAnythingModel, _ adapter: LoRAAdapter,
        _ configuration: WeSAMConfiguration, in workspace: Workspace
    ) throws {
        try example.check(for: model)
        let chunks = try model.promptEncoder.encode(
            example.prompts, chunk: configuration.decoderChunk, in: workspace)
        pass = model.encoder.encodeForTraining(
            example.weak, adapter: adapter, recompute: configuration.recompute, in: workspace)
        round = DecoderRound(model, pass.embedding, chunks, keepingPass: true, in: workspace)
    }

    /// Adds the gradient of the adapter's parameters. // dLogits [n, 4 h, 4 w], dIoU [n]
    func backward(_ dLogits: Tensor, _ dIoU: [Float], _ gradients: inout GradientBuffer, in workspace: Workspace) {
        pass.backward(round.backward(dLogits, dIoU, in: workspace), &gradients, workspace)
    }
}
