import Kernels
import Tensors

// L = w_f focal + w_d dice + w_i iou of a branch's masks against binary targets, where the targets carry no gradient.

/// The self-training losses of one branch: focal and dice of its masks and the squared error of its predicted IoUs.
struct MaskSupervision {
    /// Weights and form.
    let configuration: WeSAMConfiguration
    /// N in the released losses.
    let maskCount: Int
    /// Side of the canvas the masks are compared on.
    let canvas: Int

    /// The names of the parts `callAsFunction` returns, in order.
    static let lossNames = ["focal", "dice", "iou"]

    /// The losses; the weighted gradient of the logits is added to `dLogits`.
    ///
    /// - Returns: The parts, and the weighted gradient of the predicted IoUs. // [n]
    func callAsFunction(
        _ round: DecoderRound, target: MaskTarget, addingTo dLogits: inout Tensor, in workspace: Workspace
    ) -> (parts: [StepLosses.Part], dIoU: [Float]) {
        let sums = MaskLossKernel.sums(
            round.logits, target: target, canvas: canvas, threshold: IoULoss.logitThreshold, in: workspace)
        let total = MaskLossKernel.Sums.total(sums)
        let pixels = round.iou.count * canvas * canvas
        let focal = FocalLoss(configuration.lossForm, maskCount: maskCount)
        let dice = DiceLoss(configuration.lossForm, maskCount: maskCount)
        let slopes = dice.slopes(total)
        MaskLossKernel.addGradient(
            round.logits, target: target, canvas: canvas,
            slopes: .init(
                focal: Float(configuration.focalWeight * focal.slope(pixels: pixels)),
                inside: Float(configuration.diceWeight * slopes.inside),
                outside: Float(configuration.diceWeight * slopes.outside)), into: &dLogits, in: workspace)
        let dIoU = IoULoss.gradient(round.iou, sums, maskCount: maskCount).map {
            Float(configuration.iouWeight * $0)
        }
        let iou = IoULoss.value(round.iou, sums, maskCount: maskCount)
        return (
            [
                StepLosses.Part("focal", focal.value(total, pixels: pixels), weight: configuration.focalWeight),
                StepLosses.Part("dice", dice.value(total), weight: configuration.diceWeight),
                StepLosses.Part("iou", iou, weight: configuration.iouWeight),
            ], dIoU
        )
    }
}

extension MaskLossKernel.Sums {
    /// The sums over all instances, in their order.
    static func total(_ sums: [Self]) -> Self {
        var total = Self()
        for instance in sums { total.add(instance) }
        return total
    }
}
