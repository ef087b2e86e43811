import AdaptationMethods
import Adapters
import Foundation
import Kernels
import Layers
import Machine
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// The tensors of the official SUM code (`sum.safetensors`), its model and its inputs.
struct GoldenSUM {
    struct Configuration: Decodable {
        var input_size: [Int]
        var iou_hidden: Int
        var rank: Int
        var theta: Float
        var lr: Double
        var layer_decay: Double
        var weight_decay: Double
        var eps: Double
        var rounds: Int
    }

    let table: TensorTable
    let configuration: Configuration
    let sizes: GoldenSizes
    let model: SegmentAnythingConfiguration
    let workspace = Workspace(threads: 2)

    init() throws {
        BLASEnvironment.useSingleThread()
        table = try Golden.open("sum", in: .module)
        configuration = try Golden.configuration(of: table, as: Configuration.self)
        sizes = try Golden.sizes(of: table)
        var encoder = ImageEncoderViTConfiguration(
            width: sizes.dim, depth: sizes.depth, heads: sizes.heads, globalBlocks: sizes.glob)
        (encoder.imageSize, encoder.window, encoder.embeddingWidth) = (sizes.img, sizes.window, sizes.ed)
        model = SegmentAnythingConfiguration(
            encoder: .viT(encoder),
            decoder: MaskDecoderConfiguration(
                width: sizes.ed, heads: sizes.dheads, mlpWidth: sizes.mlp_dim,
                iouHiddenWidth: configuration.iou_hidden))
    }

    /// Side of low-resolution masks.
    var low: Int { sizes.img / 4 }
    /// The image's part of the canvas.
    var area: MaskCanvas.Area { .init(height: configuration.input_size[0], width: configuration.input_size[1]) }

    /// The frozen weights, some of them replaced by those below another prefix.
    func weights(replacedBelow prefix: String? = nil) throws -> ParameterStore {
        var weights = try Golden.weights(of: table, SegmentAnythingModel.parameterShapes(model))
        for name in weights.keys.sorted() {
            guard let prefix, table["\(prefix).\(name)"] != nil else { continue }
            weights[name] = try table.tensor("\(prefix).\(name)")
        }
        return ParameterStore(weights)
    }

    /// The model with some trainables at the file's values, the adapters' under their own prefixes.
    func adapted(_ plan: TrainablePlan) throws -> AdaptedModel {
        let trainables = try Trainables(
            plan, in: ModelDescription(model), AdapterOptions(rank: configuration.rank, seed: 1))
        let values = try trainables.layout.entries.flatMap { entry in
            try table.tensor(stored(entry.name), shape: entry.shape.dimensions).elements
        }
        let source = TrainableSource(try weights(), layout: trainables.layout)
        return AdaptedModel(
            SegmentAnythingModel(model, source), trainables, values: Tensor(values, [trainables.layout.count]))
    }

    /// The name of a parameter in the file.
    func stored(_ name: String) -> String {
        for block in 0..<sizes.depth {
            let prefix = "image_encoder.blocks.\(block).attn.qkv."
            guard name.hasPrefix(prefix) else { continue }
            for (own, short) in [
                ("linear_a_q", "a_q"), ("linear_b_q", "b_q"), ("linear_a_v", "a_v"), ("linear_b_v", "b_v"),
            ] where name == "\(prefix)\(own).weight" {
                return "lora.init.block\(block).\(short)"
            }
        }
        return "weights." + name
    }

    /// The name of a parameter among gradients and updated values.
    func short(_ name: String) -> String {
        let stored = stored(name)
        return stored.hasPrefix("lora.init.")
            ? "lora." + stored.dropFirst("lora.init.".count) : String(stored.dropFirst("weights.".count))
    }

    /// An image, normalised. // [S, S, 3]
    func image(_ index: Int) throws -> Tensor {
        let side = sizes.img
        let stored = try table.tensor("in.image", shape: [nil, 3, side, side]).rows(index..<index + 1)
        return ElementwiseKernel.transpose(stored, rows: 3, columns: side * side).reshaped([side, side, 3])
    }

    /// The embedding of an image, by the file. // [g * g, C]
    func features(_ index: Int) throws -> ImageFeatures {
        let stored = try table.tensor("train.out.embedding").rows(index..<index + 1)
        let positions = stored.shape[2] * stored.shape[3]
        return ImageFeatures(
            embedding: ElementwiseKernel.transpose(stored, rows: sizes.ed, columns: positions))
    }
}
