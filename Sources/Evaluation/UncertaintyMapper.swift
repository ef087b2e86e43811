import AdaptationMethods
public import Adapters
public import Datasets
public import Imaging
public import Kernels
import Layers
public import ModelLoading
import SegmentAnything
import Telemetry
import Tensors

// For each pseudo-mask of an image: s, its logits, decoded again from its prompt by the unadapted model, and r by
//   refinement module: mask, box around it and point together (SUM)
//   discrepancy:       the unadapted model's single mask of the box around it
//   confidence:        1 where s > 0, 0 elsewhere, so that u = min(sigma(s), 1 - sigma(s))
// Logits are not stored: 128 KiB for each mask even at 16 bits, where both probabilities take a few.

/// Measures how far pseudo-masks can be trusted.
public struct UncertaintyMapper {
    /// What a mask is compared with.
    public enum Comparison: Sendable {
        /// What a refinement module makes of it.
        case refiner(AdaptedModel)
        /// The model's own mask of the box around it.
        case discrepancy
        /// Itself without doubt.
        case confidence
    }

    private let loaded: LoadedModel
    private let comparison: Comparison
    private let workspace: Workspace

    /// Creates a mapper of a model's masks.
    public init(_ loaded: LoadedModel, by comparison: Comparison, workspace: Workspace) {
        (self.loaded, self.comparison, self.workspace) = (loaded, comparison, workspace)
    }

    /// The maps of an image's pseudo-masks, in order; independent of the number of threads.
    ///
    /// Throws `SegmentAnythingError`.
    public func maps(of image: Image, _ origins: [MaskOrigin]) throws -> PseudoMaps {
        let (model, context) = (loaded.model, loaded.base.context(in: workspace))
        let picture = image.rgb()
        let frame = loaded.preprocessing.frame(width: picture.width, height: picture.height)
        let features = model.encoder.encode(loaded.preprocessing.apply(to: picture), in: context)
        let side = 4 * model.encoder.embeddingSide
        let area = MaskCanvas.Area(height: frame.resizedHeight, width: frame.resizedWidth)
        var (probability, refined): ([UInt8], [UInt8]) = ([], [])
        for origin in origins {
            let decoded = try model.predict(
                features, try origin.prompts(in: frame), masks: origin.candidate == nil ? .single : .multiple,
                in: context)
            let chosen = origin.candidate ?? 0
            let logits = decoded.logits.reshaped([decoded.iou.count, side, side]).rows(chosen..<chosen + 1)
                .reshaped([side, side])
            let own = Self.bytes(logits)
            probability += own
            let prompt = RefinementPrompt(
                logits: logits, point: origin.point(in: frame), side: model.encoder.imageSize, area: area,
                in: workspace)
            refined += try prompt.map { try other($0, features, in: context) } ?? own
        }
        return PseudoMaps(side: side, probability: probability, refined: refined)
    }

    /// 255 sigma(r) of a mask that is not empty.
    private func other(
        _ prompt: RefinementPrompt, _ features: ImageFeatures, in context: PassContext
    ) throws -> [UInt8] {
        switch comparison {
        case .refiner(let refiner):
            return Self.bytes(
                try MaskRefinement.refined(
                    [prompt], on: features, by: refiner.model, in: refiner.context(in: workspace)))
        case .discrepancy:
            let boxes = try PromptBatch(boxes: Tensor(prompt.box, [1, 4]))
            return Self.bytes(try loaded.model.logits(features, boxes, in: context))
        case .confidence: return prompt.logits.elements.map { $0 > 0 ? 255 : 0 }
        }
    }

    /// The largest uncertainty of any mask at each pixel of the image, 0 where there is none. // [H, W]
    public func uncertainty(of maps: PseudoMaps, width: Int, height: Int) -> [Float] {
        let frame = loaded.preprocessing.frame(width: width, height: height)
        var largest = [Float](repeating: 0, count: width * height)
        func enlarged(_ bytes: [UInt8], _ mask: Int) -> [Float] {
            let area = maps.side * maps.side
            let values = bytes[mask * area..<(mask + 1) * area].map { Float($0) / 255 }
            return MaskPostprocessing.resize(
                Tensor(values, [1, 1, maps.side, maps.side]), to: frame.maskFrame, in: workspace
            ).elements
        }
        for mask in 0..<maps.count {
            let (s, r) = (enlarged(maps.probability, mask), enlarged(maps.refined, mask))
            for pixel in largest.indices { largest[pixel] = max(largest[pixel], abs(s[pixel] - r[pixel])) }
        }
        return largest
    }

    private static func bytes(_ logits: Tensor) -> [UInt8] {
        UncertaintyMap.sigmoid(logits).elements.map { UInt8(min(max((255 * $0).rounded(), 0), 255)) }
    }
}

extension LoadedModel {
    /// The refinement module of a file. Throws as `adapted(opening:)` does, and `RunError` for a file that is none.
    public func refiner(opening path: String) throws -> AdaptedModel {
        let adapted = try adapted(opening: path)
        let names = adapted.layout.entries.map(\.name)
        guard names.allSatisfy({ $0.hasPrefix("mask_decoder.") || $0.hasPrefix("prompt_encoder.") }) else {
            throw RunError(
                .configuration, "\(path) is no refinement module: it changes more than decoder and prompts",
                remedy: "give the adapter.safetensors of a run of method refiner, or of runs/NAME/refiner")
        }
        return adapted
    }
}
