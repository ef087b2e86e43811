import Kernels
import Layers
import Machine
import SegmentAnything
import Tensors
import Testing

/// A model over one block of memory equals the model over its weight file, without a tensor of its own.
@Suite struct ParameterArenaTests {
    /// Values that depend on the name and the index.
    private struct NamedValues: ParameterSource {
        func tensor(_ name: String, _ shape: Shape) -> Tensor {
            var generator = SeededGenerator(seed: 5, purpose: name)
            let low = name.hasSuffix("running_var") ? 0.5 : -0.5
            return Tensor((0..<shape.count).map { _ in Float(generator.uniform(low, 1)) }, shape)
        }
    }

    private static let smallTinyViT = SegmentAnythingConfiguration(
        encoder: .tinyViT(
            TinyViTConfiguration(
                imageSize: 64, patchEmbedding: .strided, widths: [8, 16, 16, 32], depths: [1, 1, 1, 1],
                heads: [1, 2, 2, 4], windows: [3, 3, 5, 3], embeddingWidth: 32)),
        decoder: MaskDecoderConfiguration(width: 32, heads: 2, mlpWidth: 64, iouHiddenWidth: 32))

    @Test(arguments: ["tiny", "TinyViT"]) func theModelOverABlockIsTheModelOverTheFile(_ name: String) throws {
        let configuration = name == "tiny" ? SegmentAnythingConfiguration.tiny : Self.smallTinyViT
        BLASEnvironment.useSingleThread()
        let direct = SegmentAnythingModel(configuration, NamedValues())
        let arena = ParameterArena { _ = SegmentAnythingModel(configuration, $0) }
        let block = UnsafeMutablePointer<Float>.allocate(capacity: arena.floatCount)
        defer { block.deallocate() }
        arena.fill(block, from: NamedValues()) { _ = SegmentAnythingModel(configuration, $0) }

        let pool = StoragePool()
        let model = StoragePool.$rehearsal.withValue(pool) {
            let storage = TensorStorage(borrowing: block, count: arena.floatCount) {}
            return SegmentAnythingModel(configuration, arena.parameters(in: storage))
        }
        #expect(pool.figures.live == 0, "the model keeps tensors outside the block")

        let context = PassContext(Workspace(threads: 1))
        let side = configuration.imageSize
        let image = NamedValues().tensor("image", [side, side, 3])
        let prompts = try PromptBatch(boxes: Tensor([4, 6, 40, 50], [1, 4]))
        let features = [direct, model].map { $0.encoder.encode(image, in: context) }
        let embeddings = features.map(\.embedding)
        #expect(embeddings[0].elements.map(\.bitPattern) == embeddings[1].elements.map(\.bitPattern))
        let logits = try [direct, model].map { try $0.logits(features[0], prompts, in: context) }
        #expect(logits[0].elements.map(\.bitPattern) == logits[1].elements.map(\.bitPattern))
        #expect(embeddings[0].elements.contains { $0 != embeddings[0][0] }, "an embedding of one value shows nothing")
    }

    /// ViT-B's block is its file's 357.6 MiB, the second layout of the neck's convolution and of the upscaling, and the
    /// positional code.
    @Test func theBlockHoldsNothingTwice() {
        let arena = ParameterArena { _ = SegmentAnythingModel(.vitB, $0) }
        let file = SegmentAnythingModel.parameterShapes(.vitB).reduce(0) { $0 + $1.shape.count }
        let derived = 256 * 9 * 256 + 256 * 256 + 64 * 128 + 4096 * 256
        #expect(arena.floatCount > file && arena.floatCount < file + derived + 20_000)
    }
}
