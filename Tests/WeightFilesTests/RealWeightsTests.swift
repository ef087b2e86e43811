import Foundation
import Tensors
import Testing
import WeightFiles

/// Real weight files, read from where `scripts/fetch-weights` stores them.
@Suite struct RealWeightsTests {
    /// The path of a weight file, or nil after a printed line that it is missing.
    private func path(_ name: String) -> String? {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let folder =
            ProcessInfo.processInfo.environment["KEDGE_WEIGHTS_DIR"] ?? root.appendingPathComponent("weights").path
        let path = folder + "/" + name
        if FileManager.default.fileExists(atPath: path) { return path }
        print("RealWeightsTests: \(path) is missing (scripts/fetch-weights gets it); its checks did not run")
        return nil
    }

    /// The sum of every number of a file, in Double.
    private func sum(_ table: TensorTable) throws -> Double {
        try table.names.reduce(0) { try $0 + table.tensor($1).elements.reduce(0.0) { $0 + Double($1) } }
    }

    // The values below are those that PyTorch 2.13 reads from the same files.

    @Test func mobileSAM() throws {
        guard let path = path("mobile_sam.pt") else { return }
        let table = try WeightFile.open(path)
        #expect(try table.fileDigest() == "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f")
        #expect(table.entries.count == 439)
        #expect(try WeightDialect.detect(table).encoder == .tinyViT(patchKernel: 3))
        #expect(try table.integers("image_encoder.patch_embed.seq.0.bn.num_batches_tracked") == [411940])
        let bias = try table.tensor("mask_decoder.iou_prediction_head.layers.2.bias").elements
        #expect(bias == [0.11438453197479248, 0.18055133521556854, 0.20019784569740295, 0.19815942645072937])
        #expect(abs(try sum(table) / 11232139.875600347 - 1) < 1e-12)
    }

    @Test func liteMedSAM() throws {
        guard let path = path("lite_medsam.pth") else { return }
        let table = try WeightFile.open(path)
        #expect(try table.fileDigest() == "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76")
        #expect(table.entries.count == 435)
        #expect(try WeightDialect.detect(table).encoder == .tinyViT(patchKernel: 1))
        #expect(try table.integers("image_encoder.patch_embed.seq.0.bn.num_batches_tracked") == [4_416_366])
        let bias = try table.tensor("mask_decoder.iou_prediction_head.layers.2.bias").elements
        #expect(bias == [0.1938086301088333, 0.06806963682174683, 0.07395760715007782, 0.07142506539821625])
        #expect(abs(try sum(table) / 119241477.27944583 - 1) < 1e-12)
    }
}
