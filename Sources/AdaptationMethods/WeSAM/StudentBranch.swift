import Kernels
import Layers
import SegmentAnything
import Tensors

// The student sees the strong view, optionally with parts hidden, and learns the teacher's masks m^t = [z^t > 0]:
//   w_f focal + w_d dice + w_i iou against m^t, and with an anchor its half of the anchor loss

/// The student's forward and backward pass, with and without an anchor.
struct StudentBranch {
    /// The losses against the teacher's masks.
    let losses: MaskLossSettings
    /// The hidden part of the view.
    let masking: MaskingSettings

    /// The teacher's results, without gradient.
    struct Target {
        /// Features that replace those of hidden cells.
        let features: ImageFeatures
        /// Mask logits. // [n, 4 h, 4 w]
        let logits: Tensor
    }

    /// Adds the gradient of all losses.
    ///
    /// - Parameter addingLosses: Further losses of the student's mask logits, whose weighted gradient it adds to its
    ///   argument; returns their value. // [n, 4 h, 4 w]
    func learn(
        _ example: AdaptationExample, from target: Target, prompts: EncodedPrompts, in context: inout StepContext,
        addingLosses: (_ logits: Tensor, _ dLogits: inout Tensor) -> Double
    ) -> (parts: [StepLosses.Part], added: Double) {
        let encoder = context.model.encoder
        let hidden =
            masking.ratio > 0
            ? StudentMasking(
                side: encoder.embeddingSide, block: masking.block, ratio: masking.ratio, random: example.random) : nil
        let pass = encoder.encodeForTraining(hidden?.hide(example.strong) ?? example.strong, in: context.pass)
        var seen = pass.features
        if let hidden { seen.embedding = hidden.fill(seen.embedding, with: target.features.embedding) }
        let round = DecoderRound(context.model, seen, prompts, keepingPass: context.keepsDecoderPass, in: context.pass)
        var dLogits = Tensor(zeros: round.logits.shape)
        let supervision = MaskSupervision(
            settings: losses, maskCount: example.maskCount, canvas: encoder.imageSize, weights: example.weights)
        let (parts, dIoU) = supervision(
            round.logits, round.iou, target: .logits(target.logits), addingTo: &dLogits, in: context.workspace)
        let added = addingLosses(round.logits, &dLogits)
        var dFeatures = round.backward(dLogits, dIoU, &context.gradients)
        if let hidden { dFeatures.embedding = hidden.gradient(dFeatures.embedding) }
        pass.backward(dFeatures, &context.gradients)
        return (parts, added)
    }
}
