import Layers
import SegmentAnything

/// An image's prompts and their embeddings, in chunks for the decoder.
struct EncodedPrompts: Sendable {
    /// A chunk of the prompts.
    struct Chunk: Sendable {
        let prompts: PromptBatch
        let embeddings: PromptEmbeddings
    }

    let chunks: [Chunk]

    /// Embeds prompts in a pass. Throws `SegmentAnythingError` for prompts the model cannot process.
    init(_ prompts: PromptBatch, _ model: SegmentAnythingModel, chunk: Int, in pass: PassContext) throws {
        chunks = try stride(from: 0, to: prompts.count, by: chunk).map { start in
            let part = try prompts.objects(start..<min(start + chunk, prompts.count))
            return Chunk(prompts: part, embeddings: try model.promptEncoder.encode(part, in: pass))
        }
    }
}
