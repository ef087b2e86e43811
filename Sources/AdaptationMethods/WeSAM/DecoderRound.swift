import Kernels
import SegmentAnything
import Tensors

/// One branch's run of the mask decoder over all prompts of an image, chunk by chunk.
///
/// Losses couple an image's instances, so their gradients are known only after the last chunk. With one chunk its pass
/// is kept for backward; with more, each is run again then, which gives the same numbers, because a chunk's products
/// have the same shapes both times.
struct DecoderRound {
    /// Low-resolution mask logits of all prompts. // [n, 4 h, 4 w]
    let logits: Tensor
    /// Predicted IoUs of all prompts. // [n]
    let iou: [Float]

    private let model: SegmentAnythingModel
    private let embedding: Tensor
    private let chunks: [PromptEmbeddings]
    private let keptPass: MaskDecoderPass?

    /// Runs the decoder.
    ///
    /// - Parameter keepingPass: True when backward will follow.
    init(
        _ model: SegmentAnythingModel, _ embedding: Tensor, _ chunks: [PromptEmbeddings], keepingPass: Bool,
        in workspace: Workspace
    ) {
        (self.model, self.embedding, self.chunks) = (model, embedding, chunks)
        let position = model.promptEncoder.densePositionalEncoding
        if keepingPass, chunks.count == 1 {
            let pass = model.decoder.decodeForTraining(embedding, position: position, prompts: chunks[0], in: workspace)
            keptPass = pass
            logits = Self.maps(pass.logits)
            iou = pass.iou.elements
            return
        }
        keptPass = nil
        let parts = chunks.map {
            model.decoder.decode(embedding, position: position, prompts: $0, multimask: false, in: workspace)
        }
        iou = parts.flatMap { $0.iou.elements }
        logits =
            parts.count == 1
            ? Self.maps(parts[0].logits)
            : Tensor(
                parts.flatMap { $0.logits.elements }, [iou.count, parts[0].logits.shape[2], parts[0].logits.shape[3]])
    }

    /// The gradient of the image embedding, summed over prompts in their order. // [h * w, C]
    func backward(_ dLogits: Tensor, _ dIoU: [Float], in workspace: Workspace) -> Tensor {
        let position = model.promptEncoder.densePositionalEncoding
        var sum: Tensor?
        var first = 0
        for chunk in chunks {
            let range = first..<first + chunk.count
            first = range.upperBound
            let pass =
                keptPass
                ?? model.decoder.decodeForTraining(embedding, position: position, prompts: chunk, in: workspace)
            let (height, width) = (dLogits.shape[1], dLogits.shape[2])
            let part = pass.backward(
                dLogits.rows(range).reshaped([chunk.count, 1, height, width]),
                Tensor(Array(dIoU[range]), [chunk.count, 1]), workspace)
            if sum == nil {
                sum = part
            } else if var total = sum.take() {
                ElementwiseKernel.accumulate(part, into: &total, in: workspace)
                sum = total
            }
        }
        return sum ?? Tensor(zeros: embedding.shape)
    }

    private static func maps(_ logits: Tensor) -> Tensor {
        logits.reshaped([logits.shape[0], logits.shape[2], logits.shape[3]])
    }
}
