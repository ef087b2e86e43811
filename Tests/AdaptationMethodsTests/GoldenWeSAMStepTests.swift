import AdaptationMethods
import Adapters
import Foundation
import Kernels
import Layers
import Machine
import SegmentAnything
import Tensors
import Testing
import TestSupport
import WeightFiles

/// Three official training steps on two images: losses, embeddings, LoRA gradients, and the matrices after Adam.
///
/// The official step sums the losses of the batch's images and passes the number of masks of both images together as
/// focal's factor and dice's smoothing.
@Suite struct GoldenWeSAMStepTests {
    struct Configuration: Decodable {
        var rank: Int
        var lr: Double
        var weight_decay: Double
        var warmup_steps: Int
    }

    struct Setting {
        let table: TensorTable
        let configuration: Configuration
        let sizes: GoldenSizes
        let model: SegmentAnythingModel
        let trainables: Trainables
        let workspace = Workspace(threads: 2)

        init() throws {
            BLASEnvironment.useSingleThread()
            table = try Golden.open("wesam_steps", in: .module)
            configuration = try Golden.configuration(of: table, as: Configuration.self)
            sizes = try Golden.sizes(of: table)
            var encoder = ImageEncoderViTConfiguration(
                width: sizes.dim, depth: sizes.depth, heads: sizes.heads, globalBlocks: sizes.glob)
            (encoder.imageSize, encoder.window, encoder.embeddingWidth) = (sizes.img, sizes.window, sizes.ed)
            let hidden = table["weights.mask_decoder.iou_prediction_head.layers.0.weight"]?.shape.first ?? sizes.ed
            let whole = SegmentAnythingConfiguration(
                encoder: .viT(encoder),
                decoder: MaskDecoderConfiguration(
                    width: sizes.ed, heads: sizes.dheads, mlpWidth: sizes.mlp_dim, iouHiddenWidth: hidden))
            let weights = try Golden.weights(of: table, SegmentAnythingModel.parameterShapes(whole))
            model = SegmentAnythingModel(whole, ParameterStore(weights))
            trainables = try Trainables(
                .lowRankPairs, in: ModelDescription(whole), AdapterOptions(rank: configuration.rank))
        }

        var layout: ParameterLayout { trainables.layout }

        /// The model with LoRA matrices of these values.
        func adapted(_ values: [Float]) -> AdaptedModel {
            AdaptedModel(model, trainables, values: Tensor(values, [values.count]))
        }

        /// The tensors `PREFIX.block0.a_q` ... as one flat vector in the layout's order.
        func matrices(_ prefix: String) throws -> [Float] {
            try layout.entries.flatMap { entry -> [Float] in
                let parts = entry.name.split(separator: ".")
                let matrix = parts[parts.count - 2].dropFirst("linear_".count)
                let name = "\(prefix).block\(parts[2]).\(matrix)"
                return try table.tensor(name, shape: entry.shape.dimensions).elements
            }
        }

        func image(_ name: String, _ index: Int) throws -> Tensor {
            let side = sizes.img
            let stored = try table.tensor(name, shape: [2, 3, side, side]).rows(index..<index + 1)
            return ElementwiseKernel.transpose(stored, rows: 3, columns: side * side).reshaped([side, side, 3])
        }

        func prompts(_ prefix: String, _ kind: String, _ index: Int) throws -> PromptBatch {
            if kind == "boxes" {
                return try PromptBatch(boxes: table.tensor("\(prefix).in.boxes\(index)", shape: [nil, 4]))
            }
            let labels = try table.integers("\(prefix).in.labels\(index)").map { PointLabel(rawValue: $0) ?? .padding }
            let points = try table.tensor("\(prefix).in.points\(index)", shape: [nil, nil, 2])
            return try PromptBatch(points: points, labels: labels)
        }

        /// Losses summed over both images, and the gradient.
        func step(_ prefix: String, _ kind: String, _ adapted: AdaptedModel, chunk: Int = 8) throws -> (
            losses: [String: Double], gradient: [Float]
        ) {
            var settings = WeSAMSettings()
            settings.losses.form = .released
            let prompts = try (0..<2).map { try self.prompts(prefix, kind, $0) }
            let masks = prompts.reduce(0) { $0 + $1.count }
            var context = StepContext(adapted, decoderChunk: chunk, in: workspace)
            var sums: [String: Double] = [:]
            for index in 0..<2 {
                let losses = try WeSAM(settings).step(
                    AdaptationExample(
                        weak: image("\(prefix).in.weak", index), strong: image("\(prefix).in.strong", index),
                        prompts: prompts[index], maskCount: masks),
                    in: &context)
                for part in losses.parts { sums[part.name, default: 0] += part.value }
                sums["total", default: 0] += losses.total
            }
            return (sums, context.gradients.values.elements)
        }
    }

    @Test(arguments: ["boxes", "points"]) func threeOfficialSteps(_ kind: String) throws {
        let setting = try Setting()
        let configuration = setting.configuration
        var weights = try setting.matrices("lora.init").map(Double.init)
        var (first, second) = (
            [Double](repeating: 0, count: weights.count), [Double](repeating: 0, count: weights.count)
        )
        for step in 0..<3 {
            let prefix = "\(kind).step\(step)"
            let own = setting.adapted(weights.map(Float.init))
            let (ownLosses, gradient) = try setting.step(prefix, kind, own)
            var losses = ownLosses
            if step > 0, setting.table["\(kind).step\(step - 1).after.block0.a_q"] != nil {
                // Adam divides small gradients by small roots, and one pixel that changes sides moves an IoU by 1e-4:
                // losses are compared at the official matrices, the matrices along our own trajectory.
                let official = try setting.matrices("\(kind).step\(step - 1).after")
                losses = try setting.step(prefix, kind, setting.adapted(official)).losses
            }
            for name in ["focal", "dice", "iou", "anchor", "contrast", "total"] {
                let expected = Double(try setting.table.number("\(prefix).loss.\(name)"))
                let actual = losses[name] ?? .nan
                #expect(
                    abs(actual - expected) <= 1e-5 * abs(expected),
                    "\(prefix) \(name): \(actual) against \(expected)")
            }
            if step == 0 {
                for entry in setting.layout.entries {
                    let parts = entry.name.split(separator: ".")
                    let name = "\(prefix).grad.block\(parts[2]).\(parts[parts.count - 2].dropFirst("linear_".count))"
                    expectRelativeL2(
                        Tensor(Array(gradient[entry.range]), entry.shape), try setting.table.tensor(name), atMost: 1e-4,
                        name)
                }
            }
            // Adam in Double: coupled decay, warm-up factor step / warmup_steps.
            let rate = configuration.lr * min(1, Double(step) / Double(configuration.warmup_steps))
            for i in weights.indices {
                let g = Double(gradient[i]) + configuration.weight_decay * weights[i]
                first[i] = 0.9 * first[i] + 0.1 * g
                second[i] = 0.999 * second[i] + 0.001 * g * g
                let (c1, c2) = (1 - pow(0.9, Double(step + 1)), 1 - pow(0.999, Double(step + 1)))
                weights[i] -= rate * (first[i] / c1) / ((second[i] / c2).squareRoot() + 1e-8)
            }
            if setting.table["\(prefix).after.block0.a_q"] != nil {
                let expected = try setting.matrices("\(prefix).after")
                expectRelativeL2(
                    Tensor(weights.map(Float.init), [weights.count]), Tensor(expected, [weights.count]), atMost: 1e-4,
                    "\(prefix) matrices")
            }
        }
    }

    /// Running the decoder in chunks, with its passes repeated for backward, changes nothing but rounding.
    @Test(arguments: ["boxes", "points"]) func chunksOfPromptsGiveTheSameStep(_ kind: String) throws {
        let setting = try Setting()
        let adapted = setting.adapted(try setting.matrices("lora.init"))
        let whole = try setting.step("\(kind).step0", kind, adapted)
        let chunked = try setting.step("\(kind).step0", kind, adapted, chunk: 2)
        #expect(
            abs((whole.losses["total"] ?? 0) - (chunked.losses["total"] ?? 1)) < 1e-5 * abs(whole.losses["total"] ?? 0))
        #expect(relativeL2Error(chunked.gradient, whole.gradient) < 1e-5)
    }

    /// The embeddings of step 0: teacher and anchor on the weak view, student on the strong view.
    @Test func embeddingsOfTheFirstStep() throws {
        let setting = try Setting()
        let names = setting.table.names.filter { $0.hasPrefix("boxes.step0.") && $0.contains("embed") }
        #expect(!names.isEmpty)
        let adapted = setting.adapted(try setting.matrices("lora.init"))
        let (side, channels) = (setting.model.encoder.embeddingSide, setting.sizes.ed)
        for name in names {
            let isAnchor = name.contains("anchor")
            let view = name.contains("pred") || name.contains("student") ? "strong" : "weak"
            for index in 0..<2 {
                let embedding = setting.model.encoder.encode(
                    try setting.image("boxes.step0.in.\(view)", index),
                    in: isAnchor ? PassContext(setting.workspace) : adapted.context(in: setting.workspace)
                ).embedding
                let expected = try setting.table.tensor(name, shape: [2, channels, side, side]).rows(index..<index + 1)
                expectClose(
                    ElementwiseKernel.transpose(embedding, rows: side * side, columns: channels).elements,
                    expected.elements,
                    relativeToMaximum: 1e-4, name)
            }
        }
    }
}
