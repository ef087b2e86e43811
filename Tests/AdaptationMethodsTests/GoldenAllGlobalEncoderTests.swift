import Adapters
import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// The encoder of CoSAM's released code, which attends over the whole grid in every block, with HQ-SAM's decoder on it.
@Suite struct GoldenAllGlobalEncoderTests {
    @Test func featuresAndMasks() throws {
        let golden = try GoldenMoDA(allGlobal: true)
        let adapted = try golden.adapted()
        let context = adapted.context(in: golden.workspace)
        let side = golden.sizes.side
        for index in 0..<golden.batch {
            let own = index..<index + 1
            let features = golden.model.encoder.encode(try golden.image(index), in: context)
            expectClose(
                ElementwiseKernel.transpose(
                    features.embedding, rows: side * side, columns: golden.sizes.ed
                ).elements, try golden.table.tensor("compat.embedding").rows(own).elements, "embedding \(index)")
            let tap = try #require(features.taps.first)
            #expect(tap.site == .output(of: 0))
            expectClose(
                tap.tokens.elements, try golden.table.tensor("compat.early").rows(own).elements, "early \(index)")
            let decoded = try golden.model.predict(
                features, try golden.prompt(index, kind: 0), masks: .single, in: context)
            expectClose(
                try #require(decoded.adapterLogits).elements,
                try golden.table.tensor("compat.box.hq").rows(own).elements, "hq \(index)")
            expectClose(
                decoded.logits.elements, try golden.table.tensor("compat.box.sam").rows(own).elements, "sam \(index)")
        }
    }

    /// Every score of every block is counted.
    @Test func operationsOfAllBlocks() throws {
        guard case .viT(let sizes) = SegmentAnythingConfiguration.vitB.allGlobal?.encoder else {
            Issue.record("no all-global ViT-B")
            return
        }
        #expect(sizes.isAllGlobal && sizes.attentionMultiplyAdds == 12 * 2 * 4096 * 4096 * 768)
        #expect(SegmentAnythingConfiguration.mobileSAM.allGlobal == nil)
    }
}
