import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// The whole model: the tensors it requests from a weight file, and the path from image to masks.
@Suite struct SegmentAnythingModelTests {
    /// Tensors and numbers of the official ViT-B file, part by part.
    @Test func officialTensors() {
        let shapes = SegmentAnythingModel.parameterShapes(.vitB)
        func part(_ name: String) -> [Shape] { shapes.filter { $0.name.hasPrefix(name + ".") }.map(\.shape) }
        func numbers(_ name: String) -> Int { part(name).reduce(0) { $0 + $1.count } }
        #expect(shapes.count == 314)
        #expect(Set(shapes.map(\.name)).count == 314)
        #expect(part("image_encoder").count == 177 && numbers("image_encoder") == 89_670_912)
        #expect(part("prompt_encoder").count == 17 && numbers("prompt_encoder") == 6_476)
        #expect(part("mask_decoder").count == 120 && numbers("mask_decoder") == 4_058_340)
    }

    /// The small model's file holds exactly what a model of its sizes requests.
    @Test func smallModelContract() throws {
        let golden = try GoldenModel()
        let weights = golden.table.names.filter { $0.hasPrefix("weights.") }.map { String($0.dropFirst(8)) }
        let shapes = SegmentAnythingModel.parameterShapes(golden.configuration)
        #expect(shapes.map(\.name).sorted() == weights.sorted())
        for (name, shape) in shapes {
            #expect(golden.table["weights." + name]?.shape == shape.dimensions, "\(name)")
        }
    }

    /// Image to masks through all three parts.
    @Test(arguments: ["boxes", "points"]) func goldenFromImageToMasks(_ kind: String) throws {
        let golden = try GoldenModel()
        let model = try golden.table.build { SegmentAnythingModel(golden.configuration, $0.scoped("weights")) }
        let context = PassContext(Workspace(threads: 2))
        let image = try golden.table.tensor("in.image").rows(0..<1)
        let side = golden.sizes.img
        let pixels = channelLast(image).reshaped([side, side, 3])
        let features = model.encoder.encode(pixels, in: context)
        let decoded = try model.predict(features, golden.prompts(kind), masks: .single, in: context)
        expectClose(decoded.logits, try golden.table.tensor("out.\(kind).masks.single"), "\(kind) logits")
        expectClose(decoded.iou, try golden.table.tensor("out.\(kind).iou.single"), "\(kind) IoU")
    }
}
