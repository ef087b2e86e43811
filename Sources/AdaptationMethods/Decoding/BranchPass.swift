import Kernels
import Layers
import SegmentAnything
import Tensors

/// The pass of a single-branch method: the adapted model on the weak view, and the decoder on the student's prompts.
struct BranchPass {
    let round: DecoderRound
    private let pass: EncoderPass

    /// Runs forward. Throws `AdaptationMethodError` for an example of another model, and `SegmentAnythingError`.
    init(_ example: AdaptationExample, in context: StepContext) throws {
        try example.check(for: context)
        let model = context.model
        let prompts = try EncodedPrompts(example.prompts, model, chunk: context.decoderChunk, in: context.pass)
        pass = model.encoder.encodeForTraining(example.weak, in: context.pass)
        round = DecoderRound(model, pass.features, prompts, keepingPass: context.keepsDecoderPass, in: context.pass)
    }

    /// Adds the gradient of the trained values. // dLogits [n, 4 h, 4 w], dIoU [n]
    func backward(_ dLogits: Tensor, _ dIoU: [Float], _ gradients: inout GradientBuffer) {
        pass.backward(round.backward(dLogits, dIoU, &gradients), &gradients)
    }
}
