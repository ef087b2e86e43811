import Adapters
import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// SAM-Adapter's prompts of the encoder against the official code: each part of the forward pass, and gradients.
@Suite struct GoldenSAMAdapterTests {
    private struct Configuration: Decodable {
        var sam_adapter_scale: Int
    }

    private let golden: GoldenMoDA
    private let adapter: SAMAdapter
    private let adapted: AdaptedModel

    init() throws {
        golden = try GoldenMoDA()
        let scale = try Golden.configuration(of: golden.table, as: Configuration.self).sam_adapter_scale
        var places = ParameterPlaces(group: ParameterGroup("sam-adapter"))
        adapter = try SAMAdapter(ModelDescription(golden.model.configuration), seed: 1, reduction: scale, &places)
        let table = golden.table
        let values = try places.layout.entries.flatMap { entry in
            try table.tensor("samadapter.weights.\(Self.stored(entry.name))", shape: entry.shape.dimensions).elements
        }
        adapted = AdaptedModel(
            golden.model, Trainables(layout: places.layout, adapters: [adapter]),
            values: Tensor(values, [places.layout.count]))
    }

    private static func stored(_ name: String) -> String {
        String(name.dropFirst("image_encoder.prompt_generator.".count))
    }

    private var context: PassContext { adapted.context(in: golden.workspace) }

    /// Image `index` of a tensor, channels first, as tokens. // [B, C, h, w] -> [h * w, C]
    private func tokens(_ name: String, _ index: Int) throws -> Tensor {
        let stored = try golden.table.tensor(name).rows(index..<index + 1)
        let channels = stored.shape[1]
        return ElementwiseKernel.transpose(stored, rows: channels, columns: stored.count / channels)
    }

    @Test func highFrequencies() throws {
        let side = golden.sizes.img
        let whole = HighPassFilter(side: side).patches(
            of: try golden.image(0), patchSize: side, in: golden.workspace)
        expectClose(
            whole.elements, try golden.table.tensor("samadapter.out.highpass").elements, "samadapter.out.highpass")
    }

    @Test func promptsOfTheBlocks() throws {
        let encoder = golden.model.encoder
        // Without the patch embedding's layer, the shared values are those of the high frequencies alone.
        var withoutEmbedding = adapted
        for entry in adapted.layout.entries where entry.name.contains("embedding_generator") {
            for index in entry.range { withoutEmbedding.trained?.values[index] = 0 }
        }
        for index in 0..<golden.batch {
            let stem = encoder.stem(try golden.image(index), in: context)
            let handcrafted = adapter.prepare(stem, in: withoutEmbedding.context(in: golden.workspace))[0]
            expectClose(
                handcrafted.elements, try tokens("samadapter.out.handcrafted", index).elements, "handcrafted \(index)")
            let shared = adapter.prepare(stem, in: context)
            for (name, site) in [("prompt0", encoder.blockSites.first), ("prompt_last", encoder.blockSites.last)] {
                var prompt = Tensor(zeros: stem.tokens.shape)
                adapter.forward(at: try #require(site), shared, addingTo: &prompt, in: context)
                expectClose(
                    prompt.elements, try golden.table.tensor("samadapter.out.\(name)").rows(index..<index + 1).elements,
                    "\(name) \(index)")
            }
        }
    }

    @Test func embeddingAndGradients() throws {
        var gradients = GradientBuffer(adapted.layout)
        for index in 0..<golden.batch {
            let image = try golden.image(index)
            let pass = golden.model.encoder.encodeForTraining(image, in: context)
            expectClose(
                pass.embedding.elements, try tokens("samadapter.out.embedding", index).elements, "embedding \(index)")
            #expect(golden.model.encoder.encode(image, in: context).embedding.elements == pass.embedding.elements)
            pass.backward(try tokens("samadapter.in.cotangent", index), &gradients)
        }
        #expect(golden.table.names.count { $0.hasPrefix("samadapter.grad.") } == adapted.layout.entries.count)
        for entry in adapted.layout.entries {
            let name = "samadapter.grad.\(Self.stored(entry.name))"
            expectRelativeL2(
                gradients.values.rows(entry.range).reshaped(entry.shape), try golden.table.tensor(name), atMost: 3e-3,
                name)
        }
    }

    /// The code as released scrambles the patch embedding: it reads channel-last values as if they were channel-first.
    @Test func theReleasedCodeScramblesPatches() throws {
        let scrambled = context.with(ActiveAdapters([ScrambledPatches(adapter: adapter)]))
        for index in 0..<golden.batch {
            let embedding = golden.model.encoder.encode(try golden.image(index), in: scrambled).embedding
            expectClose(
                embedding.elements, try tokens("samadapter.compat.embedding", index).elements, "scrambled \(index)")
        }
    }
}

/// An adapter that gets the patch embedding in the order of the released code.
private struct ScrambledPatches: AdapterSet, BlockInputAdapter {
    let adapter: SAMAdapter
    var kind: String { adapter.kind }
    var parameters: [Parameter] { adapter.parameters }
    var blockInputs: (any BlockInputAdapter)? { self }

    private func scrambled(_ stem: EncoderStem, in context: PassContext) -> EncoderStem {
        let patches = stem.tokensWithoutPositions(in: context.workspace)
        return EncoderStem(
            image: stem.image,
            tokens: ElementwiseKernel.transpose(patches, rows: patches.shape[1], columns: patches.shape[0]))
    }

    func prepare(_ stem: EncoderStem, in context: PassContext) -> [Tensor] {
        adapter.prepare(scrambled(stem, in: context), in: context)
    }

    func forward(at site: BlockSite, _ shared: [Tensor], addingTo x: inout Tensor, in context: PassContext) {
        adapter.forward(at: site, shared, addingTo: &x, in: context)
    }

    func backward(
        at site: BlockSite, _ dX: Tensor, _ shared: [Tensor], addingTo dShared: inout [Tensor],
        gradients: inout GradientBuffer, in context: PassContext
    ) {
        adapter.backward(at: site, dX, shared, addingTo: &dShared, gradients: &gradients, in: context)
    }

    func finish(
        _ dShared: [Tensor], _ shared: [Tensor], stem: EncoderStem, gradients: inout GradientBuffer,
        in context: PassContext
    ) {
        adapter.finish(
            dShared, shared, stem: scrambled(stem, in: context), gradients: &gradients, in: context)
    }
}
