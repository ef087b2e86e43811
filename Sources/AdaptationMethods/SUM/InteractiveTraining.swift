public import Interaction
public import Kernels
public import Layers
public import SegmentAnything
public import Tensors

// SUM (Liu et al. 2024), section 3.4, after SAM's own training: R rounds of prompts for the same objects.
//   round 1      a box or a point; one prompt is ambiguous, so the decoder gives three masks. The one with the smallest
//                20 focal + dice is trained, the one with the highest predicted IoU is carried on
//   rounds 2..R  the carried logits are the mask prompt, without a gradient; up to round R - 1 each object gets another click.
//                With more than one prompt the decoder gives one mask
// Where an adapter has an output token (HQ-SAM), its one mask is trained and carried on in every round.
//   L = mean over rounds of the mean over objects of 20 focal + dice + iou
// The task's vector is in round 1 alone. Because carried logits have no gradient, a round's backward pass runs right after its
// forward pass; only the gradient of the features lives on, and the encoder's backward pass runs once.

/// The rounds of prompts in which objects of one image are trained.
public struct InteractiveTraining: Sendable, Equatable {
    /// The losses.
    public var loss = UncertaintyWeightedLoss()
    /// R.
    public var rounds = 7

    /// The published rounds and losses.
    public init() {}

    /// Objects of one image, and how they are first pointed at.
    public struct Objects: Sendable {
        /// A box or a click for each, with their task.
        public let start: PromptBatch
        /// Their labels, as `UncertaintyWeightedLoss.canvas` makes them.
        public let canvas: MaskCanvas
        /// Objects of the whole image, over which losses are averaged.
        public let total: Int

        /// Joins prompts and labels of some of an image's objects.
        public init(start: PromptBatch, canvas: MaskCanvas, total: Int) {
            precondition(total >= start.count, "\(total) objects in an image with \(start.count)")
            (self.start, self.canvas, self.total) = (start, canvas, total)
        }
    }

    /// What a round gave.
    public struct Round: Sendable {
        /// Mask logits: three of each object in round 1, else one. // [n, m, 4 h, 4 w]
        public let logits: Tensor
        /// Predicted IoUs. // [n, m]
        public let iou: Tensor
        /// The mask of each object that was trained. // [n]
        public let trained: [Int]
        /// The mask of each object that is carried on. // [n]
        public let carried: [Int]
        /// The losses of the trained masks. // [n]
        public let values: [UncertaintyWeightedLoss.Value]
    }

    /// What a round begins with: the objects' carried logits, and a further click for each; nil for no further click.
    public typealias Next = (_ round: Int, _ carried: Tensor) throws -> (carried: Tensor, clicks: [Click]?)

    /// Trains objects through all rounds, and adds the gradients of decoder, prompts and their adapters.
    ///
    /// - Parameters:
    ///   - next: Called before every round but the first, which is round 0, with the logits carried on. // [n, 4 h, 4 w]
    ///   - context: Whose gradients are added to.
    /// - Returns: The gradient of the features, and what each round gave.
    ///
    /// Throws `SegmentAnythingError` for prompts that the model cannot process, and what `next` throws.
    public func train(
        _ objects: Objects, on features: ImageFeatures, next: Next, in context: inout StepContext
    ) throws -> (features: FeatureGradients, rounds: [Round]) {
        var prompts = objects.start
        var dFeatures = FeatureGradients(embedding: Tensor(zeros: [0]))
        var done: [Round] = []
        for round in 0..<rounds {
            if let last = done.last {
                let (carried, clicks) = try next(round, Self.rows(of: last.logits, last.carried))
                prompts = try prompts.following(
                    clicks.map { $0.map { (Float($0.x), Float($0.y), $0.isForeground ? .foreground : .background) } },
                    masks: carried)
            }
            context.promptLog?.rounds.append(prompts)
            let (result, dRound) = try train(prompts, objects, on: features, in: &context)
            if round == 0 { dFeatures = dRound } else { dFeatures.add(dRound, in: context.workspace) }
            done.append(result)
        }
        return (dFeatures, done)
    }

    /// One round forward and backward.
    private func train(
        _ prompts: PromptBatch, _ objects: Objects, on features: ImageFeatures, in context: inout StepContext
    ) throws -> (Round, FeatureGradients) {
        let (model, pass, canvas) = (context.model, context.pass, objects.canvas)
        let decoded = model.decoder.decodeForTraining(
            features, position: model.promptEncoder.densePositionalEncoding,
            prompts: try model.promptEncoder.encode(prompts, in: pass), masks: prompts.selection(in: pass),
            promptsWanted: model.promptEncoder.trains(in: pass), in: pass)
        let (n, m) = (prompts.count, decoded.iou.shape[1])
        let masks = decoded.masks.candidates
        let trained = m == 1 ? Array(repeating: 0, count: n) : best(decoded, canvas, in: context)
        let (logits, predicted) = (Self.rows(of: masks, trained), Self.chosen(decoded.iou, trained))
        var dLogits = Tensor(zeros: logits.shape)
        let (values, dIoU) = loss.addGradient(
            logits, predictedIoU: predicted, on: canvas, share: 1 / Double(objects.total * rounds), into: &dLogits,
            in: context.workspace)
        let dMasks = Self.scattered(dLogits, trained, among: masks.shape)
        let gradients = decoded.backward(
            MaskGradients(
                answer: dMasks,
                iou: Self.scattered(Tensor(dIoU, [n, 1, 1]), trained, among: [n, m, 1]).reshaped([n, m]),
                of: decoded.masks), &context.gradients)
        if let dPrompts = gradients.prompts {
            model.promptEncoder.backward(dPrompts, prompts, gradients: &context.gradients, in: pass)
        }
        let round = Round(
            logits: masks, iou: decoded.iou, trained: trained, carried: DecodedMasks.mostTrusted(decoded.iou),
            values: values)
        return (round, gradients.features)
    }

    /// The mask of each object with the smallest focal and dice loss, the first of equal ones. // [n]
    private func best(_ decoded: MaskDecoderPass, _ canvas: MaskCanvas, in context: StepContext) -> [Int] {
        let (n, m) = (decoded.iou.shape[0], decoded.iou.shape[1])
        let losses = (0..<m).map { mask in
            let choice = Array(repeating: mask, count: n)
            return loss.values(
                Self.rows(of: decoded.logits, choice), predictedIoU: Self.chosen(decoded.iou, choice), on: canvas,
                in: context.workspace
            ).map { loss.focalWeight * $0.focal + loss.diceWeight * $0.dice }
        }
        return (0..<n).map { object in
            (0..<m).min { (losses[$0][object], $0) < (losses[$1][object], $1) } ?? 0
        }
    }

    private static func chosen(_ iou: Tensor, _ choice: [Int]) -> [Float] {
        choice.enumerated().map { iou[$0 * iou.shape[1] + $1] }
    }

    /// One map of each object. // [n, m, h, w] -> [n, h, w]
    static func rows(of maps: Tensor, _ choice: [Int]) -> Tensor {
        let (m, height, width) = (maps.shape[1], maps.shape[2], maps.shape[3])
        var rows = Tensor(uninitialized: [choice.count, height, width])
        let (source, target, area) = (maps.pointer, rows.mutablePointer, height * width)
        for (object, mask) in choice.enumerated() {
            (target + object * area).update(from: source + (object * m + mask) * area, count: area)
        }
        return rows
    }

    /// The adjoint of `rows`: zeros but for one map of each object. // [n, h, w] -> [n, m, h, w]
    private static func scattered(_ rows: Tensor, _ choice: [Int], among shape: Shape) -> Tensor {
        var maps = Tensor(zeros: shape)
        let (source, target, m) = (rows.pointer, maps.mutablePointer, shape[1])
        let area = rows.count / max(choice.count, 1)
        for (object, mask) in choice.enumerated() {
            (target + (object * m + mask) * area).update(from: source + object * area, count: area)
        }
        return maps
    }
}
