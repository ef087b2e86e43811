public import Kernels
import Layers
public import SegmentAnything
public import Tensors

/// One image prepared for a method.
public struct AdaptationExample: Sendable {
    /// Model input of the weakly augmented view. // [S, S, 3]
    public let weak: Tensor
    /// Model input of the strongly augmented view, of the same geometry. // [S, S, 3]
    public let strong: Tensor
    /// The weak labels, in the model frame.
    public let prompts: PromptBatch
    /// The prompts of the branches that provide targets, one for each of `prompts`; nil if they are the same.
    public let teacherPrompts: PromptBatch?
    /// N in the released losses: the masks of the jointly processed batch, by default the image's own.
    public let maskCount: Int
    /// The true masks of the prompted objects, bytes that are 0 or 1, if the method needs them. // [n, S, S]
    public let masks: [UInt8]?
    /// The true masks of the prompted objects with values from 0 to 1, if the method needs a jittered view. // [n, S, S]
    public var softMasks: Tensor?
    /// The weight of each pixel in the losses against `masks`; nil weights all equally. // [n, S, S]
    public let weights: PixelWeights?
    /// How far `masks` can be trusted, if they are pseudo-masks for which that is known.
    public var pseudoMasks: PseudoMasks?
    /// The kind of task of the masks: SUM's id, 0 for anything.
    public var task = 0
    /// The image's part of the square, from its top left; nil if it fills it or lies elsewhere. Methods that draw points read it.
    public var area: MaskCanvas.Area?
    /// The method's source of random numbers, keyed by seed, epoch and image.
    public let random: SeededGenerator

    /// Creates an example.
    public init(
        weak: Tensor, strong: Tensor, prompts: PromptBatch, teacherPrompts: PromptBatch? = nil, maskCount: Int? = nil,
        masks: [UInt8]? = nil, weights: PixelWeights? = nil,
        random: SeededGenerator = SeededGenerator(seed: 0, purpose: "step")
    ) {
        (self.weak, self.strong, self.prompts, self.teacherPrompts) = (weak, strong, prompts, teacherPrompts)
        (self.maskCount, self.masks, self.weights) = (maskCount ?? prompts.count, masks, weights)
        self.random = random
    }
}

extension AdaptationExample {
    /// Rejects an example, or cached features of it, that were prepared for another model.
    func check(for context: StepContext) throws(AdaptationMethodError) {
        let model = context.model
        let input: Shape = [model.encoder.imageSize, model.encoder.imageSize, 3]
        for (name, view) in [("weak", weak), ("strong", strong)] where view.shape != input {
            throw AdaptationMethodError(
                .example, "the \(name) view has shape \(view.shape), the model's input is \(input); resize it")
        }
        if let targets = teacherPrompts, targets.count != prompts.count {
            throw AdaptationMethodError(
                .example,
                "\(targets.count) prompts for the teacher and \(prompts.count) for the student; each object needs both"
            )
        }
        let embedding: Shape = [
            model.encoder.embeddingSide * model.encoder.embeddingSide, model.encoder.embeddingWidth,
        ]
        if let kept = context.anchors.kept?.embedding, kept.shape != embedding {
            throw AdaptationMethodError(
                .example,
                "the cached anchor embedding has shape \(kept.shape), the model's is \(embedding); recompute it")
        }
        let canvas = model.encoder.imageSize
        if let weights, !weights.fit(instances: prompts.count, canvas: canvas) {
            throw AdaptationMethodError(
                .example,
                "pixel weights of shape \(weights.values.shape) for \(prompts.count) masks of \(canvas)x\(canvas) pixels; "
                    + "each pixel needs one")
        }
        guard maskCount >= prompts.count else {
            throw AdaptationMethodError(
                .example,
                "\(maskCount) masks in a batch with \(prompts.count) in one image; count all images")
        }
    }
}
