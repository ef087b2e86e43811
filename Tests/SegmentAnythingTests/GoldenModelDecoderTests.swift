import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// Prompt encoder and mask decoder of the small model against the official code.
@Suite struct GoldenModelDecoderTests {
    static let kinds = ["boxes", "points", "points_boxes", "masks", "boxes_masks"]

    @Test func densePositionalEncoding() throws {
        let golden = try GoldenModel()
        let (width, side) = (golden.sizes.ed, golden.side)
        let expected = channelLast(try golden.table.tensor("out.dense_pe", shape: [1, width, side, side]))
        expectClose(try golden.promptEncoder().densePositionalEncoding, expected, "dense positional encoding")
    }

    @Test(arguments: kinds) func promptEmbeddings(_ kind: String) throws {
        let golden = try GoldenModel()
        let encoder = try golden.promptEncoder()
        let embeddings = try encoder.encode(golden.prompts(kind), in: PassContext(Workspace(threads: 2)))
        expectClose(embeddings.sparse, try golden.table.tensor("out.\(kind).sparse"), "\(kind) sparse")
        let (width, side) = (golden.sizes.ed, golden.side)
        let dense = try golden.table.tensor("out.\(kind).dense", shape: [embeddings.count, width, side, side])
        for prompt in 0..<dense.shape[0] {
            let expected = channelLast(dense.rows(prompt..<prompt + 1))
            switch embeddings.dense {
            case .shared(let vector):
                let repeated = (0..<expected.shape[0]).flatMap { _ in vector.elements }
                expectClose(repeated, expected.elements, "\(kind) dense")
            case .perPrompt(let images):
                let image = images.rows(prompt..<prompt + 1).reshaped(expected.shape)
                expectClose(image, expected, "\(kind) dense of prompt \(prompt)")
            }
        }
    }

    @Test(arguments: kinds, [false, true]) func masksAndIoU(_ kind: String, _ multimask: Bool) throws {
        let golden = try GoldenModel()
        let (encoder, decoder) = (try golden.promptEncoder(), try golden.maskDecoder())
        let context = PassContext(Workspace(threads: 2))
        let decoded = decoder.decode(
            try golden.features(), position: encoder.densePositionalEncoding,
            prompts: try encoder.encode(golden.prompts(kind), in: context), masks: multimask ? .multiple : .single,
            in: context)
        let mode = multimask ? "multi" : "single"
        expectClose(decoded.logits, try golden.table.tensor("out.\(kind).masks.\(mode)"), "\(kind) \(mode) logits")
        expectClose(decoded.iou, try golden.table.tensor("out.\(kind).iou.\(mode)"), "\(kind) \(mode) IoU")
    }

    /// One and two prompts take another path through the first layer than three.
    @Test(arguments: [("boxes", 3), ("boxes_first", 1), ("boxes_two", 2), ("points", 3), ("boxes_masks", 3)])
    func embeddingGradient(_ name: String, _ count: Int) throws {
        // The gradients belong to one model, which is therefore read from their folder.
        let file = "decoder_gradients.safetensors"
        let golden = try GoldenModel(with: [file])
        let reference = try golden.files.table(file)
        let (encoder, decoder) = (try golden.promptEncoder(), try golden.maskDecoder())
        let context = PassContext(Workspace(threads: 2))
        let kind = name.hasPrefix("boxes_") && count < 3 ? "boxes" : name
        let prompts = try encoder.encode(golden.prompts(kind, first: count), in: context)
        let features = try golden.features()
        let position = encoder.densePositionalEncoding
        let pass = decoder.decodeForTraining(features, position: position, prompts: prompts, in: context)
        let decoded = decoder.decode(features, position: position, prompts: prompts, masks: .single, in: context)
        #expect(pass.logits.elements == decoded.logits.elements && pass.iou.elements == decoded.iou.elements)
        let (width, side) = (golden.sizes.ed, golden.side)
        let dLogits = try reference.tensor("in.d_logits", shape: [nil, 1, 4 * side, 4 * side]).first(count)
        let dIoU = try reference.tensor("in.d_iou", shape: [nil, 1]).first(count)
        let expected = channelLast(try reference.tensor("out.\(name).d_embedding", shape: [width, side, side]))
        var gradients = GradientBuffer(count: 0)
        let dFeatures = pass.backward(MaskGradients(logits: dLogits, iou: dIoU), &gradients).features
        expectRelativeL2(dFeatures.embedding, expected, "\(name) embedding gradient")
    }
}
