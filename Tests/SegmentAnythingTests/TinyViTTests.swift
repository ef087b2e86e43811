import Foundation
import Kernels
import Layers
import SegmentAnything
import Tensors
import TestSupport
import Testing
import WeightFiles

/// A small TinyViT made by Fixtures/generate_tinyvit.py with the reference code.
private struct TinyViTFixture {
    struct Sizes: Decodable {
        let imageSize: Int
        let pointwise: Bool
        let widths, depths, heads, windows: [Int]
        let embeddingWidth, rank: Int
    }

    let table: TensorTable
    let sizes: Sizes
    let encoder: TinyViT

    init(_ name: String) throws {
        let url = try #require(
            Bundle.module.url(forResource: name, withExtension: "safetensors", subdirectory: "Fixtures"))
        table = try SafetensorsFile.read(url.path)
        let text = try #require(table.metadata["config"])
        sizes = try JSONDecoder().decode(Sizes.self, from: Data(text.utf8))
        let configuration = TinyViTConfiguration(
            imageSize: sizes.imageSize, patchEmbedding: sizes.pointwise ? .pointwise : .strided, widths: sizes.widths,
            depths: sizes.depths, heads: sizes.heads, windows: sizes.windows, embeddingWidth: sizes.embeddingWidth)
        let recorder = ParameterRecorder()
        _ = TinyViT(recorder, configuration)
        // Every tensor of the file must be asked for, and no other.
        let contract = WeightContract(Dictionary(uniqueKeysWithValues: recorder.requests))
        let weights = try contract.tensors(
            of: table.renamed { $0.hasPrefix("weights.") ? String($0.dropFirst("weights.".count)) : nil })
        encoder = TinyViT(ParameterStore(weights), configuration)
    }

    func adapter() throws -> TestAdapter {
        try TestAdapter(sites: encoder.projectionSites, rank: sizes.rank, prefix: "lora", in: table)
    }
}

@Suite struct TinyViTTests {
    private static let fixtures = ["tinyvit_strided", "tinyvit_pointwise"]

    @Test(arguments: fixtures) func embeddingEqualsReference(_ name: String) throws {
        let fixture = try TinyViTFixture(name)
        let image = try fixture.table.tensor("in.image")
        let workspace = Workspace(threads: 2, fillingScratchWith: .nan)
        let anchor = fixture.encoder.encode(image, in: PassContext(workspace)).embedding
        expectClose(anchor, try fixture.table.tensor("out.anchor"), relativeToMaximum: 1e-5, "anchor")
        let adapted = fixture.encoder.encode(image, in: try fixture.adapter().context(workspace)).embedding
        expectClose(adapted, try fixture.table.tensor("out.embedding"), relativeToMaximum: 1e-5, "adapted")
        let side = fixture.encoder.embeddingSide
        #expect(adapted.shape == [side * side, fixture.encoder.embeddingWidth])
    }

    @Test(arguments: fixtures) func adapterGradientsEqualReference(_ name: String) throws {
        let fixture = try TinyViTFixture(name)
        let adapter = try fixture.adapter()
        let workspace = Workspace(threads: 2, fillingScratchWith: .nan)
        let pass = fixture.encoder.encodeForTraining(
            try fixture.table.tensor("in.image"), in: adapter.context(workspace))
        expectClose(
            pass.embedding, try fixture.table.tensor("out.embedding"), relativeToMaximum: 1e-5, "training pass")
        var gradients = GradientBuffer(adapter.trained.layout)
        pass.backward(try fixture.table.tensor("in.dEmbedding"), &gradients)
        for entry in adapter.trained.layout.entries {
            let expected = try fixture.table.tensor("grad.\(entry.name)")
            let actual = gradients.values.rows(entry.range).reshaped(expected.shape)
            expectRelativeL2(actual, expected, atMost: 1e-5, entry.name)
        }
    }

    @Test(arguments: fixtures) func threadsAndRecomputingChangeNoBit(_ name: String) throws {
        let fixture = try TinyViTFixture(name)
        let adapter = try fixture.adapter()
        let settings: [(Int, RecomputeLevel)] = [(1, .none), (2, .none), (3, .none), (1, .mlp), (2, .blocks)]
        let results = try settings.map { threads, level -> [Float] in
            let workspace = Workspace(threads: threads, fillingScratchWith: .nan)
            let pass = fixture.encoder.encodeForTraining(
                try fixture.table.tensor("in.image"), in: adapter.context(workspace, recompute: level))
            var gradients = GradientBuffer(adapter.trained.layout)
            pass.backward(try fixture.table.tensor("in.dEmbedding"), &gradients)
            return pass.embedding.elements + gradients.values.elements
        }
        for (setting, result) in zip(settings, results) { #expect(result == results[0], "\(setting)") }
    }

    @Test func publishedModelsHaveTheirSites() {
        for configuration in [TinyViTConfiguration.mobileSAM, .liteMedSAM] {
            let encoder = TinyViT(ParameterRecorder(), configuration)
            #expect(configuration.gridSides == [256, 128, 64, 64])
            #expect(encoder.embeddingSide == 64 && encoder.embeddingWidth == 256)
            #expect(encoder.projectionSites.map(\.index) == Array(0..<10))
            #expect(encoder.projectionSites.map(\.inputWidth) == [128, 128, 160, 160, 160, 160, 160, 160, 320, 320])
            #expect(encoder.projectionSites.first?.name == "image_encoder.layers.1.blocks.0.attn.qkv")
            #expect(encoder.projectionSites.last?.name == "image_encoder.layers.3.blocks.1.attn.qkv")
        }
    }

    /// The figure counted by hand, part by part, for a model small enough to do so.
    @Test func multiplyAddsAreCounted() {
        let configuration = TinyViTConfiguration(
            imageSize: 8, patchEmbedding: .pointwise, widths: [2, 4, 4, 8], depths: [1, 1, 1, 1], heads: [1, 1, 1, 1],
            windows: [1, 3, 2, 2], embeddingWidth: 4)
        // Grids 8, 4, 2, 2. Patch embedding: 64 pixels by 3 * 1 + 1 * 2.
        var expected = 64 * 5
        // Bottleneck, hidden width 8: expand 16, depthwise 72, contract 16.
        expected += 64 * (16 + 72 + 16)
        // Merging 8 -> 4: 64 tokens by 2 * 4, then 16 by 9 * 4 + 16.
        expected += 64 * 8 + 16 * 52
        // Block on 16 tokens of width 4: qkv 48, proj 16, local 36, mlp 128, attention 2 * 9 keys * 4.
        expected += 16 * (48 + 16 + 36 + 128 + 72)
        // Merging 4 -> 2, and a block on 4 tokens with 4 keys.
        expected += 16 * 16 + 4 * 52 + 4 * (48 + 16 + 36 + 128 + 32)
        // Merging that keeps the grid to width 8, and a block of that width.
        expected += 4 * 32 + 4 * (72 + 64) + 4 * (192 + 64 + 72 + 512 + 64)
        // Neck: 8 * 4 and 9 * 4 * 4.
        expected += 4 * (32 + 144)
        #expect(configuration.multiplyAdds == expected)
    }
}
