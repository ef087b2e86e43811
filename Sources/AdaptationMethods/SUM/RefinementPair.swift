// SUM (Liu et al. 2024), section 3.1 and appendix: the refinement module learns from pairs of a pseudo-mask and the human mask of
// the same object. SAM answers a point in the object with three masks; the pair has the one with the highest true IoU,
//   IoU = |P and M| / (|P or M| + 1e-7),   P = [z > 0]
// and is dropped below an IoU of 0.7, or if the mask does not pass the filters of SAM's automatic masks: predicted IoU, stability
//   |z > 1| / |z > -1|
// and its part of the image.

/// What decides whether one of SAM's answers becomes a pair.
public struct RefinementCandidate: Sendable, Equatable {
    /// IoU with the human mask.
    public let trueIoU: Double
    /// IoU that SAM predicts.
    public let predictedIoU: Double
    /// IoU of the masks cut at logits of 1 and -1; 0 for a mask that is empty at -1.
    public let stability: Double
    /// Its part of the image's pixels.
    public let area: Double

    /// Measures an answer.
    ///
    /// - Parameters:
    ///   - logits: Its logits on the image's part of the canvas. // [H, W]
    ///   - target: The human mask there. // [H, W]
    ///   - predictedIoU: SAM's prediction.
    public init(logits: some RandomAccessCollection<Float>, target: [Bool], predictedIoU: Double) {
        precondition(logits.count == target.count, "\(logits.count) logits for \(target.count) pixels")
        var (both, either, inner, outer, pixels) = (0, 0, 0, 0, 0)
        for (logit, isTarget) in zip(logits, target) {
            let isMask = logit > 0
            if isMask { pixels += 1 }
            if isMask && isTarget { both += 1 }
            if isMask || isTarget { either += 1 }
            if logit > Self.stabilityOffset { inner += 1 }
            if logit > -Self.stabilityOffset { outer += 1 }
        }
        trueIoU = Double(both) / (Double(either) + 1e-7)
        self.predictedIoU = predictedIoU
        stability = outer == 0 ? 0 : Double(inner) / Double(outer)
        area = Double(pixels) / Double(max(target.count, 1))
    }

    private static let stabilityOffset: Float = 1
}

/// Which answers become pairs.
public struct RefinementPairRule: Sendable, Equatable {
    /// The least IoU with the human mask.
    public var minimumIoU = 0.7
    /// Whether the filters of automatic masks apply too.
    public var filtersAsAutomatic = true
    /// The least predicted IoU.
    public var minimumPredictedIoU = 0.88
    /// The least stability.
    public var minimumStability = 0.95
    /// The part of the image that a mask stays below.
    public var maximumArea = 0.95

    /// The published rule.
    public init() {}

    /// The answer with the highest true IoU, the first of equal ones.
    public static func best(_ answers: [RefinementCandidate]) -> Int {
        answers.indices.max { (answers[$0].trueIoU, $1) < (answers[$1].trueIoU, $0) } ?? 0
    }

    /// Whether the best answer becomes a pair.
    public func keeps(_ best: RefinementCandidate) -> Bool {
        guard best.trueIoU >= minimumIoU, best.area > 0 else { return false }
        guard filtersAsAutomatic else { return true }
        return best.predictedIoU >= minimumPredictedIoU && best.stability >= minimumStability
            && best.area < maximumArea
    }
}
