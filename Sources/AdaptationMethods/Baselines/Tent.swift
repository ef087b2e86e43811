public import Kernels
public import Layers
public import LowRankAdaptation
public import SegmentAnything
import Tensors

// One branch, base + LoRA, weak view:   L = mean over pixels and objects of H(sigma(z)), on the decoder's own grid
// The published method adapts the affine numbers of normalisation layers; here, as for every method, the LoRA matrices train.

/// Entropy minimisation (TENT: Wang et al., ICLR 2021) of the masks of the weak labels' prompts.
public struct Tent: AdaptationMethod {
    /// How passes are made; the losses' settings are of no use here.
    public let configuration: WeSAMConfiguration
    /// entropy.
    public let lossNames = ["entropy"]

    /// Creates the method.
    public init(_ configuration: WeSAMConfiguration = .init()) { self.configuration = configuration }

    /// The loss of one image; its gradient is added to `gradients`.
    public func step(
        _ example: AdaptationExample, model: SegmentAnythingModel, adapter: LoRAAdapter,
        gradients: inout GradientBuffer, in workspace: Workspace
    ) throws -> StepLosses {
        let branch = try BranchPass(example, model, adapter, configuration, in: workspace)
        var dLogits = Tensor(zeros: branch.round.logits.shape)
        let entropy = EntropyLoss.value(branch.round.logits, addingTo: &dLogits)
        let dIoU = [Float](repeating: 0, count: branch.round.iou.count)
        branch.backward(dLogits, dIoU, &gradients, in: workspace)
        return StepLosses(
            parts: [StepLosses.Part("entropy", entropy, weight: 1)], instances: example.prompts.count)
    }
}
