public import Kernels
public import Tensors

/// Agreement of predicted masks with true masks, per instance and per image (WeSAM's "micro-imagewise" scores).
public struct MaskMetrics: Sendable, Equatable {
    /// TP / (TP + FP + FN) of every instance; 1 if both masks are empty.
    public let iou: [Double]
    /// 2 TP / (2 TP + FP + FN) of every instance; 1 if both masks are empty.
    public let f1: [Double]

    /// The mean over the image's instances; nil without instances.
    public var meanIoU: Double? { Self.mean(iou) }
    /// The mean over the image's instances; nil without instances.
    public var meanF1: Double? { Self.mean(f1) }

    /// Scores predictions on the model's canvas.
    ///
    /// - Parameters:
    ///   - logits: Low-resolution mask logits, enlarged to the canvas bilinearly. // [n, h, w]
    ///   - truth: The true masks, bytes that are 0 or 1. // [n, S, S]
    ///   - canvas: S, a multiple of 16.
    ///   - threshold: 0 for SAM's rule, logit > 0; any other number t for logit >= t (the released WeSAM: 0.5).
    public init(logits: Tensor, truth: [UInt8], canvas: Int, threshold: Float, in workspace: Workspace) {
        // The kernel compares with >=: the smallest positive number stands for "above 0".
        let limit = threshold == 0 ? Float.leastNonzeroMagnitude : threshold
        self.init(
            MaskLossKernel.sums(
                logits, target: .bytes(truth), canvas: canvas, threshold: limit, includingFocal: false, in: workspace))
    }

    init(_ sums: [MaskLossKernel.Sums]) {
        iou = sums.map { $0.union == 0 ? 1 : $0.intersection / $0.union }
        f1 = sums.map { $0.union == 0 ? 1 : 2 * $0.intersection / ($0.intersection + $0.union) }
    }

    private static func mean(_ values: [Double]) -> Double? {
        values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
    }
}
