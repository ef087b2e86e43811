public import Kernels

/// Squared error of predicted IoUs: sum over instances of (iou_j - t_j)^2 / N, where t_j = |P and M| / (|P or M| + 1e-7)
/// is the IoU of the prediction P = [sigma(z) >= 1/2] with the target M and carries no gradient (WeSAM `losses.py`). Pixel
/// weights do not affect it: the counts are those of all pixels, as in SUM (Liu et al., NeurIPS 2024), which weights
/// only focal and dice loss.
public enum IoULoss {
    /// The least logit of a predicted pixel.
    ///
    /// The released code compares probabilities of single precision with one half, and those reach it a little below
    /// logit 0: up to -z = 1.5 * 2^-23, 1 + exp(-z) rounds to 2. One such pixel moves an instance's IoU by 1 / union.
    public static let logitThreshold: Float = -0x1.8p-23

    /// t_j of one instance.
    public static func target(_ sums: MaskLossKernel.Sums) -> Double { sums.intersection / (sums.union + 1e-7) }

    /// The loss of an image; `maskCount` is N, the number of masks of the batch.
    public static func value(_ predicted: [Float], _ sums: [MaskLossKernel.Sums], maskCount: Int) -> Double {
        zip(predicted, sums).reduce(0) { $0 + squared(Double($1.0) - target($1.1)) } / Double(maskCount)
    }

    /// dL / d(iou_j).
    public static func gradient(_ predicted: [Float], _ sums: [MaskLossKernel.Sums], maskCount: Int) -> [Double] {
        zip(predicted, sums).map { 2 * (Double($0) - target($1)) / Double(maskCount) }
    }

    private static func squared(_ x: Double) -> Double { x * x }
}
