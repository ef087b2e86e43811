public import Adapters
public import Datasets
public import Imaging
public import Kernels
import Layers
public import ModelLoading
public import Routing
import SegmentAnything
import Tensors

/// Segments one image from user prompts and draws the result.
public struct ImageSegmenter {
    /// One object to segment, in pixels of the original image.
    public struct ObjectPrompt: Sendable {
        /// Its box, if any.
        public var box: Box?
        /// Points on the object and on the background.
        public var points: [LabelledPoint]
        /// A rough mask of the original image's size, 1 inside.
        public var mask: [UInt8]?

        /// Creates a prompt.
        public init(box: Box? = nil, points: [LabelledPoint] = [], mask: [UInt8]? = nil) {
            (self.box, self.points, self.mask) = (box, points, mask)
        }
    }

    /// A segmented object.
    public struct Mask: Sendable {
        /// True inside. // [H, W]
        public var pixels: [Bool]
        /// The model's own estimate of its IoU.
        public var predictedIoU: Float
    }

    private let loaded: LoadedModel
    private let subject: EvaluatedModel
    private let view: EvaluationView
    private let workspace: Workspace

    /// Creates a segmenter from a model, with or without adaptation.
    public init(_ loaded: LoadedModel, adapted: AdaptedModel? = nil, workspace: Workspace) {
        self.init(loaded, .one(adapted ?? loaded.base), seen: .fit, workspace: workspace)
    }

    /// Creates a segmenter from a model or a pool over loaded base weights.
    ///
    /// - Parameter view: How images are brought to the model's square; a pool states its own.
    public init(_ loaded: LoadedModel, _ subject: EvaluatedModel, seen view: EvaluationView, workspace: Workspace) {
        (self.loaded, self.subject, self.view, self.workspace) = (loaded, subject, view, workspace)
    }

    /// One mask per object, in order, and where a router sent the image; with `multimask`, the best of SAM's three
    /// candidates by predicted IoU.
    ///
    /// - Parameter task: The kind of task, as in `PromptBatch`.
    ///
    /// Throws `SegmentAnythingError` for prompts the model does not support.
    public func segment(
        _ image: Image, _ objects: [ObjectPrompt], multimask: Bool, task: Int = 0
    ) throws -> (masks: [Mask], decision: RoutingDecision?) {
        let (masks, decision) = try candidates(image, objects, multimask: multimask, task: task) { _, masks in
            masks.indices.max { masks[$0].predictedIoU < masks[$1].predictedIoU }.map { masks[$0] }
        }
        return (masks, decision)
    }

    /// What a choice makes of the candidates of each object, in order, leaving out nil: SAM's three masks with
    /// `multimask`, else its one, or that of an adapter with an output token; and where a router sent the image.
    ///
    /// Throws `SegmentAnythingError` for prompts the model does not support, and the errors of the choice.
    func candidates<Chosen>(
        _ image: Image, _ objects: [ObjectPrompt], multimask: Bool, task: Int = 0,
        _ choose: (_ object: Int, _ masks: [Mask]) throws -> Chosen?
    ) throws -> (chosen: [Chosen], decision: RoutingDecision?) {
        let frame = view.frame(width: image.width, height: image.height, loaded.preprocessing)
        let encoded = try subject.encode(view.input(of: image, loaded.preprocessing), in: workspace)
        let chosen = try objects.enumerated().compactMap { index, object in
            var prompts = try batch(object, frame)
            prompts.task = task
            let decoded = try encoded.model.predict(
                encoded.features, prompts,
                masks: multimask && encoded.context.adapters.outputTokens.isEmpty ? .multiple : .single,
                in: encoded.context)
            let (logits, scores) = (decoded.candidates, decoded.iou.elements)
            let side = logits.shape[2]
            let planes = logits.reshaped([scores.count, side, side])
            let masks = scores.indices.map { candidate in
                Mask(
                    pixels: pixels(planes.rows(candidate..<candidate + 1).reshaped([side, side]), frame),
                    predictedIoU: scores[candidate])
            }
            return try choose(index, masks)
        }
        return (chosen, encoded.decision)
    }

    /// The mask that logits give at the image's own size, as evaluation computes it in the same view.
    /// // [4 h, 4 w] -> [H, W]
    private func pixels(_ logits: Tensor, _ frame: ModelFrame) -> [Bool] {
        let (width, height) = (frame.originalWidth, frame.originalHeight)
        switch view {
        case .squash: return OriginalMaskScore.prediction(logits, width: width, height: height, in: workspace)
        case .fit:
            let original = MaskPostprocessing.resize(
                logits.reshaped([1, 1, logits.shape[0], logits.shape[1]]), to: frame.maskFrame, in: workspace)
            return original.elements.map { $0 > MaskPostprocessing.threshold }
        }
    }

    /// The image overlaid with its masks, boxes and points.
    public static func overlay(_ image: Image, _ masks: [Mask], _ objects: [ObjectPrompt]) -> Image {
        var picture = image.rgb()
        for (index, mask) in masks.enumerated() {
            picture.overlay(mask: mask.pixels, colour: .instance(index + 1))
        }
        for (index, object) in objects.enumerated() {
            if let box = object.box {
                picture.drawBox(
                    left: Int(box.x0), top: Int(box.y0), right: Int(box.x1) - 1, bottom: Int(box.y1) - 1,
                    colour: .instance(index + 1))
            }
            for point in object.points {
                picture.drawPoint(x: Int(point.x), y: Int(point.y), isForeground: point.isForeground)
            }
        }
        return picture
    }

    private func batch(_ object: ObjectPrompt, _ frame: ModelFrame) throws -> PromptBatch {
        let boxes = object.box.map { box -> Tensor in
            let scaled = frame.toModel(box)
            return Tensor([scaled.x0, scaled.y0, scaled.x1, scaled.y1].map { Float($0) }, [1, 4])
        }
        var points: Tensor?
        var labels: [PointLabel] = []
        if !object.points.isEmpty {
            let scaled = object.points.map { frame.toModel($0) }
            points = Tensor(scaled.flatMap { [Float($0.x), Float($0.y)] }, [1, scaled.count, 2])
            labels = scaled.map { $0.isForeground ? .foreground : .background }
        }
        return try PromptBatch(
            boxes: boxes, points: points, labels: labels, masks: object.mask.map { maskPrompt($0, frame) })
    }

    /// The mask on SAM's low-resolution grid.
    private func maskPrompt(_ mask: [UInt8], _ frame: ModelFrame) -> Tensor {
        let side = 4 * loaded.model.encoder.embeddingSide
        let values = frame.maskPrompt(side: side) { x, y in mask[Int(y) * frame.originalWidth + Int(x)] != 0 }
        return Tensor(values, [1, side, side])
    }
}
