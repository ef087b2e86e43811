import Foundation
import Kernels
import Layers
import LowRankAdaptation
import TestSupport
import Tensors
import Testing
import WeightFiles

private let sites = [
    AdapterSite(index: 0, name: "image_encoder.blocks.0.attn.qkv", inputWidth: 6, outputWidth: 6),
    AdapterSite(index: 1, name: "image_encoder.blocks.1.attn.qkv", inputWidth: 8, outputWidth: 8),
]

@Suite struct LoRAAdapterTests {
    @Test func layoutFollowsTheOfficialOrder() {
        let layout = LoRALayout(sites: sites, rank: 4)
        #expect(
            layout.entries.prefix(4).map(\.name)
                == ["a_q", "b_q", "a_v", "b_v"].map { "image_encoder.blocks.0.attn.qkv.linear_\($0).weight" })
        #expect(layout.count == 4 * (4 * 6) + 4 * (4 * 8))
        for (entry, next) in zip(layout.entries, layout.entries.dropFirst()) {
            #expect(entry.offset + entry.shape.count == next.offset)
        }
    }

    @Test func aFreshAdapterIsTheAnchorBitForBit() {
        let adapter = LoRAAdapter(layout: LoRALayout(sites: sites, rank: 4), seed: 1)
        let x = TestValues.uniform([9, 8], "x")
        let anchor = TestValues.uniform([9, 24], "y")
        var y = anchor
        _ = adapter.forward(site: 1, x, addingTo: &y, in: Workspace(threads: 1))
        #expect(y.elements.map(\.bitPattern) == anchor.elements.map(\.bitPattern))
        #expect(adapter.parameters.elements.contains { $0 != 0 })
    }

    @Test func initialisationIsWithinItsBoundAndSeeded() {
        let layout = LoRALayout(sites: sites, rank: 4)
        let first = LoRAAdapter(layout: layout, seed: 1)
        let a = first.matrix(layout.entries[0]).elements
        #expect(a.allSatisfy { abs($0) <= 1 / Float(6).squareRoot() })
        #expect(first.matrix(layout.entries[1]).elements.allSatisfy { $0 == 0 })
        #expect(LoRAAdapter(layout: layout, seed: 1).parameters.elements == first.parameters.elements)
        #expect(LoRAAdapter(layout: layout, seed: 2).parameters.elements != first.parameters.elements)
    }

    @Test func filesRoundTrip() throws {
        let layout = LoRALayout(sites: sites, rank: 3)
        var adapter = LoRAAdapter(layout: layout, seed: 5)
        adapter.parameters = TestValues.uniform([layout.count], "parameters")
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(
            "kedge-\(UUID().uuidString).safetensors"
        ).path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let description = AdapterFile.Description(
            model: "tiny", imageSize: 128, baseDigest: "abc", preprocessing: "sam", step: 7, recipeDigest: "r")
        let digest = try AdapterFile.write(adapter, description, to: path)
        let again = try AdapterFile.write(adapter, description, to: path)
        #expect(again == digest)
        let file = try AdapterFile(opening: path)
        #expect(file.description == description && file.rank == 3)
        let read = try file.adapter(for: layout, baseDigest: "abc")
        #expect(read.parameters.elements == adapter.parameters.elements)
        #expect(throws: WeightFileError.self) { _ = try file.adapter(for: layout, baseDigest: "other") }
        #expect(throws: WeightFileError.self) {
            _ = try file.adapter(for: LoRALayout(sites: sites, rank: 4), baseDigest: "abc")
        }
    }
}
