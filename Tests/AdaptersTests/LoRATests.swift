import Adapters
import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport

private let sites = [
    ProjectionSite(index: 0, name: "image_encoder.blocks.0.attn.qkv", inputWidth: 6, outputWidth: 6),
    ProjectionSite(index: 1, name: "image_encoder.blocks.1.attn.qkv", inputWidth: 8, outputWidth: 8),
]

@Suite struct LoRATests {
    private func fresh(rank: Int = 4, seed: UInt64 = 1) -> (adapter: LoRA, layout: ParameterLayout) {
        var places = ParameterPlaces(group: ParameterGroup("lora"))
        let adapter = LoRA(sites, rank: rank, seed: seed, &places)
        return (adapter, places.layout)
    }

    @Test func layoutFollowsTheOfficialOrder() {
        let layout = fresh().layout
        #expect(
            layout.entries.prefix(4).map(\.name)
                == ["a_q", "b_q", "a_v", "b_v"].map { "image_encoder.blocks.0.attn.qkv.linear_\($0).weight" })
        #expect(layout.count == 4 * (4 * 6) + 4 * (4 * 8))
        for (entry, next) in zip(layout.entries, layout.entries.dropFirst()) {
            #expect(entry.range.upperBound == next.offset)
        }
    }

    @Test func aFreshAdapterIsTheBaseBitForBit() {
        let (adapter, _) = fresh()
        let x = TestValues.uniform([9, 8], "x")
        let base = TestValues.uniform([9, 24], "y")
        var y = base
        let context = PassContext(Workspace(threads: 1), adapters: ActiveAdapters([adapter]))
        _ = adapter.forward(at: sites[1], x, addingTo: &y, in: context)
        #expect(y.elements.map(\.bitPattern) == base.elements.map(\.bitPattern))
        #expect(adapter.parameters.contains { $0.frozen.elements.contains { $0 != 0 } })
    }

    @Test func initialisationIsWithinItsBoundAndSeeded() {
        func values(_ seed: UInt64) -> [[Float]] { fresh(seed: seed).adapter.parameters.map(\.frozen.elements) }
        let first = values(1)
        #expect(first[0].allSatisfy { abs($0) <= 1 / Float(6).squareRoot() })
        #expect(first[1].allSatisfy { $0 == 0 })
        #expect(values(1) == first)
        #expect(values(2) != first)
    }

    /// Without a group the same matrices are frozen: they are active, and nothing trains.
    @Test func withoutAGroupNothingTrains() {
        var places = ParameterPlaces(group: nil)
        let adapter = LoRA(sites, rank: 2, seed: 1, &places)
        #expect(places.layout.count == 0 && adapter.parameters.allSatisfy { $0.slot == nil })
        #expect(!ActiveAdapters([adapter]).trainsInEncoder)
        #expect(ActiveAdapters([fresh().adapter]).trainsInEncoder)
    }
}
