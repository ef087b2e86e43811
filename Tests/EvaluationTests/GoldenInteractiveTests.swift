import Adapters
import Evaluation
import Foundation
import Interaction
import Kernels
import Layers
import Machine
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// Six rounds of clicks by the official SUM code (`sum.safetensors`): clicks, masks, predicted IoUs and scores.
@Suite struct GoldenInteractiveTests {
    private struct Configuration: Decodable {
        var input_size: [Int]
        var iou_hidden: Int
        var rank: Int
    }

    private let table: TensorTable
    private let adapted: AdaptedModel
    private let sizes: GoldenSizes
    private let area: [Int]
    private let workspace = Workspace(threads: 2)

    init() throws {
        BLASEnvironment.useSingleThread()
        table = try Golden.open("sum", in: .module)
        sizes = try Golden.sizes(of: table)
        let configuration = try Golden.configuration(of: table, as: Configuration.self)
        area = configuration.input_size
        var encoder = ImageEncoderViTConfiguration(
            width: sizes.dim, depth: sizes.depth, heads: sizes.heads, globalBlocks: sizes.glob)
        (encoder.imageSize, encoder.window, encoder.embeddingWidth) = (sizes.img, sizes.window, sizes.ed)
        let whole = SegmentAnythingConfiguration(
            encoder: .viT(encoder),
            decoder: MaskDecoderConfiguration(
                width: sizes.ed, heads: sizes.dheads, mlpWidth: sizes.mlp_dim,
                iouHiddenWidth: configuration.iou_hidden))
        let weights = try Golden.weights(of: table, SegmentAnythingModel.parameterShapes(whole))
        let trainables = try Trainables(
            TrainablePlan(adapters: [.init(TaskTable.kind)]), in: ModelDescription(whole))
        var rows: [Float] = []
        for entry in trainables.layout.entries { rows += try table.tensor("weights.\(entry.name)").elements }
        adapted = AdaptedModel(
            SegmentAnythingModel(whole, ParameterStore(weights)), trainables,
            values: Tensor(rows, [trainables.layout.count]))
    }

    /// The image's embedding with LoRA, by the file.
    private func features() throws -> ImageFeatures {
        let stored = try table.tensor("train.out.embedding").rows(0..<1)
        return ImageFeatures(
            embedding: ElementwiseKernel.transpose(
                stored, rows: sizes.ed, columns: stored.shape[2] * stored.shape[3]))
    }

    @Test func scoresOfGivenMasks() throws {
        let shape = try table.shape("metric.in.pred", fitting: [nil, nil, nil])
        let area = shape[1] * shape[2]
        let predictions = try table.bytes("metric.in.pred").map { $0 != 0 }
        let targets = try table.bytes("metric.in.target").map { $0 != 0 }
        let (iou, boundary) = (
            try table.tensor("metric.out.iou").elements, try table.tensor("metric.out.biou").elements
        )
        for mask in 0..<shape[0] {
            let own = mask * area..<(mask + 1) * area
            let score = OriginalMaskScore(
                prediction: Array(predictions[own]), truth: Array(targets[own]), width: shape[2], height: shape[1])
            // The official code divides 0 by 0 for two empty masks.
            guard !score.isEmpty else {
                #expect(iou[mask].isNaN || iou[mask] == 0 || iou[mask] == 1)
                continue
            }
            #expect(abs(score.iou - Double(iou[mask])) <= 1e-6, "IoU of mask \(mask)")
            #expect(abs(score.boundaryIoU - Double(boundary[mask])) <= 1e-6, "boundary IoU of mask \(mask)")
        }
    }

    @Test(arguments: InteractiveStart.allCases) func sixRounds(_ start: InteractiveStart) throws {
        let (height, width) = (area[0], area[1])
        let targets = try table.bytes("train.human.in.target").map { $0 != 0 }
        let boxes = try table.tensor("jitter.in.boxes").elements
        let frame = MaskFrame(
            side: sizes.img, width: width, height: height, originalWidth: width, originalHeight: height)
        for object in 0..<3 {
            let truth = PixelMask(
                width: width, height: height,
                pixels: Array(targets[object * width * height..<(object + 1) * width * height]))
            func row(_ round: Int, _ name: String) throws -> Tensor {
                try table.tensor("eval.\(start.rawValue).round\(round + 1).\(name)").rows(object..<object + 1)
            }
            let session = InteractiveSession(
                adapted.model, try features(), in: adapted.context(in: workspace), frame: frame, truth: truth)
            let rounds = try session.run(
                start, box: Array(boxes[4 * object..<4 * object + 4]), task: 1, rounds: 6,
                carrying: { round in
                    let logits = try row(round, "out.logits")
                    let name = "eval.\(start.rawValue).round\(round + 1).out.carried"
                    let carried = try table.integers(name)[object]
                    let area = logits.shape[2] * logits.shape[3]
                    return Tensor(
                        Array(logits.elements[carried * area..<(carried + 1) * area]),
                        [1, logits.shape[2], logits.shape[3]])
                })
            for (index, round) in rounds.enumerated() {
                let label = "\(start.rawValue), object \(object), round \(index + 1)"
                expectClose(
                    round.logits.elements, try row(index, "out.logits").elements, relativeToMaximum: 1e-4, label)
                expectClose(
                    round.predictedIoU, try row(index, "out.iou_pred").elements, relativeToMaximum: 1e-4, label)
                // Two pixels of difference are allowed.
                let limit = 2 / Double(truth.pixels.filter(\.self).count) + 1e-6
                let iou = try row(index, "out.iou").elements.map(Double.init)
                for (mask, exact) in zip(round.masks, iou) { #expect(abs(mask.iou - exact) <= limit, "\(label)") }
                let boundary = try row(index, "out.biou").elements.map(Double.init)
                for (mask, exact) in zip(round.masks, boundary) {
                    #expect(abs(mask.boundaryIoU - exact) <= 0.02, "\(label): \(mask.boundaryIoU), \(exact)")
                }
                guard start == .point || index > 0 else { continue }
                let place = try row(index, "point").elements.map { Int($0) }
                let sign = try table.integers("eval.\(start.rawValue).round\(index + 1).label")[object]
                #expect(
                    round.click == Click(x: place[0], y: place[1], isForeground: sign == 1),
                    "\(label): \(round.click as Any), \(place) \(sign)")
            }
        }
    }
}
