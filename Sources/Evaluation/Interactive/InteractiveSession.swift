public import Interaction
import Kernels
public import Layers
public import SegmentAnything
public import Tensors

// SUM's evaluation (Liu et al. 2024, section 4), after SAM's: R rounds for one object, all deterministic.
//   round 1      a click on the pixel of the object that is farthest from its border, or the tight box; of three masks
//   rounds 2..R  another click, where the error is farthest from its border; the round before as mask prompt; one mask
// The mask with the highest predicted IoU is carried on and decides the next click, as a user sees no other measure; scores are of
// it and, where there are several, also of the best. Clicks are found at the original size; the task's vector is in round 1 alone.

/// How an object is first pointed at in interactive evaluation.
public enum InteractiveStart: String, CaseIterable, Sendable {
    /// A click on its middle.
    case point
    /// The tight box of its mask.
    case box
}

/// One object's rounds of clicks with a model that has seen its image.
public struct InteractiveSession {
    /// What a round gave.
    public struct Round: Sendable {
        /// The click that this round added; nil for a box, and where nothing was wrong any more.
        public let click: Click?
        /// The scores of each mask at the original size: three in round 1, else one.
        public let masks: [OriginalMaskScore]
        /// Their predicted IoUs.
        public let predictedIoU: [Float]
        /// The mask that is carried on.
        public let carried: Int
        /// Their logits. // [m, 4 h, 4 w]
        public let logits: Tensor

        /// The scores of the mask that is carried on.
        public var answer: OriginalMaskScore { masks[carried] }
        /// The highest IoU of a mask.
        public var bestIoU: Double { masks.map(\.iou).max() ?? 0 }
        /// The boundary IoU of the mask with the highest IoU.
        public var bestBoundaryIoU: Double { masks.max { $0.iou < $1.iou }?.boundaryIoU ?? 0 }
    }

    private let model: SegmentAnythingModel
    private let features: ImageFeatures
    private let context: PassContext
    private let frame: MaskFrame
    private let truth: PixelMask

    /// Begins with an image's features.
    ///
    /// - Parameters:
    ///   - context: With the adapters that act in the decoder and its prompts.
    ///   - frame: Where the image lies in the model's square.
    ///   - truth: The object's mask at the original size.
    public init(
        _ model: SegmentAnythingModel, _ features: ImageFeatures, in context: PassContext, frame: MaskFrame,
        truth: PixelMask
    ) {
        (self.model, self.features, self.context) = (model, features, context)
        (self.frame, self.truth) = (frame, truth)
    }

    /// Runs the rounds.
    ///
    /// - Parameters:
    ///   - box: The box of a start with a box, on the original image; nil for the tight one. // [4]
    ///   - task: As in `PromptBatch`.
    ///   - carrying: Logits to carry on instead of a round's own, by round from 0; for comparisons. // [4 h, 4 w]
    ///
    /// Throws `SegmentAnythingError` for prompts that the model cannot process.
    public func run(
        _ start: InteractiveStart, box: [Float]? = nil, task: Int = 0, rounds: Int,
        carrying: (Int) throws -> Tensor? = { _ in nil }
    ) throws -> [Round] {
        var (clicks, prediction): ([Click], PixelMask) = ([], empty)
        var prompts: PromptBatch?
        var done: [Round] = []
        for round in 0..<rounds {
            let isClicked = start == .point || round > 0
            let click = isClicked ? EvaluationClick(on: prediction, target: truth, after: clicks)?.click : nil
            clicks += click.map { [$0] } ?? []
            let own = done.last.map { $0.logits.rows($0.carried..<$0.carried + 1) }
            let carried = try round == 0 ? nil : carrying(round - 1)?.reshaped(own?.shape ?? []) ?? own
            let next = try self.prompts(after: prompts, click, start, box: box, task: task, masks: carried)
            let result = try answer(next, click)
            prediction = result.prediction
            prompts = next
            done.append(result.round)
        }
        return done
    }

    private var empty: PixelMask {
        PixelMask(
            width: truth.width, height: truth.height, pixels: Array(repeating: false, count: truth.pixels.count))
    }

    private func prompts(
        after earlier: PromptBatch?, _ click: Click?, _ start: InteractiveStart, box: [Float]?, task: Int,
        masks: Tensor?
    ) throws -> PromptBatch {
        let point = click.map { click -> [(x: Float, y: Float, label: PointLabel)] in
            let place = inFrame([Float(click.x), Float(click.y)])
            return [(place[0], place[1], click.isForeground ? .foreground : .background)]
        }
        if let earlier, let masks { return try earlier.following(point, masks: masks) }
        var prompts =
            start == .box
            ? try PromptBatch(boxes: Tensor(inFrame(box ?? truth.tightBox.map { Float($0) }), [1, 4]))
            : try PromptBatch(
                points: Tensor(point.map { [$0[0].x, $0[0].y] } ?? [0, 0], [1, 1, 2]),
                labels: [point?[0].label ?? .padding])
        prompts.task = task
        return prompts
    }

    /// Coordinates x, y, x, y ... of the original image in the model's square.
    private func inFrame(_ places: [Float]) -> [Float] {
        let scale = [
            Double(frame.width) / Double(frame.originalWidth), Double(frame.height) / Double(frame.originalHeight),
        ]
        let offset = [Double(frame.left), Double(frame.top)]
        return places.enumerated().map { Float(Double($1) * scale[$0 % 2] + offset[$0 % 2]) }
    }

    /// Decodes a round's prompts and scores its masks.
    private func answer(_ prompts: PromptBatch, _ click: Click?) throws -> (round: Round, prediction: PixelMask) {
        let decoded = model.decoder.decode(
            features, position: model.promptEncoder.densePositionalEncoding,
            prompts: try model.promptEncoder.encode(prompts, in: context),
            masks: prompts.selection(in: context), in: context)
        let logits = decoded.candidates
        let predicted = decoded.iou.elements
        let carried = DecodedMasks.mostTrusted(decoded.iou)[0]
        let resized = MaskPostprocessing.resize(logits, to: frame, in: context.workspace).elements
        let area = truth.pixels.count
        let masks = predicted.indices.map { mask in
            resized[mask * area..<(mask + 1) * area].map { $0 > MaskPostprocessing.threshold }
        }
        let round = Round(
            click: click,
            masks: masks.map {
                OriginalMaskScore(prediction: $0, truth: truth.pixels, width: truth.width, height: truth.height)
            }, predictedIoU: predicted, carried: carried,
            logits: logits.reshaped([logits.shape[1], logits.shape[2], logits.shape[3]]))
        return (round, PixelMask(width: truth.width, height: truth.height, pixels: masks[carried]))
    }
}
