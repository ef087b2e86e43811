package import Adapters
package import Datasets
import Foundation
package import Imaging
package import Kernels
import Layers
package import ModelLoading
import SegmentAnything
import Tensors

/// Pictures of an evaluation: truth, base model and adapted model side by side.
package struct EvaluationPictures {
    let loaded: LoadedModel
    /// The adapted model, if there is one besides the base model.
    let adapted: AdaptedModel?
    let threshold: Float
    let decoderChunk: Int
    let workspace: Workspace

    package init(
        loaded: LoadedModel, adapted: AdaptedModel?, threshold: Float, decoderChunk: Int, workspace: Workspace
    ) {
        (self.loaded, self.adapted, self.threshold) = (loaded, adapted, threshold)
        (self.decoderChunk, self.workspace) = (decoderChunk, workspace)
    }

    /// Largest side of one panel, pixels: three of them fit a screen.
    private static let panelSide = 448

    /// The picture of an evaluation image with one kind of prompt: `truth | base | adapted`, each panel captioned with
    /// its mean IoU.
    ///
    /// Throws `SegmentAnythingError` for prompts the model does not support.
    package func picture(_ example: EvaluationExample, _ prompts: Prompts) throws -> Image {
        var panels = [
            truthPanel(example, caption: "\(example.masks == nil ? "labels" : "truth") \(prompts.count) objects")
        ]
        panels.append(try predictionPanel(example, prompts, loaded.base, name: "base"))
        if let adapted { panels.append(try predictionPanel(example, prompts, adapted, name: "adapted")) }
        return Image.sideBySide(panels)
    }

    private func predictionPanel(
        _ example: EvaluationExample, _ prompts: Prompts, _ adapted: AdaptedModel, name: String
    ) throws -> Image {
        let context = adapted.context(in: workspace)
        let features = adapted.model.encoder.encode(example.input, in: context)
        var picture = example.image.rgb()
        var total = 0.0
        let count = prompts.count
        for start in stride(from: 0, to: count, by: decoderChunk) {
            let chunk = start..<min(start + decoderChunk, count)
            let logits = try adapted.model.logits(features, PromptBatch(prompts, chunk), in: context)
            if let truth = example.masks {
                total += MaskMetrics(
                    logits: logits, truth: truth.selecting(Array(chunk)).bitmaps, canvas: example.frame.side,
                    threshold: threshold, in: workspace
                ).iou.reduce(0, +)
            }
            let side = logits.shape[1]
            for index in 0..<chunk.count {
                let plane = logits.rows(index..<index + 1).reshaped([1, 1, side, side])
                let mask = MaskPostprocessing.resize(plane, to: example.frame.maskFrame, in: workspace).elements.map {
                    $0 > threshold
                }
                picture.overlay(mask: mask, colour: .instance(start + index + 1))
            }
        }
        let mean = count > 0 && example.masks != nil ? String(format: "%.3f", total / Double(count)) : "-"
        return panel(picture, caption: "\(name) IoU \(mean)")
    }

    /// The true masks, one bitmap at a time, or the boxes of an image without masks.
    private func truthPanel(_ example: EvaluationExample, caption: String) -> Image {
        var image = example.image.rgb()
        if let masks = example.originalMasks {
            for index in 0..<masks.count {
                image.overlay(mask: masks.bitmap(of: index).map { $0 != 0 }, colour: .instance(index + 1))
            }
        }
        for (index, box) in (example.masks == nil ? example.boxes ?? [] : []).enumerated() {
            image.drawBox(
                left: Int(box.x0), top: Int(box.y0), right: Int(box.x1) - 1, bottom: Int(box.y1) - 1,
                colour: .instance(index + 1))
        }
        return panel(image, caption: caption)
    }

    private func panel(_ image: Image, caption: String) -> Image {
        let size = Resize.longestSideSize(width: image.width, height: image.height, target: Self.panelSide)
        // A very long image may have a scaled side below one pixel.
        return Resize.bilinear(image, width: max(size.width, 1), height: max(size.height, 1)).captioned(caption)
    }
}
