import Evaluation
import Foundation
import Kernels
import Tensors
import Testing
import TestSupport
import WeightFiles

/// Scores of the continual benchmark against the released code (masks) and its definition (the matrix).
@Suite struct GoldenContinualMetricTests {
    private let workspace = Workspace(threads: 1)

    private func close(_ actual: Double, _ table: TensorTable, _ name: String) throws {
        let expected = Double(try table.number(name))
        #expect(abs(actual - expected) <= 1e-6, "\(name): \(actual) against \(expected)")
    }

    /// Labels, and logits of any size. // [H, W], [h, w]
    private func mask(_ table: TensorTable, _ name: String) throws -> (truth: [Bool], size: [Int], logits: Tensor) {
        let size = try table.shape(name + ".in.label_u8", fitting: [nil, nil])
        let truth = try table.bytes(name + ".in.label_u8").map { $0 > OriginalMaskScore.labelThreshold }
        return (truth, size, try table.tensor(name + ".in.logits", shape: [nil, nil]))
    }

    @Test(arguments: [
        "interior", "edge", "thin", "identical", "disjoint", "empty_pred", "full", "grey",
    ])
    func masks(name: String) throws {
        let table = try Golden.open("moda", in: Bundle.module)
        let (truth, size, logits) = try mask(table, "metric." + name)
        let (height, width) = (size[0], size[1])
        let score = OriginalMaskScore(logits: logits, truth: truth, width: width, height: height, in: workspace)
        try close(score.iou, table, "metric.\(name).iou")
        try close(score.boundaryIoU, table, "metric.\(name).biou")
        let reach = BoundaryIoU.distance(width: width, height: height)
        let prediction = OriginalMaskScore.prediction(logits, width: width, height: height, in: workspace)
        for (kind, mask) in [("label", truth), ("pred", prediction)] {
            let rim = BoundaryIoU.rim(mask, width: width, height: height, distance: reach)
            #expect(
                try rim == table.bytes("metric.\(name).\(kind)_boundary").map { $0 != 0 }, "boundary of \(kind)")
        }
    }

    /// The logits are of 32 x 32, the mask is neither square nor a multiple.
    @Test func resizedMask() throws {
        let table = try Golden.open("moda", in: Bundle.module)
        let (truth, size, logits) = try mask(table, "metric.upsampled")
        let score = OriginalMaskScore(logits: logits, truth: truth, width: size[1], height: size[0], in: workspace)
        try close(score.iou, table, "metric.upsampled.iou")
        try close(score.boundaryIoU, table, "metric.upsampled.biou")
    }

    /// The logits of the whole test path on five images of odd sizes.
    @Test func masksOfThePool() throws {
        let table = try Golden.open("moda", in: Bundle.module)
        let (iou, boundary) = (try table.tensor("pool.out.iou"), try table.tensor("pool.out.biou"))
        for index in 0..<iou.count {
            let size = try table.shape("pool.in\(index).mask_u8", fitting: [nil, nil])
            let truth = try table.bytes("pool.in\(index).mask_u8").map { $0 > OriginalMaskScore.labelThreshold }
            let logits = try table.tensor("pool.out\(index).hq", shape: [1, 1, nil, nil])
            let score = OriginalMaskScore(
                logits: logits.reshaped([logits.shape[2], logits.shape[3]]), truth: truth, width: size[1],
                height: size[0], in: workspace)
            #expect(abs(score.iou - Double(iou[index])) <= 1e-6, "IoU of image \(index)")
            #expect(abs(score.boundaryIoU - Double(boundary[index])) <= 1e-6, "boundary IoU of image \(index)")
            #expect(!score.isEmpty)
        }
    }

    @Test func matrix() throws {
        let table = try Golden.open("moda", in: Bundle.module)
        let values = try table.tensor("cl.in.matrix", shape: [nil, nil])
        let count = values.shape[0]
        var matrix = ScoreMatrix(domains: (0..<count).map { "d\($0)" })
        for stage in 0..<count { matrix.append((0..<count).map { Double(values[stage * count + $0]) }) }
        try close(#require(matrix.last), table, "cl.last")
        try close(#require(matrix.average), table, "cl.avg")
        try close(#require(matrix.forgettingFromDiagonal), table, "cl.ff_diagonal")
        try close(#require(matrix.forgettingFromMaximum), table, "cl.ff_max")
    }
}
