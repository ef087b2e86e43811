import Layers
import SegmentAnything

/// An image's prompts and their embeddings, as many at once as the decoder takes.
struct EncodedPrompts: Sendable {
    /// Some of the prompts.
    struct Chunk: Sendable {
        let prompts: PromptBatch
        let embeddings: PromptEmbeddings
    }

    let chunks: [Chunk]

    /// Embeds prompts in a pass. Throws `SegmentAnythingError` for prompts the model cannot take.
    init(_ prompts: PromptBatch, _ model: SegmentAnythingModel, chunk: Int, in pass: PassContext) throws {
        chunks = try stride(from: 0, to: prompts.count, by: chunk).map { start in
            let part = try prompts.objects(start..<min(start + chunk, prompts.count))
            return Chunk(prompts: part, embeddings: try model.promptEncoder.encode(part, in: pass))
        }
    }
}
