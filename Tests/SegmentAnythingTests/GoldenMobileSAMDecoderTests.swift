import Foundation
import Kernels
import Layers
import Machine
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// Prompt encoder, mask decoder and postprocessing with the real weights of MobileSAM and LiteMedSAM, from the reference's
/// image embedding.
@Suite struct GoldenMobileSAMDecoderTests {
    /// A golden file and its weights, or nil after a printed line that names what is missing.
    private func open(_ name: String, _ weights: String) throws -> (golden: TensorTable, weights: TensorTable)? {
        BLASEnvironment.useSingleThread()
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let folder =
            ProcessInfo.processInfo.environment["KEDGE_WEIGHTS_DIR"] ?? root.appendingPathComponent("weights").path
        let path = folder + "/" + weights
        guard Golden.exists(name, in: .module), FileManager.default.fileExists(atPath: path) else {
            print("GoldenMobileSAMDecoderTests: \(name) (KEDGE_GOLDEN_DIR) or \(path) is missing; not checked")
            return nil
        }
        return (try Golden.open(name, in: .module), try WeightFile.open(path))
    }

    private func prompts(_ kind: String, _ golden: TensorTable) throws -> PromptBatch {
        if kind == "boxes" { return try PromptBatch(boxes: golden.tensor("in.boxes", shape: [nil, 4])) }
        let labels = try golden.integers("in.labels").map { PointLabel(rawValue: $0) ?? .padding }
        return try PromptBatch(points: golden.tensor("in.points", shape: [nil, nil, 2]), labels: labels)
    }

    /// The image embedding of both models: 64 x 64 cells of 256 channels.
    private func embedding(_ golden: TensorTable) throws -> Tensor {
        channelLast(try golden.tensor("out.embedding", shape: [1, 256, 64, 64]))
    }

    /// Expects logits within 1e-4 of their maximum, and at least 99.99 % equal signs.
    private func expectMasks(_ logits: Tensor, _ expected: Tensor, _ label: String) {
        expectClose(logits, expected, label)
        let equal = zip(logits.elements, expected.elements).reduce(0) { $0 + (($1.0 > 0) == ($1.1 > 0) ? 1 : 0) }
        #expect(Double(equal) >= 0.9999 * Double(logits.count), "\(label): \(logits.count - equal) pixels differ")
    }

    @Test(arguments: ["boxes", "points"]) func mobileSAM(_ kind: String) throws {
        guard let (golden, weights) = try open("mobilesam", "mobile_sam.pt") else { return }
        let workspace = Workspace(threads: 2)
        let context = PassContext(workspace)
        let encoder = try weights.build { PromptEncoder($0.scoped("prompt_encoder")) }
        let decoder = try weights.build { MaskDecoder($0.scoped("mask_decoder")) }
        let features = ImageFeatures(embedding: try embedding(golden))
        let embeddings = try encoder.encode(prompts(kind, golden), in: context)
        var logits: [String: Tensor] = [:]
        for mode in ["single", "multi"] {
            let decoded = decoder.decode(
                features, position: encoder.densePositionalEncoding, prompts: embeddings,
                masks: mode == "multi" ? .multiple : .single, in: context)
            expectMasks(decoded.logits, try golden.tensor("out.\(kind).masks.\(mode)"), "\(kind) \(mode) logits")
            expectClose(decoded.iou, try golden.tensor("out.\(kind).iou.\(mode)"), "\(kind) \(mode) IoU")
            logits[mode] = decoded.logits
        }
        let shape = try golden.shape("in.image_u8", fitting: [nil, nil, 3])
        let frame = MaskFrame(side: 1024, originalWidth: shape[1], originalHeight: shape[0])
        let expected = try golden.bytes("out.\(kind).binary")
        let candidates = try #require(golden["out.\(kind).binary"]?.shape.dropFirst().first)
        let mode = candidates == 1 ? "single" : "multi"
        let resized = MaskPostprocessing.resize(try #require(logits[mode]), to: frame, in: workspace)
        let binary = MaskPostprocessing.binary(resized)
        #expect(binary.count == expected.count)
        let different = zip(binary, expected).reduce(0) { $0 + ($1.0 == $1.1 ? 0 : 1) }
        #expect(Double(different) <= 1e-4 * Double(expected.count), "\(kind): \(different) pixels differ")
    }

    @Test(arguments: ["boxes", "points"]) func liteMedSAM(_ kind: String) throws {
        guard let (golden, weights) = try open("litemedsam", "lite_medsam.pth") else { return }
        let context = PassContext(Workspace(threads: 2))
        let encoder = try weights.build {
            PromptEncoder($0.scoped("prompt_encoder"), configuration: .init(imageSize: 256))
        }
        let decoder = try weights.build { MaskDecoder($0.scoped("mask_decoder")) }
        let decoded = decoder.decode(
            ImageFeatures(embedding: try embedding(golden)), position: encoder.densePositionalEncoding,
            prompts: try encoder.encode(prompts(kind, golden), in: context), masks: .single, in: context)
        expectMasks(decoded.logits, try golden.tensor("out.\(kind).masks"), "\(kind) logits")
        expectClose(decoded.iou, try golden.tensor("out.\(kind).iou"), "\(kind) IoU")
    }
}
