import Foundation
import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

extension GoldenSizes {
    /// The image encoder of these sizes.
    var encoder: ImageEncoderViTConfiguration {
        var configuration = ImageEncoderViTConfiguration(width: dim, depth: depth, heads: heads, globalBlocks: glob)
        (configuration.imageSize, configuration.window, configuration.embeddingWidth) = (img, window, ed)
        return configuration
    }
}

@Suite struct GoldenImageEncoderViTTests {
    /// Every block's output and the embedding of both images: windowed blocks with padding, global blocks, neck.
    @Test(arguments: [1, 2]) func blocksAndEmbedding(threads: Int) throws {
        let golden = try GoldenModel()
        let (table, configuration) = (golden.table, golden.sizes.encoder)
        let encoder = try golden.imageEncoder()
        let context = PassContext(Workspace(threads: threads))
        let (side, width) = (configuration.gridSide, configuration.width)
        let images = try table.tensor("in.image", shape: [2, 3, configuration.imageSize, configuration.imageSize])
        for index in 0..<images.shape[0] {
            let size = configuration.imageSize
            let image = ElementwiseKernel.transpose(images.rows(index..<index + 1), rows: 3, columns: size * size)
                .reshaped([size, size, 3])
            let features = encoder.encode(
                encoder.stem(image, in: context),
                EncoderRequest(taps: encoder.blockSites.map { .output(of: $0.index) }), in: context)
            for (block, output) in features.taps.map(\.tokens).enumerated() {
                let expected = try table.tensor("out.block\(block)", shape: [2, side, side, width])
                    .rows(index..<index + 1)
                expectClose(
                    output, expected.reshaped([side * side, width]), relativeToMaximum: 1e-4, "block \(block)")
            }
            #expect(features.taps.count == configuration.depth)
            let embedding = features.embedding
            let channels = configuration.embeddingWidth
            let expected = try table.tensor("out.embedding", shape: [2, channels, side, side])
                .rows(index..<index + 1)
            expectClose(
                ElementwiseKernel.transpose(embedding, rows: side * side, columns: channels),
                expected.reshaped([channels, side * side]), relativeToMaximum: 1e-4, "embedding")
        }
    }

    /// The recorder requests exactly the encoder tensors of the official file, by name and shape.
    @Test func asksForTheOfficialTensors() throws {
        let golden = try GoldenModel()
        let table = golden.table
        let recorder = ParameterRecorder()
        _ = ImageEncoderViT(recorder, configuration: golden.sizes.encoder)
        let prefix = "weights.image_encoder."
        let stored = table.entries.filter { $0.name.hasPrefix(prefix) }
        #expect(Set(recorder.requests.map { "weights." + $0.name }) == Set(stored.map(\.name)))
        for request in recorder.requests {
            #expect(table["weights." + request.name]?.shape == request.shape.dimensions, "\(request.name)")
        }
        let vitB = ParameterRecorder()
        _ = ImageEncoderViT(vitB, configuration: .vitB)
        #expect(vitB.requests.reduce(0) { $0 + $1.shape.count } == 89_670_912)
        #expect(vitB.requests.count == 177)
    }
}
