public import Recipes
import SegmentAnything
import Tensors

// One branch, the adapted model, weak view:   L = mean over pixels and objects of H(sigma(z)), on the decoder's own grid
// The published method adapts affine parameters of normalisation layers; here, as in every method, LoRA matrices train.

/// Entropy minimisation (TENT: Wang et al., ICLR 2021) of the masks of the weak labels' prompts.
public struct Tent: AdaptationMethod {
    /// `tent`.
    public static let name = "tent"
    /// entropy.
    public let lossNames = ["entropy"]

    /// Creates the method.
    public init(_ settings: NoSettings = .init()) {}

    /// The loss of one image; its gradient is added to the context's.
    public func step(_ example: AdaptationExample, in context: inout StepContext) throws -> StepLosses {
        let branch = try BranchPass(example, in: context)
        var dLogits = Tensor(zeros: branch.round.logits.shape)
        let entropy = EntropyLoss.value(branch.round.logits, addingTo: &dLogits)
        branch.backward(dLogits, [Float](repeating: 0, count: branch.round.iou.count), &context.gradients)
        return StepLosses(
            parts: [StepLosses.Part("entropy", entropy, weight: 1)], instances: example.prompts.count)
    }
}
