public import Kernels
import Layers
public import SegmentAnything
public import Tensors

/// One image as a method sees it.
public struct AdaptationExample: Sendable {
    /// Model input of the weakly augmented view. // [S, S, 3]
    public let weak: Tensor
    /// Model input of the strongly augmented view, of the same geometry. // [S, S, 3]
    public let strong: Tensor
    /// The weak labels, in the model frame.
    public let prompts: PromptBatch
    /// The prompts of the branches that give the targets, one for each of `prompts`; nil where they take the same.
    public let teacherPrompts: PromptBatch?
    /// N in the released losses: the masks of the batch that is processed at once, by default the image's own.
    public let maskCount: Int
    /// The true masks of the prompted objects, bytes that are 0 or 1, where the method asks for them. // [n, S, S]
    public let masks: [UInt8]?
    /// What each pixel of the masks counts for in the losses against them; nil counts all alike. // [n, S, S]
    public let weights: PixelWeights?
    /// What a method draws from, keyed by seed, epoch and image.
    public let random: SeededGenerator

    /// Puts an example together.
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
    /// Refuses an example, or kept features of it, that were made for another model.
    func check(for context: StepContext) throws(AdaptationMethodError) {
        let model = context.model
        let input: Shape = [model.encoder.imageSize, model.encoder.imageSize, 3]
        for (name, view) in [("weak", weak), ("strong", strong)] where view.shape != input {
            throw AdaptationMethodError(
                .example, "the \(name) view has shape \(view.shape), the model takes \(input); resize it")
        }
        if let targets = teacherPrompts, targets.count != prompts.count {
            throw AdaptationMethodError(
                .example,
                "\(targets.count) prompts for the teacher and \(prompts.count) for the student; give each object one"
            )
        }
        let embedding: Shape = [
            model.encoder.embeddingSide * model.encoder.embeddingSide, model.encoder.embeddingWidth,
        ]
        if let kept = context.anchors.kept?.embedding, kept.shape != embedding {
            throw AdaptationMethodError(
                .example,
                "the kept anchor embedding has shape \(kept.shape), the model's is \(embedding); make it again")
        }
        let canvas = model.encoder.imageSize
        if let weights, weights.values.count != prompts.count * canvas * canvas {
            throw AdaptationMethodError(
                .example,
                "pixel weights of shape \(weights.values.shape) for \(prompts.count) masks of \(canvas)x\(canvas) pixels; "
                    + "give each pixel one")
        }
        guard maskCount >= prompts.count else {
            throw AdaptationMethodError(
                .example,
                "\(maskCount) masks in a batch with \(prompts.count) in one image; count all images")
        }
    }
}
