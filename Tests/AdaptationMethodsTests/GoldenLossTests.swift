import AdaptationMethods
import Foundation
import Kernels
import Machine
import Tensors
import Testing
import TestSupport
import WeightFiles

/// The official losses on one set of random logits, masks and embeddings.
@Suite struct GoldenLossTests {
    /// The golden focal loss was called without its third argument, whose default in the official code is 0.8.
    private let focalFactor = 0.8

    private struct Masks {
        let logits: Tensor  // [n, S, S]
        let target: Tensor  // [n, S, S]
        let workspace = Workspace(threads: 1)
        var canvas: Int { logits.shape[1] }

        init(_ table: TensorTable) throws {
            let shape = try table.shape("in.logits", fitting: [nil, nil, nil])
            logits = try table.tensor("in.logits", shape: [shape[0], shape[1], shape[1]])
            target = try table.tensor("in.target", shape: shape)
        }

        func sums(threshold: Float) -> [MaskLossKernel.Sums] {
            MaskLossKernel.sums(
                logits, target: .values(target), canvas: canvas, threshold: threshold, in: workspace)
        }

        func gradient(_ slopes: MaskLossKernel.Slopes) -> Tensor {
            var gradient = Tensor(zeros: logits.shape)
            MaskLossKernel.addGradient(
                logits, target: .values(target), canvas: canvas, slopes: slopes, into: &gradient, in: workspace)
            return gradient
        }
    }

    @Test func focal() throws {
        let table = try Golden.open("losses", in: Bundle.module)
        let masks = try Masks(table)
        let loss = FocalLoss(factor: focalFactor)
        let value = loss.value(total(masks.sums(threshold: IoULoss.logitThreshold)), pixels: masks.logits.count)
        expectRelative(value, try table.number("out.focal"), "focal")
        let gradient = masks.gradient(
            .init(focal: Float(loss.slope(pixels: masks.logits.count)), inside: 0, outside: 0))
        expectRelativeL2(gradient, try table.tensor("grad.focal"), atMost: 1e-5, "gradient of focal")
    }

    @Test func dice() throws {
        let table = try Golden.open("losses", in: Bundle.module)
        let masks = try Masks(table)
        let sums = total(masks.sums(threshold: IoULoss.logitThreshold))
        let loss = DiceLoss(smoothing: 1)
        expectRelative(loss.value(sums), try table.number("out.dice"), "dice")
        let (inside, outside) = loss.slopes(sums)
        let gradient = masks.gradient(.init(focal: 0, inside: Float(inside), outside: Float(outside)))
        expectRelativeL2(gradient, try table.tensor("grad.dice"), atMost: 1e-5, "gradient of dice")
    }

    /// The golden IoUs were counted on probabilities of at least one half.
    @Test func iou() throws {
        let table = try Golden.open("losses", in: Bundle.module)
        let masks = try Masks(table)
        let expected = try table.tensor("out.iou", shape: [masks.logits.shape[0], 1])
        for (index, sums) in masks.sums(threshold: IoULoss.logitThreshold).enumerated() {
            expectRelative(IoULoss.target(sums), expected[index], "IoU \(index)")
        }
    }

    @Test(arguments: [1, 2]) func contrast(threads: Int) throws {
        BLASEnvironment.useSingleThread()
        let table = try Golden.open("losses", in: Bundle.module)
        func branch(_ suffix: String) throws -> ContrastiveLoss.Branch {
            let embedding = try table.tensor("in.embed_" + suffix, shape: [nil, nil, nil])  // [C, h, w]
            let (h, w) = (embedding.shape[1], embedding.shape[2])
            let logits = try table.tensor("in.mask_" + suffix, shape: [nil, 1, 4 * h, 4 * w])
            return .init(
                embedding: channelLast(embedding),
                logits: logits.reshaped([logits.shape[0], logits.shape[2], logits.shape[3]]))
        }
        let shape = try table.shape("in.embed_x", fitting: [nil, nil, nil])
        try table.shape("in.embed_y", fitting: shape)
        try table.shape("in.mask_y", fitting: table.shape("in.mask_x", fitting: [nil, 1, nil, nil]))
        let teacher = try branch("x")
        var gradient = Tensor(zeros: teacher.embedding.shape)
        let value = ContrastiveLoss(temperature: 0.3)(
            teacher: teacher, anchor: try branch("y"), addingTo: &gradient, in: Workspace(threads: threads))
        expectRelative(value, try table.number("out.contrast"), "contrast")
        expectRelativeL2(
            gradient, channelLast(try table.tensor("grad.contrast", shape: shape)), atMost: 1e-5,
            "gradient of the contrast")
    }
}

/// The sums of all instances.
func total(_ sums: [MaskLossKernel.Sums]) -> MaskLossKernel.Sums {
    sums.reduce(into: MaskLossKernel.Sums()) { $0.add($1) }
}

/// Expects a relative error of at most 1e-5, the bound for losses.
func expectRelative(
    _ value: Double, _ expected: Float, _ label: String, sourceLocation: SourceLocation = #_sourceLocation
) {
    let error = abs(value - Double(expected)) / abs(Double(expected))
    #expect(error <= 1e-5, "\(label): \(value) against \(expected)", sourceLocation: sourceLocation)
}

/// One image's maps as activations. // [C, h, w] or [1, C, h, w] -> [h * w, C]
func channelLast(_ maps: Tensor) -> Tensor {
    let channels = maps.shape[maps.shape.rank - 3]
    return ElementwiseKernel.transpose(maps, rows: channels, columns: maps.count / channels)
}
