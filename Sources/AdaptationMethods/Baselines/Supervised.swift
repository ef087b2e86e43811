import Kernels
import SegmentAnything
import Tensors

// One branch, the adapted model, weak view:   L = w_f focal + w_d dice + w_i iou against the true masks

/// Fine-tuning with true masks: the reference for weak labels ("Supervised" in WeSAM's tables).
public struct Supervised: AdaptationMethod {
    /// `supervised`.
    public static let name = "supervised"
    /// The weights and the form of the three losses.
    public let settings: MaskLossSettings
    /// focal, dice, iou.
    public let lossNames = MaskLossSettings.lossNames
    /// Masks.
    public let needs = ExampleNeeds(masks: true)

    /// Creates the method.
    public init(_ settings: MaskLossSettings = .init()) { self.settings = settings }

    /// The losses of one image; their gradient is added to the context's.
    public func step(_ example: AdaptationExample, in context: inout StepContext) throws -> StepLosses {
        let (count, canvas) = (example.prompts.count, context.model.encoder.imageSize)
        guard let masks = example.masks, masks.count == count * canvas * canvas else {
            throw AdaptationMethodError(
                .example, "supervised training needs the masks of all \(count) objects; use a data set with masks")
        }
        let branch = try BranchPass(example, in: context)
        var dLogits = Tensor(zeros: branch.round.logits.shape)
        let supervision = MaskSupervision(
            settings: settings, maskCount: example.maskCount, canvas: canvas, weights: example.weights)
        let (parts, dIoU) = supervision(
            branch.round.logits, branch.round.iou, target: .bytes(masks), addingTo: &dLogits, in: context.workspace)
        branch.backward(dLogits, dIoU, &context.gradients)
        return StepLosses(parts: parts, instances: count)
    }
}
