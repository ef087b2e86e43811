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

/// The tensors of the official CoSAM code (`moda.safetensors`), its model and its inputs.
struct GoldenMoDA {
    struct Configuration: Decodable {
        var num_points: Int
        var batch: Int
        var lr: Double
        var router_lr: Double
        var lwf_weight: Double
        var ewc_weight: Double
        var tokens: Int
        var pool_domains: Int
        var pool_size: Int
        var prompt_len: Int
        var top_k: Int
    }

    let table: TensorTable
    let configuration: Configuration
    let sizes: GoldenSizes
    let model: SegmentAnythingModel
    let workspace = Workspace(threads: 2)

    /// - Parameter allGlobal: Whether all blocks of the encoder attend over the whole grid.
    init(allGlobal: Bool = false) throws {
        BLASEnvironment.useSingleThread()
        table = try Golden.open("moda", in: .module)
        configuration = try Golden.configuration(of: table, as: Configuration.self)
        sizes = try Golden.sizes(of: table)
        var encoder = ImageEncoderViTConfiguration(
            width: sizes.dim, depth: sizes.depth, heads: sizes.heads, globalBlocks: sizes.glob)
        (encoder.imageSize, encoder.window, encoder.embeddingWidth) = (sizes.img, sizes.window, sizes.ed)
        encoder.isAllGlobal = allGlobal
        let hidden = table["weights.mask_decoder.iou_prediction_head.layers.0.weight"]?.shape.first ?? sizes.ed
        let whole = SegmentAnythingConfiguration(
            encoder: .viT(encoder),
            decoder: MaskDecoderConfiguration(
                width: sizes.ed, heads: sizes.dheads, mlpWidth: sizes.mlp_dim, iouHiddenWidth: hidden))
        let weights = try Golden.weights(of: table, SegmentAnythingModel.parameterShapes(whole))
        model = SegmentAnythingModel(whole, ParameterStore(weights))
    }

    /// Images in a batch.
    var batch: Int { configuration.batch }
    /// Side of low-resolution masks.
    var low: Int { sizes.img / 4 }

    /// What trains for one kind of adapter.
    func trainables(_ kind: String) throws -> Trainables {
        try Trainables(TrainablePlan(adapters: [.init(kind)]), in: ModelDescription(model.configuration))
    }

    /// The name of a parameter in the file: that of HQ-SAM without its scope.
    static func stored(_ name: String) -> String {
        name.hasPrefix("mask_decoder.") ? String(name.dropFirst("mask_decoder.".count)) : name
    }

    /// Values of a layout's parameters, stored under `PREFIX.name`.
    func values(_ prefix: String, _ layout: ParameterLayout) throws -> [Float] {
        try layout.entries.flatMap { entry in
            try table.tensor("\(prefix).\(Self.stored(entry.name))", shape: entry.shape.dimensions).elements
        }
    }

    /// The model with the HQ adapter of given values.
    func adapted(_ prefix: String = "adapter") throws -> AdaptedModel {
        let trainables = try trainables("hq")
        return AdaptedModel(
            model, trainables, values: Tensor(try values(prefix, trainables.layout), [trainables.layout.count]))
    }

    /// An image of the batch, normalised. // [S, S, 3]
    func image(_ index: Int, _ name: String = "in.image") throws -> Tensor {
        let side = sizes.img
        let stored = try table.tensor(name, shape: [nil, 3, side, side]).rows(index..<index + 1)
        return ElementwiseKernel.transpose(stored, rows: 3, columns: side * side).reshaped([side, side, 3])
    }

    /// The prompt of an image: 0 box, 1 ten points, 2 mask.
    func prompt(_ index: Int, kind: Int) throws -> PromptBatch {
        switch kind {
        case 0: return try PromptBatch(boxes: table.tensor("in.boxes", shape: [nil, 4]).rows(index..<index + 1))
        case 1:
            let points = try table.tensor("in.points", shape: [nil, nil, 2]).rows(index..<index + 1)
            return try PromptBatch(
                points: points, labels: Array(repeating: .foreground, count: points.count / 2))
        default:
            let masks = try table.tensor("out.noise_mask").rows(index..<index + 1)
            return try PromptBatch(masks: masks.reshaped([1, low, low]))
        }
    }

    /// The target of an image in [0, 1]. // [1, S, S]
    func target(_ index: Int) throws -> Tensor {
        let side = sizes.img
        let bytes = try table.integers("in.mask_u8")
        let own = bytes[index * side * side..<(index + 1) * side * side]
        return Tensor(own.map { Float($0) / 255 }, [1, side, side])
    }

    /// Draws of an image of the batch, stored under `PREFIX.in.candidates` and `.random`.
    func draws(_ prefix: String, _ index: Int, _ names: (String, String) = ("candidates", "random")) throws
        -> PointSampledLoss.Draws
    {
        func tensor(_ name: String) throws -> Tensor {
            try table.tensor("\(prefix).in.\(name)", shape: [batch, nil, 2]).rows(index..<index + 1)
        }
        return .init(candidates: try tensor(names.0), random: try tensor(names.1))
    }
}
