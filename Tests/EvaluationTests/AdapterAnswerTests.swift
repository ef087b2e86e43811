import Adapters
import Datasets
import Evaluation
import Imaging
import Interaction
import Kernels
import Layers
import Machine
import ModelLoading
import SegmentAnything
import Tensors
import Testing
import TestSupport

/// Where an adapter of HQ-SAM's decoder is present, its mask answers prompts and clicks.
@Suite struct AdapterAnswerTests {
    private let loaded: LoadedModel
    private let adapted: AdaptedModel
    private let workspace = Workspace(threads: 1)

    init() throws {
        BLASEnvironment.useSingleThread()
        var model = ModelSettings()
        model.kind = .tiny
        loaded = try LoadedModel(model)
        let description = ModelDescription(loaded.model.configuration)
        adapted = loaded.adapted(by: try Trainables(.taskedHQ(atRate: 1), in: description, AdapterOptions(seed: 3)))
    }

    private var side: Int { loaded.model.encoder.imageSize }
    private let box: [Float] = [20, 24, 90, 80]

    /// The masks of both for a box, at the decoder's resolution.
    private func decoded(_ image: Tensor) throws -> DecodedMasks {
        let context = adapted.context(in: workspace)
        return try adapted.model.predict(
            adapted.model.encoder.encode(image, in: context), PromptBatch(boxes: Tensor(box, [1, 4])), masks: .single,
            in: context)
    }

    @Test func roundsOfClicks() throws {
        let image = TestValues.uniform([side, side, 3], "image")
        let both = try decoded(image)
        let context = adapted.context(in: workspace)
        let session = InteractiveSession(
            adapted.model, adapted.model.encoder.encode(image, in: context), in: context,
            frame: MaskFrame(side: side, width: side, height: side, originalWidth: side, originalHeight: side),
            truth: PixelMask(
                width: side, height: side, pixels: (0..<side * side).map { $0 % side < 60 && $0 / side < 60 }))
        let rounds = try session.run(.box, box: box, rounds: 2)
        #expect(rounds[0].logits.elements == both.adapterLogits?.elements)
        #expect(rounds[0].logits.elements != both.logits.elements)
        // A point is ambiguous for SAM, whose three masks are not asked for.
        #expect(try session.run(.point, rounds: 2).allSatisfy { $0.masks.count == 1 })
    }

    @Test(arguments: [false, true]) func segmentation(multimask: Bool) throws {
        let picture = Image(
            width: side, height: side, channels: 3, pixels: (0..<side * side * 3).map { UInt8($0 * 37 % 251) })
        let both = try decoded(EvaluationView.fit.input(of: picture, loaded.preprocessing))
        let segmenter = ImageSegmenter(loaded, .one(adapted), seen: .fit, workspace: workspace)
        let object = ImageSegmenter.ObjectPrompt(
            box: Box(x0: Double(box[0]), y0: Double(box[1]), x1: Double(box[2]), y1: Double(box[3])), points: [])
        let masks = try segmenter.segment(picture, [object], multimask: multimask).masks
        func pixels(_ logits: Tensor?) throws -> [Bool] {
            let frame = MaskFrame(side: side, width: side, height: side, originalWidth: side, originalHeight: side)
            return MaskPostprocessing.resize(try #require(logits), to: frame, in: workspace).elements.map {
                $0 > MaskPostprocessing.threshold
            }
        }
        #expect(masks.map(\.pixels) == [try pixels(both.adapterLogits)])
        #expect(masks.first?.pixels != (try pixels(both.logits)))
    }

    @Test func whatItHasNoAnswerTo() throws {
        let subject = EvaluatedModel.one(adapted)
        #expect(throws: (any Error).self) { try subject.checkCandidates("--multimask") }
        try EvaluatedModel.one(loaded.base).checkCandidates("--multimask")
    }
}
