import Foundation
import Imaging
import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// The published TinyViT models on real images. The weights are too large for the repository, so a suite checks what is
/// available and reports what is missing.
private enum PublishedTinyViT {
    /// The golden file and the weights of a model, or nil after a printed line that names what is missing.
    static func open(_ golden: String, weights: String) throws -> (golden: TensorTable, weights: TensorTable)? {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let folder =
            ProcessInfo.processInfo.environment["KEDGE_WEIGHTS_DIR"] ?? root.appendingPathComponent("weights").path
        let path = folder + "/" + weights
        guard FileManager.default.fileExists(atPath: path) else {
            print("GoldenTinyViTTests: \(path) is missing (KEDGE_WEIGHTS_DIR names its folder); not checked")
            return nil
        }
        guard Golden.exists(golden, in: .module) else {
            print("GoldenTinyViTTests: no \(golden).safetensors (KEDGE_GOLDEN_DIR names its folder); not checked")
            return nil
        }
        return (try Golden.open(golden, in: .module), try WeightFile.open(path))
    }

    /// The encoder; its contract with the file's encoder part excludes batch counters and the classification head.
    static func encoder(_ configuration: TinyViTConfiguration, _ table: TensorTable) throws -> TinyViT {
        let recorder = ParameterRecorder()
        _ = TinyViT(recorder, configuration)
        let contract = WeightContract(
            Dictionary(uniqueKeysWithValues: recorder.requests),
            ignorableNames: Set(
                ["norm_head.weight", "norm_head.bias", "head.weight", "head.bias"].map { "image_encoder." + $0 }),
            ignorableSuffixes: [".num_batches_tracked"])
        let weights = try contract.tensors(of: table.renamed { $0.hasPrefix("image_encoder.") ? $0 : nil })
        return TinyViT(ParameterStore(weights), configuration)
    }

    /// [1, C, h, w] as channel-last rows. // [h * w, C]
    static func rows(_ embedding: Tensor) -> Tensor {
        let (channels, pixels) = (embedding.shape[1], embedding.shape[2] * embedding.shape[3])
        return ElementwiseKernel.transpose(embedding, rows: channels, columns: pixels)
    }

    /// The reference's embedding. // [h * w, C]
    static func embedding(_ golden: TensorTable) throws -> Tensor {
        rows(try golden.tensor("out.embedding", shape: [1, 256, 64, 64]))
    }
}

@Suite struct GoldenMobileSAMTests {
    @Test func embeddingEqualsReference() throws {
        guard let files = try PublishedTinyViT.open("mobilesam", weights: "mobile_sam.pt") else { return }
        let encoder = try PublishedTinyViT.encoder(.mobileSAM, files.weights)
        let embedding = encoder.encode(try input(of: files.golden), in: PassContext(Workspace(threads: 2))).embedding
        expectClose(embedding, try PublishedTinyViT.embedding(files.golden), "MobileSAM embedding")
    }

    /// Longest side 1024, SAM's mean and deviation, zeros at the bottom and right. // [1024, 1024, 3]
    private func input(of golden: TensorTable) throws -> Tensor {
        let shape = try golden.shape("in.image_u8", fitting: [nil, nil, 3])
        let image = Image(width: shape[1], height: shape[0], channels: 3, pixels: try golden.bytes("in.image_u8"))
        let size = Resize.longestSideSize(width: image.width, height: image.height, target: 1024)
        let resized = Resize.bilinear(image, width: size.width, height: size.height)
        let (mean, deviation): ([Float], [Float]) = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
        var input = Tensor(zeros: [1024, 1024, 3])
        let target = input.mutablePointer
        for y in 0..<size.height {
            for i in 0..<size.width * 3 {
                let value = Float(resized.pixels[y * size.width * 3 + i])
                target[y * 1024 * 3 + i] = (value - mean[i % 3]) / deviation[i % 3]
            }
        }
        return input
    }
}

@Suite struct GoldenLiteMedSAMTests {
    @Test func embeddingEqualsReference() throws {
        guard let files = try PublishedTinyViT.open("litemedsam", weights: "lite_medsam.pth") else { return }
        let encoder = try PublishedTinyViT.encoder(.liteMedSAM, files.weights)
        let image = ElementwiseKernel.transpose(
            try files.golden.tensor("in.image", shape: [1, 3, 256, 256]), rows: 3, columns: 256 * 256)
        let embedding = encoder.encode(
            image.reshaped([256, 256, 3]), in: PassContext(Workspace(threads: 2))
        ).embedding
        expectClose(embedding, try PublishedTinyViT.embedding(files.golden), "LiteMedSAM embedding")
    }
}
