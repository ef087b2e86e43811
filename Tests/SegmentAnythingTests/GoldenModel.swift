import Foundation
import Kernels
import Layers
import Machine
import SegmentAnything
import Tensors
import TestSupport
import WeightFiles

/// The small model of model.safetensors, or of a file in its layout: sizes from its metadata, weights below `weights.`.
///
/// Tensors that are missing or have another shape are thrown as errors, because kernels trap on them.
struct GoldenModel {
    /// The file's folder, which also holds the references computed with this model.
    let files: GoldenFiles
    let table: TensorTable
    let sizes: GoldenSizes
    /// Side of the embedding's grid.
    var side: Int { sizes.side }

    /// - Parameters:
    ///   - references: Names and suffixes of further files computed with this model.
    ///   - given: The folder to try before the fixtures.
    init(with references: [String] = [], given: String? = Golden.folder) throws {
        BLASEnvironment.useSingleThread()
        files = try GoldenFiles(["model.safetensors"] + references, in: .module, given: given)
        table = try files.table("model.safetensors")
        sizes = try Golden.sizes(of: table)
    }

    /// The sizes of the whole model.
    var configuration: SegmentAnythingConfiguration {
        SegmentAnythingConfiguration(encoder: .viT(sizes.encoder), decoder: decoderConfiguration)
    }

    /// All weights of the whole model, by their official names.
    func weights() throws -> [String: Tensor] {
        try Golden.weights(of: table, SegmentAnythingModel.parameterShapes(configuration))
    }

    private var decoderConfiguration: MaskDecoderConfiguration {
        let hidden = table["weights.mask_decoder.iou_prediction_head.layers.0.weight"]?.shape.first
        return MaskDecoderConfiguration(
            width: sizes.ed, heads: sizes.dheads, mlpWidth: sizes.mlp_dim, iouHiddenWidth: hidden ?? sizes.ed)
    }

    func promptEncoder() throws -> PromptEncoder {
        let configuration = PromptEncoderConfiguration(width: sizes.ed, imageSize: sizes.img, embeddingSide: side)
        return try table.build(below: "weights.") {
            PromptEncoder($0.scoped("prompt_encoder"), configuration: configuration)
        }
    }

    func maskDecoder() throws -> MaskDecoder {
        try table.build(below: "weights.") {
            MaskDecoder($0.scoped("mask_decoder"), configuration: decoderConfiguration)
        }
    }

    /// The image encoder.
    func imageEncoder() throws -> ImageEncoderViT {
        try table.build(below: "weights.") { ImageEncoderViT($0, configuration: sizes.encoder) }
    }

    /// The features of image 0. // [h * w, C]
    func features() throws -> ImageFeatures {
        let stored = try table.tensor("out.embedding", shape: [nil, sizes.ed, side, side])
        return ImageFeatures(embedding: channelLast(try stored.first(1)))
    }

    /// The prompts called boxes, points, points_boxes, masks or boxes_masks; the first `count` of them.
    func prompts(_ kind: String, first count: Int? = nil) throws -> PromptBatch {
        let parts = kind.split(separator: "_")
        func part(_ name: String, shape: [Int?]) throws -> Tensor? {
            guard parts.contains(Substring(name)) else { return nil }
            let tensor = try table.tensor("in." + name, shape: shape)
            return try count.map(tensor.first) ?? tensor
        }
        let points = try part("points", shape: [nil, nil, 2])
        let labels = try table.integers("in.labels").prefix(points.map { $0.count / 2 } ?? 0)
        let masks = try part("masks", shape: [nil, 1, 4 * side, 4 * side]).map {
            $0.reshaped([$0.shape[0], $0.shape[2], $0.shape[3]])
        }
        return try PromptBatch(
            boxes: part("boxes", shape: [nil, 4]), points: points,
            labels: labels.map { PointLabel(rawValue: $0) ?? .padding },
            masks: masks)
    }
}

extension TensorTable {
    /// Builds a part of a model from the tensors it requests, whose names have `prefix` before them in the file.
    ///
    /// Throws `WeightFileError` if one is missing or has another shape.
    func build<Part>(below prefix: String = "", _ make: (any ParameterSource) -> Part) throws -> Part {
        let recorder = ParameterRecorder()
        _ = make(recorder)
        return make(ParameterStore(try Golden.weights(of: self, recorder.requests, below: prefix)))
    }
}

extension Tensor {
    /// The first entries of the first dimension. Throws `GoldenError` if there are fewer.
    func first(_ count: Int) throws -> Tensor {
        guard shape[0] >= count else { throw GoldenError("\(shape[0]) entries of shape \(shape), expected \(count)") }
        return rows(0..<count)
    }
}

/// Maps of a file as activations. // [1, C, h, w] or [C, h, w] -> [h * w, C]
func channelLast(_ maps: Tensor) -> Tensor {
    let channels = maps.shape[maps.shape.rank - 3]
    return ElementwiseKernel.transpose(maps, rows: channels, columns: maps.count / channels)
}
