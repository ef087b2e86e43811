import Evaluation
import Kernels
import Tensors
import Testing
import TestSupport

@Suite struct MaskMetricsTests {
    private let workspace = Workspace(threads: 1)

    /// Maps of one value each, against a truth of `ones` set pixels. // [n, 4, 4] on 16 x 16
    private func metrics(_ values: [Float], ones: [Int], threshold: Float) -> MaskMetrics {
        MaskMetrics(
            logits: Tensor(values.flatMap { [Float](repeating: $0, count: 16) }, [values.count, 4, 4]),
            truth: ones.flatMap { count in (0..<256).map { $0 < count ? 1 : 0 } }, canvas: 16, threshold: threshold,
            in: workspace)
    }

    @Test func scoresOfKnownCounts() {
        // A full prediction of 64 true pixels: TP 64, FP 192.
        let scores = metrics([5, -5, 5], ones: [64, 64, 256], threshold: 0)
        #expect(scores.iou == [0.25, 0, 1] && scores.f1 == [128 / 320, 0, 1])
        #expect(scores.meanIoU == 1.25 / 3 && scores.meanF1 == 1.4 / 3)
    }

    @Test func emptyAgainstEmptyIsPerfect() {
        let scores = metrics([-5], ones: [0], threshold: 0.5)
        #expect(scores.iou == [1] && scores.f1 == [1])
        #expect(metrics([], ones: [], threshold: 0).meanIoU == nil)
    }

    @Test func thresholds() {
        #expect(metrics([0], ones: [256], threshold: 0).iou == [0])
        #expect(metrics([0.25], ones: [256], threshold: 0).iou == [1])
        #expect(metrics([0.25], ones: [256], threshold: 0.5).iou == [0])
        #expect(metrics([0.5], ones: [256], threshold: 0.5).iou == [1])
    }
}
