import Kernels
import Layers
import SegmentAnything
import Tensors

/// The pass of a single-branch method: the adapted model on the weak view, and the decoder on the student's prompts.
struct BranchPass {
    let round: DecoderRound
    private let pass: EncoderPass
    private let prompts: EncodedPrompts

    /// Runs forward. Throws `AdaptationMethodError` for an example of another model, and `SegmentAnythingError`.
    init(_ example: AdaptationExample, in context: StepContext) throws {
        try example.check(for: context)
        let model = context.model
        prompts = try EncodedPrompts(example.prompts, model, chunk: context.decoderChunk, in: context.pass)
        pass = model.encoder.encodeForTraining(example.weak, in: context.pass)
        round = DecoderRound(model, pass.features, prompts, keepingPass: context.keepsDecoderPass, in: context.pass)
    }

    /// Adds the gradient of the trained values. // dLogits [n, 4 h, 4 w], dIoU [n]
    func backward(_ dLogits: Tensor, _ dIoU: [Float], _ gradients: inout GradientBuffer) {
        pass.backward(round.backward(dLogits, dIoU, &gradients), &gradients)
    }

    /// The mask logits of the same view and prompts with other trained values. // [n, 4 h, 4 w]
    ///
    /// The features are shared unless the encoder trains.
    func logits(_ example: AdaptationExample, with trained: TrainableParameters, in context: StepContext) throws
        -> Tensor
    {
        let other = context.pass(with: trained)
        let encoder = context.model.encoder
        let features = encoder.trains(in: other) ? encoder.encode(example.weak, in: other) : pass.features
        let prompts =
            context.model.promptEncoder.trains(in: other)
            ? try EncodedPrompts(example.prompts, context.model, chunk: context.decoderChunk, in: other) : prompts
        return DecoderRound(context.model, features, prompts, keepingPass: false, in: other).logits
    }
}
