public import Kernels
public import Layers
public import LowRankAdaptation
public import SegmentAnything
import Tensors

// One branch, base + LoRA, weak view:   L = w_f focal + w_d dice + w_i iou against the true masks (spec section 6.2's terms)

/// Fine-tuning with true masks: what weak labels are measured against ("Supervised" in WeSAM's tables).
public struct Supervised: AdaptationMethod {
    /// The weights of the three losses and how passes are made; the rest of WeSAM's settings is of no use here.
    public let configuration: WeSAMConfiguration
    /// focal, dice, iou.
    public let lossNames = MaskSupervision.lossNames
    /// True.
    public let needsMasks = true

    /// Creates the method.
    public init(_ configuration: WeSAMConfiguration = .init()) { self.configuration = configuration }

    /// The losses of one image; their gradient is added to `gradients`.
    public func step(
        _ example: AdaptationExample, model: SegmentAnythingModel, adapter: LoRAAdapter,
        gradients: inout GradientBuffer, in workspace: Workspace
    ) throws -> StepLosses {
        let (count, canvas) = (example.prompts.count, model.encoder.imageSize)
        guard let masks = example.masks, masks.count == count * canvas * canvas else {
            throw AdaptationMethodError(
                .example, "supervised training needs the masks of all \(count) objects; take a data set with masks")
        }
        let branch = try BranchPass(example, model, adapter, configuration, in: workspace)
        var dLogits = Tensor(zeros: branch.round.logits.shape)
        let supervision = MaskSupervision(
            configuration: configuration, maskCount: example.maskCount, canvas: canvas)
        let (parts, dIoU) = supervision(branch.round, target: .bytes(masks), addingTo: &dLogits, in: workspace)
        branch.backward(dLogits, dIoU, &gradients, in: workspace)
        return StepLosses(parts: parts, instances: count)
    }
}
