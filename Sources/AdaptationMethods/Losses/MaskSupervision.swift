import Kernels
import Tensors

// L = w_f focal + w_d dice + w_i iou of a branch's masks against binary targets, where the targets carry no gradient.

/// The self-training losses of one branch: focal and dice of its masks and the squared error of its predicted IoUs.
struct MaskSupervision {
    /// Weights and form.
    let settings: MaskLossSettings
    /// N in the released losses.
    let maskCount: Int
    /// Side of the canvas on which masks are compared.
    let canvas: Int
    /// The weight of each pixel; nil weights all equally.
    let weights: PixelWeights?

    /// The losses; the weighted gradient of the logits is added to `dLogits`.
    ///
    /// - Parameters:
    ///   - logits: Low-resolution mask logits. // [n, h, w]
    ///   - iou: Predicted IoUs. // [n]
    /// - Returns: The parts under `MaskLossSettings.lossNames`, and the weighted gradient of the predicted IoUs. // [n]
    func callAsFunction(
        _ logits: Tensor, _ iou: [Float], target: MaskTarget, addingTo dLogits: inout Tensor, in workspace: Workspace
    ) -> (parts: [StepLosses.Part], dIoU: [Float]) {
        let sums = MaskLossKernel.sums(
            logits, target: target, canvas: canvas, threshold: IoULoss.logitThreshold, weights: weights, in: workspace)
        let total = MaskLossKernel.Sums.total(sums)
        let pixels = iou.count * canvas * canvas
        let focal = FocalLoss(settings.form, maskCount: maskCount)
        let dice = DiceLoss(settings.form, maskCount: maskCount)
        let slopes = dice.slopes(total)
        MaskLossKernel.addGradient(
            logits, target: target, canvas: canvas,
            slopes: .init(
                focal: Float(settings.focalWeight * focal.slope(pixels: pixels)),
                inside: Float(settings.diceWeight * slopes.inside),
                outside: Float(settings.diceWeight * slopes.outside)), weights: weights, into: &dLogits, in: workspace)
        let dIoU = IoULoss.gradient(iou, sums, maskCount: maskCount).map {
            Float(settings.iouWeight * $0)
        }
        let iouError = IoULoss.value(iou, sums, maskCount: maskCount)
        return (
            [
                StepLosses.Part("focal", focal.value(total, pixels: pixels), weight: settings.focalWeight),
                StepLosses.Part("dice", dice.value(total), weight: settings.diceWeight),
                StepLosses.Part("iou", iouError, weight: settings.iouWeight),
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
