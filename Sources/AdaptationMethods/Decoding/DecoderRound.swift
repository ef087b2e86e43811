import Kernels
import Layers
import SegmentAnything
import Tensors

/// One run of the mask decoder over all prompts of an image, chunk by chunk.
///
/// Losses couple an image's instances, so their gradients are known only after the last chunk. A single chunk's pass
/// is kept for backward; several chunks are run again then, with the same results, because a chunk's products
/// have the same shapes both times. Several rounds over the same features are several values of this type.
struct DecoderRound {
    /// Low-resolution mask logits of all prompts: those of the context's first output token adapter if there is one, else
    /// the model's own. // [n, 4 h, 4 w]
    let logits: Tensor
    /// Predicted IoUs of all prompts. // [n]
    let iou: [Float]

    private let model: SegmentAnythingModel
    private let features: ImageFeatures
    private let prompts: EncodedPrompts
    private let pass: PassContext
    private let keptPass: MaskDecoderPass?

    /// Runs the decoder in a pass.
    ///
    /// - Parameter keepingPass: True when backward will follow.
    init(
        _ model: SegmentAnythingModel, _ features: ImageFeatures, _ prompts: EncodedPrompts, keepingPass: Bool,
        in pass: PassContext
    ) {
        (self.model, self.features, self.prompts, self.pass) = (model, features, prompts, pass)
        let position = model.promptEncoder.densePositionalEncoding
        if keepingPass, prompts.chunks.count == 1 {
            let kept = Self.decodeForTraining(model, features, prompts.chunks[0], in: pass)
            keptPass = kept
            logits = Self.maps(kept.masks.answer)
            iou = kept.iou.elements
            return
        }
        keptPass = nil
        let parts = prompts.chunks.map {
            model.decoder.decode(features, position: position, prompts: $0.embeddings, masks: .single, in: pass)
        }
        iou = parts.flatMap { $0.iou.elements }
        logits =
            parts.count == 1
            ? Self.maps(parts[0].answer)
            : Tensor(
                parts.flatMap { $0.answer.elements }, [iou.count, parts[0].answer.shape[2], parts[0].answer.shape[3]])
    }

    /// The gradient of the features, summed over prompts in their order; adds those of the trained values.
    ///
    /// - Parameters:
    ///   - dLogits: // [n, 4 h, 4 w]
    ///   - dIoU: // [n]
    func backward(_ dLogits: Tensor, _ dIoU: [Float], _ gradients: inout GradientBuffer) -> FeatureGradients {
        var sum: FeatureGradients?
        var first = 0
        for chunk in prompts.chunks {
            let count = chunk.prompts.count
            let range = first..<first + count
            first = range.upperBound
            let decoded = keptPass ?? Self.decodeForTraining(model, features, chunk, in: pass)
            let (height, width) = (dLogits.shape[1], dLogits.shape[2])
            let part = decoded.backward(
                MaskGradients(
                    answer: dLogits.rows(range).reshaped([count, 1, height, width]),
                    iou: Tensor(Array(dIoU[range]), [count, 1]), of: decoded.masks), &gradients)
            if let dPrompts = part.prompts {
                model.promptEncoder.backward(dPrompts, chunk.prompts, gradients: &gradients, in: pass)
            }
            if var total = sum.take() {
                total.add(part.features, in: pass.workspace)
                sum = total
            } else {
                sum = part.features
            }
        }
        return sum ?? FeatureGradients(embedding: Tensor(zeros: features.embedding.shape))
    }

    private static func decodeForTraining(
        _ model: SegmentAnythingModel, _ features: ImageFeatures, _ chunk: EncodedPrompts.Chunk, in pass: PassContext
    ) -> MaskDecoderPass {
        model.decoder.decodeForTraining(
            features, position: model.promptEncoder.densePositionalEncoding, prompts: chunk.embeddings,
            promptsWanted: model.promptEncoder.trains(in: pass), in: pass)
    }

    private static func maps(_ logits: Tensor) -> Tensor {
        logits.reshaped([logits.shape[0], logits.shape[2], logits.shape[3]])
    }
}
