public import Kernels
public import Tensors

// SUM (Liu et al. 2024), section 3.2, per mask with m pixels on the image's part of the canvas, p = sigma(z~), label y, certainty
// c (1 for a human label) and M = [c > theta]:
//   focal = (1/m) sum c alpha_t (1 - p_t)^2 (-log p_t),   alpha = 1/4 where y = 1, 3/4 elsewhere
//   dice = 1 - (2 sum M p y + 1) / (sum M p + sum M y + 1)
//   iou = (predicted - t)^2,   t = |P and Y| / (|P or Y| + 1e-7),   P = [z~ >= 0], over all pixels; t has no gradient
//   L = mean over masks of 20 focal + dice + iou

/// The losses of masks whose labels are trusted pixel by pixel, as far as a map of uncertainty says.
public struct UncertaintyWeightedLoss: Sendable, Equatable {
    /// theta, above which a pixel's certainty gives it a part in the dice loss.
    public var overlapThreshold: Float? = 0.6
    /// Weight of the focal loss.
    public var focalWeight = 20.0
    /// Weight of the dice loss.
    public var diceWeight = 1.0
    /// Weight of the error of the predicted IoU.
    public var iouWeight = 1.0

    /// Added to both sides of the dice loss's fraction.
    private static let smoothing = 1.0

    /// The published weights.
    public init() {}

    /// The losses of one mask, unweighted.
    public struct Value: Sendable, Equatable {
        /// Focal loss.
        public let focal: Double
        /// Dice loss.
        public let dice: Double
        /// Squared error of the predicted IoU.
        public let iou: Double
        /// t, the IoU with the label.
        public let trueIoU: Double
    }

    /// A canvas as these losses compare masks on it.
    ///
    /// - Parameters:
    ///   - probability: sigma(s) of pseudo-masks and sigma(r) of the refined ones; nil for human labels. // [n, h, w] each
    public func canvas(
        _ target: MaskTarget, side: Int, area: MaskCanvas.Area? = nil,
        uncertainty: (probability: Tensor, refined: Tensor)? = nil
    ) -> MaskCanvas {
        MaskCanvas(
            target, side: side, area: area,
            weights: uncertainty.map {
                PixelWeights(probability: $0.probability, refined: $0.refined, overlapThreshold: overlapThreshold)
            }, balance: .init(inside: 0.25, outside: 0.75))
    }

    /// The losses of every mask.
    ///
    /// - Parameters:
    ///   - logits: z. // [n, h, w]
    ///   - predictedIoU: // [n]
    ///   - canvas: As from `canvas`.
    public func values(
        _ logits: Tensor, predictedIoU: [Float], on canvas: MaskCanvas, in workspace: Workspace
    ) -> [Value] {
        sums(logits, on: canvas, in: workspace).enumerated().map { value($1, predictedIoU[$0], pixels: canvas.pixels) }
    }

    /// 20 focal + dice + iou with the weights of these losses.
    public func total(_ value: Value) -> Double {
        focalWeight * value.focal + diceWeight * value.dice + iouWeight * value.iou
    }

    /// Adds the gradient of the masks' losses to that of the logits.
    ///
    /// - Parameters:
    ///   - logits: z. // [n, h, w]
    ///   - share: The factor of every mask's loss: 1 over the number of masks for their mean.
    ///   - dLogits: Added to. // [n, h, w]
    /// - Returns: The losses of every mask, and the gradient of the predicted IoUs. // [n]
    public func addGradient(
        _ logits: Tensor, predictedIoU: [Float], on canvas: MaskCanvas, share: Double, into dLogits: inout Tensor,
        in workspace: Workspace
    ) -> (values: [Value], dIoU: [Float]) {
        let sums = sums(logits, on: canvas, in: workspace)
        let dice = DiceLoss(smoothing: Self.smoothing)
        let slopes = sums.map { sums -> MaskLossKernel.Slopes in
            let own = dice.slopes(sums)
            return .init(
                focal: Float(share * focalWeight / Double(canvas.pixels)),
                inside: Float(share * diceWeight * own.inside), outside: Float(share * diceWeight * own.outside))
        }
        MaskLossKernel.addGradient(logits, on: canvas, slopes: slopes, into: &dLogits, in: workspace)
        let values = sums.enumerated().map { value($1, predictedIoU[$0], pixels: canvas.pixels) }
        let dIoU = zip(values, predictedIoU).map { value, predicted in
            Float(2 * share * iouWeight * (Double(predicted) - value.trueIoU))
        }
        return (values, dIoU)
    }

    private func sums(_ logits: Tensor, on canvas: MaskCanvas, in workspace: Workspace) -> [MaskLossKernel.Sums] {
        MaskLossKernel.sums(logits, on: canvas, threshold: IoULoss.logitThreshold, in: workspace)
    }

    private func value(_ sums: MaskLossKernel.Sums, _ predicted: Float, pixels: Int) -> Value {
        let iou = sums.intersection / (sums.union + 1e-7)
        let error = Double(predicted) - iou
        return Value(
            focal: sums.focal / Double(pixels), dice: DiceLoss(smoothing: Self.smoothing).value(sums),
            iou: error * error, trueIoU: iou)
    }
}

extension [UncertaintyWeightedLoss.Value] {
    /// The means of the terms, with their weights; zeros without any.
    func means(focalWeight: Double, diceWeight: Double, iouWeight: Double) -> [StepLosses.Part] {
        func mean(_ value: (UncertaintyWeightedLoss.Value) -> Double) -> Double {
            reduce(0) { $0 + value($1) } / Double(Swift.max(count, 1))
        }
        return [
            StepLosses.Part("focal", mean(\.focal), weight: focalWeight),
            StepLosses.Part("dice", mean(\.dice), weight: diceWeight),
            StepLosses.Part("iou", mean(\.iou), weight: iouWeight),
        ]
    }
}
