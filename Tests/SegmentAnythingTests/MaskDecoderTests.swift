import Foundation
import Kernels
import Layers
import Machine
import SegmentAnything
import Tensors
import Testing
import TestSupport

/// A decoder of random weights on a grid of several attention tiles.
@Suite struct MaskDecoderTests {
    /// Weights drawn by name, scaled by the square root of the fan-in; norms near one.
    struct RandomWeights: ParameterSource {
        func tensor(_ name: String, _ shape: Shape) -> Tensor {
            let values = TestValues.uniform(shape.count, name)
            if shape.rank == 1 { return Tensor(values.map { name.hasSuffix("weight") ? 1 + $0 / 4 : $0 / 4 }, shape) }
            let fanIn = Float(shape.count / shape[0]).squareRoot()
            return Tensor(values.map { $0 * 1.7 / fanIn }, shape)
        }
    }

    static let side = 24
    let encoder: PromptEncoder
    let decoder: MaskDecoder
    let embedding: Tensor

    init() {
        BLASEnvironment.useSingleThread()
        encoder = PromptEncoder(
            RandomWeights(), configuration: .init(width: 32, imageSize: 16 * Self.side, embeddingSide: Self.side))
        decoder = MaskDecoder(
            RandomWeights(), configuration: .init(width: 32, heads: 2, mlpWidth: 64, iouHiddenWidth: 32))
        embedding = TestValues.uniform([Self.side * Self.side, 32], "embedding")
    }

    /// Boxes spread over the frame.
    func boxes(_ count: Int) throws -> PromptBatch {
        let corners = (0..<count).flatMap { index -> [Float] in
            let start = Float(20 * index % 200)
            return [start, start / 2, start + 90, start / 2 + 120]
        }
        return try PromptBatch(boxes: Tensor(corners, [count, 4]))
    }

    func decode(
        _ prompts: PromptEmbeddings, _ embedding: Tensor, _ workspace: Workspace
    ) -> (logits: Tensor, iou: Tensor) {
        let masks = decoder.decode(
            ImageFeatures(embedding: embedding), position: encoder.densePositionalEncoding, prompts: prompts,
            masks: .single, in: PassContext(workspace))
        return (masks.logits, masks.iou)
    }

    /// A pass over the embedding with its backward pass.
    func pass(_ prompts: PromptEmbeddings, _ workspace: Workspace) -> MaskDecoderPass {
        decoder.decodeForTraining(
            ImageFeatures(embedding: embedding), position: encoder.densePositionalEncoding, prompts: prompts,
            in: PassContext(workspace))
    }

    func embeddingGradient(_ pass: MaskDecoderPass, _ dLogits: Tensor, _ dIoU: Tensor) -> Tensor {
        var gradients = GradientBuffer(count: 0)
        return pass.backward(MaskGradients(logits: dLogits, iou: dIoU), &gradients).features.embedding
    }

    @Test(arguments: [1, 2, 4]) func gradientMeetsDifferencesAlongDirections(_ count: Int) throws {
        let workspace = Workspace(threads: 2)
        let prompts = try encoder.encode(boxes(count), in: PassContext(workspace))
        let pass = self.pass(prompts, workspace)
        let (dLogits, dIoU) = (TestValues.uniform(pass.logits.shape, "dL"), TestValues.uniform(pass.iou.shape, "dI"))
        let gradient = embeddingGradient(pass, dLogits, dIoU).elements
        func objective(_ point: Tensor) -> Double {
            let (logits, iou) = decode(prompts, point, workspace)
            return dot(logits.elements, dLogits.elements) + dot(iou.elements, dIoU.elements)
        }
        let norm = Float(dot(gradient, gradient).squareRoot())
        for index in 0..<3 {
            // Half along the gradient, half random: a random direction alone is nearly orthogonal to the gradient.
            let random = TestValues.uniform(embedding.count, "direction \(index)")
            let direction = zip(random, gradient).map { $0 / 20 + $1 / norm }
            let step: Float = 0.02
            let above = objective(moved(by: step, direction))
            let below = objective(moved(by: -step, direction))
            let numeric = (above - below) / Double(2 * step)
            let analytic = dot(gradient, direction)
            #expect(abs(numeric - analytic) < 2e-3 * abs(analytic), "\(numeric) against \(analytic)")
        }
    }

    private func dot(_ x: [Float], _ y: [Float]) -> Double {
        var sum = 0.0
        for (a, b) in zip(x, y) { sum += Double(a) * Double(b) }
        return sum
    }

    private func moved(by step: Float, _ direction: [Float]) -> Tensor {
        Tensor(zip(embedding.elements, direction).map { $0 + step * $1 }, embedding.shape)
    }

    @Test(arguments: [1, 4]) func bitsDoNotDependOnThreads(_ count: Int) throws {
        func everything(_ threads: Int) throws -> [UInt32] {
            let workspace = Workspace(threads: threads)
            let prompts = try encoder.encode(boxes(count), in: PassContext(workspace))
            let pass = self.pass(prompts, workspace)
            let gradient = embeddingGradient(
                pass, TestValues.uniform(pass.logits.shape, "dL"), TestValues.uniform(pass.iou.shape, "dI"))
            return (pass.logits.elements + pass.iou.elements + gradient.elements).map(\.bitPattern)
        }
        let one = try everything(1)
        #expect(try everything(2) == one)
        #expect(try everything(3) == one)
    }

    /// Projecting a shared image once and absorbing the projections into each prompt's tokens give the same result.
    @Test func promptsDoNotSeeEachOther() throws {
        let workspace = Workspace(threads: 2)
        let batch = try boxes(4)
        let together = try encoder.encode(batch, in: PassContext(workspace))
        let (logits, iou) = decode(together, embedding, workspace)
        for prompt in 0..<4 {
            let alone = PromptEmbeddings(sparse: together.sparse.rows(prompt..<prompt + 1), dense: together.dense)
            let (oneLogits, oneIoU) = decode(alone, embedding, workspace)
            expectClose(
                logits.rows(prompt..<prompt + 1), oneLogits, relativeToMaximum: 1e-5, "logits of prompt \(prompt)")
            expectClose(iou.rows(prompt..<prompt + 1), oneIoU, relativeToMaximum: 1e-5, "IoU of prompt \(prompt)")
        }
    }

    /// A dense embedding that happens to be constant is the shared vector.
    @Test func denseEmbeddingPerPromptEqualsSharedOne() throws {
        let workspace = Workspace(threads: 2)
        let shared = try encoder.encode(boxes(3), in: PassContext(workspace))
        guard case .shared(let vector) = shared.dense else {
            Issue.record("boxes gave a dense embedding per prompt")
            return
        }
        let repeated = (0..<3 * embedding.shape[0]).flatMap { _ in vector.elements }
        let each = PromptEmbeddings(
            sparse: shared.sparse, dense: .perPrompt(Tensor(repeated, [3, embedding.shape[0], 32])))
        let first = pass(shared, workspace)
        let second = pass(each, workspace)
        expectClose(first.logits, second.logits, relativeToMaximum: 1e-5, "logits")
        let (dLogits, dIoU) = (TestValues.uniform(first.logits.shape, "dL"), TestValues.uniform(first.iou.shape, "dI"))
        expectRelativeL2(
            embeddingGradient(first, dLogits, dIoU), embeddingGradient(second, dLogits, dIoU), atMost: 1e-5,
            "embedding gradient")
    }
}
