import Kernels
import Layers
import SegmentAnything
import Tensors
import Testing
import TestSupport

@Suite struct PromptTests {
    let encoder = PromptEncoder(
        MaskDecoderTests.RandomWeights(), configuration: .init(width: 32, imageSize: 64, embeddingSide: 4))
    let context = PassContext(Workspace(threads: 1))
    let box = Tensor([4, 8, 40, 50], [1, 4])
    let point = Tensor([12, 20], [1, 1, 2])

    /// Points alone are followed by a padding point; with a box they are not.
    @Test func paddingPoint() throws {
        let alone = try encoder.encode(PromptBatch(points: point, labels: [.foreground]), in: context).sparse
        let padded = try encoder.encode(
            PromptBatch(points: Tensor([12, 20, 0, 0], [1, 2, 2]), labels: [.foreground, .padding]), in: context
        ).sparse
        #expect(alone.shape == [1, 2, 32])
        #expect(alone.elements == Array(padded.elements.prefix(64)))
        let both = try encoder.encode(PromptBatch(boxes: box, points: point, labels: [.foreground]), in: context)
        let boxes = try encoder.encode(PromptBatch(boxes: box), in: context)
        #expect(both.sparse.elements == Array(alone.elements.prefix(32)) + boxes.sparse.elements)
    }

    /// A padding point's position has no effect; a background point differs from a foreground one by its vector alone.
    @Test func labels() throws {
        func code(_ position: [Float], _ label: PointLabel) throws -> [Float] {
            let batch = try PromptBatch(points: Tensor(position, [1, 1, 2]), labels: [label])
            return Array(try encoder.encode(batch, in: context).sparse.elements.prefix(32))
        }
        #expect(try code([3, 5], .padding) == code([30, 50], .padding))
        let near = zip(try code([3, 5], .foreground), try code([3, 5], .background)).map { $0 - $1 }
        let far = zip(try code([30, 50], .foreground), try code([30, 50], .background)).map { $0 - $1 }
        #expect(zip(near, far).allSatisfy { abs($0 - $1) < 1e-5 })
        #expect(near.contains { abs($0) > 0.01 })
    }

    @Test func batchesThatDoNotFit() throws {
        func kind(_ make: () throws -> PromptBatch) -> SegmentAnythingError.Kind? {
            do { _ = try make() } catch { return (error as? SegmentAnythingError)?.kind }
            return nil
        }
        #expect(kind { try PromptBatch() } == .prompt)
        #expect(kind { try PromptBatch(boxes: Tensor(zeros: [0, 4])) } == .prompt)
        #expect(kind { try PromptBatch(boxes: Tensor(zeros: [2, 3])) } == .prompt)
        #expect(kind { try PromptBatch(points: point) } == .prompt)
        #expect(kind { try PromptBatch(boxes: box, labels: [.foreground]) } == .prompt)
        #expect(kind { try PromptBatch(boxes: Tensor(zeros: [2, 4]), points: point, labels: [.padding]) } == .prompt)
        #expect(kind { try PromptBatch(masks: Tensor(zeros: [1, 4, 5])) } == .prompt)
        #expect(throws: SegmentAnythingError.self) {
            try encoder.encode(PromptBatch(masks: Tensor(zeros: [1, 8, 8])), in: context)
        }
    }
}

@Suite struct MaskPostprocessingTests {
    @Test func placementOfSAM() {
        let frame = MaskFrame(side: 1024, originalWidth: 622, originalHeight: 529)
        #expect((frame.width, frame.height, frame.left, frame.top) == (1024, 871, 0, 0))
        let tall = MaskFrame(side: 256, originalWidth: 1, originalHeight: 4000)
        #expect((tall.width, tall.height) == (1, 256))
    }

    /// A ramp along x results in a ramp over the part of the frame that holds the image.
    @Test func centredPaddingIsCutOff() {
        let ramp = Tensor((0..<32 * 32).map { Float($0 % 32) }, [1, 1, 32, 32])
        let frame = MaskFrame(
            side: 128, left: 32, top: 48, width: 64, height: 32, originalWidth: 16, originalHeight: 8)
        let resized = MaskPostprocessing.resize(ramp, to: frame, in: Workspace(threads: 2))
        #expect(resized.shape == [1, 1, 8, 16])
        for (index, value) in resized.elements.enumerated() {
            let inFrame = 32 + (Float(index % 16) + 0.5) * 4
            #expect(abs(value - (inFrame / 4 - 0.5)) < 1e-4)
        }
    }

    @Test func thresholdAndStability() {
        let logits = Tensor([-2, -0.5, 0, 0.5, 1.5, 3, -3, -3], [1, 2, 1, 4])
        #expect(MaskPostprocessing.binary(logits) == [0, 0, 0, 1, 1, 1, 0, 0])
        let scores = MaskPostprocessing.stabilityScores(logits).elements
        #expect(scores == [0, 1])
        let mixed = MaskPostprocessing.stabilityScores(Tensor([2, 0, -0.5, -4], [1, 1, 2, 2])).elements
        #expect(abs(mixed[0] - 1.0 / 3) < 1e-6)
        #expect(MaskPostprocessing.stabilityScores(Tensor([-4, -4], [1, 1, 1, 2])).elements == [0])
    }
}
