import Foundation
import Kernels
import Layers
import SegmentAnything
import Tensors
import TestSupport
import WeightFiles

/// The small model of model.safetensors, or of a file in its layout: sizes from its metadata, weights below `weights.`.
struct GoldenModel {
    let table: TensorTable
    let sizes: GoldenSizes
    /// Side of the embedding's grid.
    var side: Int { sizes.img / 16 }

    init(_ name: String = "model") throws {
        BLASEnvironment.useSingleThread()
        table = try Golden.open(name, in: .module)
        sizes = try Golden.configuration(of: table, as: GoldenSizes.self)
    }

    /// The sizes of the whole model.
    var configuration: SegmentAnythingConfiguration {
        var encoder = ImageEncoderViTConfiguration(
            width: sizes.dim, depth: sizes.depth, heads: sizes.heads, globalBlocks: sizes.glob)
        (encoder.imageSize, encoder.window, encoder.embeddingWidth) = (sizes.img, sizes.window, sizes.ed)
        return SegmentAnythingConfiguration(encoder: .viT(encoder), decoder: decoderConfiguration)
    }

    private var decoderConfiguration: MaskDecoderConfiguration {
        let hidden = table["weights.mask_decoder.iou_prediction_head.layers.0.weight"]?.shape[0]
        return MaskDecoderConfiguration(
            width: sizes.ed, heads: sizes.dheads, mlpWidth: sizes.mlp_dim, iouHiddenWidth: hidden ?? sizes.ed)
    }

    func promptEncoder() throws -> PromptEncoder {
        let configuration = PromptEncoderConfiguration(width: sizes.ed, imageSize: sizes.img, embeddingSide: side)
        return try build(below: "weights.prompt_encoder") { PromptEncoder($0, configuration: configuration) }
    }

    func maskDecoder() throws -> MaskDecoder {
        try build(below: "weights.mask_decoder") { MaskDecoder($0, configuration: decoderConfiguration) }
    }

    private func build<Part>(below prefix: String, _ make: (ScopedParameterSource) -> Part) throws -> Part {
        try table.build { make($0.scoped(prefix)) }
    }

    /// The features of image 0. // [h * w, C]
    func features() throws -> ImageFeatures {
        ImageFeatures(embedding: channelLast(try table.tensor("out.embedding").rows(0..<1)))
    }

    /// The prompts called boxes, points, points_boxes, masks or boxes_masks; the first `count` of them.
    func prompts(_ kind: String, first count: Int? = nil) throws -> PromptBatch {
        let parts = kind.split(separator: "_")
        func part(_ name: String) throws -> Tensor? {
            guard parts.contains(Substring(name)) else { return nil }
            let tensor = try table.tensor("in." + name)
            return tensor.rows(0..<(count ?? tensor.shape[0]))
        }
        let points = try part("points")
        let labels = try table.integers("in.labels").prefix(points.map { $0.count / 2 } ?? 0)
        let masks = try part("masks").map { $0.reshaped([$0.shape[0], $0.shape[2], $0.shape[3]]) }
        return try PromptBatch(
            boxes: part("boxes"), points: points, labels: labels.map { PointLabel(rawValue: $0) ?? .padding },
            masks: masks)
    }
}

extension TensorTable {
    /// Builds a part of a model from the tensors it asks for.
    func build<Part>(_ make: (any ParameterSource) -> Part) throws -> Part {
        let recorder = ParameterRecorder()
        _ = make(recorder)
        let tensors = try recorder.requests.map { ($0.name, try tensor($0.name)) }
        return make(ParameterStore(Dictionary(tensors, uniquingKeysWith: { first, _ in first })))
    }
}

/// Maps of a file as activations. // [1, C, h, w] or [C, h, w] -> [h * w, C]
func channelLast(_ maps: Tensor) -> Tensor {
    let channels = maps.shape[maps.shape.rank - 3]
    return ElementwiseKernel.transpose(maps, rows: channels, columns: maps.count / channels)
}
