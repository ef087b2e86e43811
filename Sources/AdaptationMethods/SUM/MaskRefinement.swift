import Interaction
public import Kernels
public import Layers
public import SegmentAnything
public import Tensors

// SUM (Liu et al. 2024), section 3.1: the refinement module R is SAM's prompt encoder and mask decoder, fine-tuned, on the frozen
// encoder's features. It sees three prompts together: the pseudo-mask's logits as they came from the decoder, a box around
// the mask, and the point that it was made from; its single mask is r.
//   box: first and last column and row with a logit above 0 on the image's part of the canvas

/// A pseudo-mask as the refinement module sees it.
public struct RefinementPrompt: Sendable {
    /// Its logits. // [h, w]
    public let logits: Tensor
    /// The point that it was made from, in the model's frame. // x, y
    public let point: [Float]
    /// The box around it, in the model's frame. // [4]
    public let box: [Float]

    /// Describes a pseudo-mask.
    public init(logits: Tensor, point: [Float], box: [Float]) {
        (self.logits, self.point, self.box) = (logits, point, box)
    }

    /// Describes a pseudo-mask by its logits, with the box around it; nil for an empty one.
    ///
    /// - Parameters:
    ///   - logits: // [h, w]
    ///   - point: nil for the pixel that is farthest from the mask's border.
    ///   - side: Side of the canvas.
    ///   - area: The image's part of it.
    public init?(logits: Tensor, point: [Float]?, side: Int, area: MaskCanvas.Area, in workspace: Workspace) {
        let answer = CanvasAnswer(logits, side: side, area: area, in: workspace)
        guard let box = answer.box else { return nil }
        func middle() -> [Float] {
            let index = EvaluationClick.farthest(answer.mask, without: []).index
            return [Float(index % area.width), Float(index / area.width)]
        }
        self.init(logits: logits, point: point ?? middle(), box: box)
    }
}

extension PromptBatch {
    /// Mask, box and point of each pseudo-mask. Throws `SegmentAnythingError` without any.
    public init(refining masks: some Collection<RefinementPrompt>) throws(SegmentAnythingError) {
        guard let first = masks.first else {
            throw SegmentAnythingError(.prompt, "no mask to refine; give at least one")
        }
        let (n, height, width) = (masks.count, first.logits.shape[0], first.logits.shape[1])
        try self.init(
            boxes: Tensor(masks.flatMap(\.box), [n, 4]), points: Tensor(masks.flatMap(\.point), [n, 1, 2]),
            labels: [PointLabel](repeating: .foreground, count: n),
            masks: Tensor(masks.flatMap(\.logits.elements), [n, height, width]))
    }
}

/// What a decoder answers to points, enlarged one answer at a time.
struct CanvasAnswer {
    /// Logits on the image's part of the canvas. // [H, W]
    let logits: [Float]
    /// The pixels above 0.
    let mask: PixelMask

    /// Enlarges logits. // [h, w]
    init(_ low: Tensor, side: Int, area: MaskCanvas.Area, in workspace: Workspace) {
        var canvas = Tensor(uninitialized: [1, side, side])
        BilinearResizeKernel.forward(low.reshaped([1, low.shape[0], low.shape[1]]), into: &canvas, in: workspace)
        logits = UncertaintyMap.cropped(canvas, height: area.height, width: area.width).elements
        mask = PixelMask(width: area.width, height: area.height, pixels: logits.map { $0 > 0 })
    }

    /// First and last column and row of the mask; nil for an empty one. // [4]
    var box: [Float]? {
        guard mask.pixels.contains(true) else { return nil }
        return mask.tightBox.map { Float($0) }
    }
}

/// Makes the refinement module's pairs: SAM's answer to a point of an object, where it comes near the object's true mask.
public struct RefinementPairMaker: Sendable, Equatable {
    /// Which answers become pairs.
    public var rule = RefinementPairRule()

    /// The published rule.
    public init() {}

    /// A pseudo-mask of an object with a true mask.
    public struct Pair: Sendable {
        /// Which of the objects.
        public let object: Int
        /// The pseudo-mask.
        public let prompt: RefinementPrompt
        /// How near it comes.
        public let candidate: RefinementCandidate
    }

    /// The pairs of an image's objects, at most one each, in order.
    ///
    /// - Parameters:
    ///   - masks: Bytes that are 0 or 1. // [n, S, S]
    ///   - area: The image's part of the square.
    ///   - uniform: A random number for the point of each object, from 0 and below 1. // [n]
    ///   - features: Those of the frozen encoder.
    ///   - context: Of the base model, without adapters.
    ///   - chunk: Points per call of the decoder.
    ///
    /// Throws `SegmentAnythingError` for prompts that the model cannot process.
    public func pairs(
        of masks: [UInt8], area: MaskCanvas.Area, uniform: [Double], on features: ImageFeatures,
        of model: SegmentAnythingModel, in context: PassContext, chunk: Int
    ) throws -> [Pair] {
        let side = model.encoder.imageSize
        // One at a time: a mask is a megabyte.
        func target(_ object: Int) -> PixelMask {
            PixelMask(area) { masks[(object * side + $0) * side + $1] != 0 }
        }
        let points = uniform.enumerated().map { object, uniform -> [Float]? in
            RegionSampling.pixel(of: target(object), uniform: uniform).map {
                [Float($0 % area.width), Float($0 / area.width)]
            }
        }
        let present = points.indices.filter { points[$0] != nil }
        var pairs: [Pair] = []
        for start in stride(from: 0, to: present.count, by: chunk) {
            let objects = Array(present[start..<min(start + chunk, present.count)])
            let decoded = try model.predict(
                features,
                PromptBatch(
                    points: Tensor(objects.flatMap { points[$0] ?? [] }, [objects.count, 1, 2]),
                    labels: [PointLabel](repeating: .foreground, count: objects.count)),
                masks: .multiple, in: context)
            for (place, object) in objects.enumerated() {
                pairs +=
                    pair(
                        object, point: points[object] ?? [], target: target(object), decoded, place, side: side,
                        area: area, in: context.workspace
                    ).map { [$0] } ?? []
            }
        }
        return pairs
    }

    /// The pair of one object, if its best answer becomes one.
    private func pair(
        _ object: Int, point: [Float], target: PixelMask, _ decoded: DecodedMasks, _ place: Int, side: Int,
        area: MaskCanvas.Area, in workspace: Workspace
    ) -> Pair? {
        let (m, height, width) = (decoded.iou.shape[1], decoded.logits.shape[2], decoded.logits.shape[3])
        let planes = decoded.logits.reshaped([decoded.iou.count, height, width])
        let answers = (0..<m).map { mask -> (low: Tensor, box: [Float]?, measured: RefinementCandidate) in
            let index = place * m + mask
            let low = planes.rows(index..<index + 1).reshaped([height, width])
            let answer = CanvasAnswer(low, side: side, area: area, in: workspace)
            return (
                low, answer.box,
                RefinementCandidate(
                    logits: answer.logits, target: target.pixels, predictedIoU: Double(decoded.iou[index]))
            )
        }
        let best = answers[RefinementPairRule.best(answers.map(\.measured))]
        guard let box = best.box, rule.keeps(best.measured) else { return nil }
        return Pair(
            object: object, prompt: RefinementPrompt(logits: best.low, point: point, box: box),
            candidate: best.measured)
    }
}

/// The refined masks of pseudo-masks.
public enum MaskRefinement {
    /// r of each pseudo-mask, independent of how many there are. // [n, h, w]
    ///
    /// - Parameters:
    ///   - features: Those of the frozen encoder.
    ///   - model: The refinement module.
    ///   - context: With its trained values.
    ///
    /// Throws `SegmentAnythingError` for prompts that the model cannot process.
    public static func refined(
        _ masks: [RefinementPrompt], on features: ImageFeatures, by model: SegmentAnythingModel,
        in context: PassContext
    ) throws -> Tensor {
        guard let first = masks.first else { return Tensor(zeros: [0, 0, 0]) }
        // One at a time: the shapes of products decide their last bits.
        let planes = try masks.map { mask in
            try model.logits(features, PromptBatch(refining: [mask]), in: context)
        }
        return Tensor(planes.flatMap(\.elements), [masks.count, first.logits.shape[0], first.logits.shape[1]])
    }
}
