import Foundation
import Kernels
import Layers
import SegmentAnything
import TestSupport
import Tensors
import Testing
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
        let table = try Golden.open("model", in: Bundle.module)
        let configuration = try Golden.configuration(of: table, as: GoldenSizes.self).encoder
        let encoder = ImageEncoderViT(ParameterStore(try Golden.weights(of: table)), configuration: configuration)
        let context = PassContext(Workspace(threads: threads))
        let images = try table.tensor("in.image")  // [2, 3, S, S]
        let (side, width) = (configuration.gridSide, configuration.width)
        for index in 0..<images.shape[0] {
            let size = configuration.imageSize
            let image = ElementwiseKernel.transpose(images.rows(index..<index + 1), rows: 3, columns: size * size)
                .reshaped([size, size, 3])
            let features = encoder.encode(
                encoder.stem(image, in: context), EncoderRequest(taps: encoder.blockSites.map(\.index)), in: context)
            for (block, output) in features.taps.map(\.tokens).enumerated() {
                let expected = try table.tensor("out.block\(block)").rows(index..<index + 1)
                expectClose(
                    output, expected.reshaped([side * side, width]), relativeToMaximum: 1e-4, "block \(block)")
            }
            #expect(features.taps.count == configuration.depth)
            let embedding = features.embedding
            let expected = try table.tensor("out.embedding").rows(index..<index + 1)
            expectClose(
                ElementwiseKernel.transpose(embedding, rows: side * side, columns: configuration.embeddingWidth),
                expected.reshaped([configuration.embeddingWidth, side * side]), relativeToMaximum: 1e-4, "embedding")
        }
    }

    /// The recorder asks for exactly the encoder tensors of the official file, by name and shape.
    @Test func asksForTheOfficialTensors() throws {
        let table = try Golden.open("model", in: Bundle.module)
        let recorder = ParameterRecorder()
        _ = ImageEncoderViT(recorder, configuration: try Golden.configuration(of: table, as: GoldenSizes.self).encoder)
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
