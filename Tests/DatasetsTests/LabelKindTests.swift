import Datasets
import Imaging
import Tensors
import Testing

@Suite struct LabelKindTests {
    @Test func kindsOfPromptFollowFromKindsOfLabel() {
        let cases: [(LabelKinds, PromptSource, [PromptKind])] = [
            (.masks, .simulated, [.box, .point, .coarse]), (.masks, .annotations, []),
            (.boxes, .simulated, [.box]), (.points, .simulated, [.point]),
            ([.boxes, .points], .annotations, [.box, .point]),
            (.polygons, .annotations, [.box, .coarse]), ([], .simulated, []), ([], .pseudo, []),
            (.points, .pseudo, [.box, .point, .coarse]), ([], .automatic, [.box, .point, .coarse]),
        ]
        for (kinds, source, prompts) in cases { #expect(kinds.prompts(from: source) == prompts, "\(kinds) \(source)") }
        #expect(LabelKinds.boxes.evaluationPrompts(from: .simulated) == [.box, .point])
        #expect(LabelKinds.points.evaluationPrompts(from: .pseudo) == [.point])
        #expect(LabelKinds([.masks, .boxes, .points]).description == "masks, boxes and points")
        #expect(LabelKinds([]).description == "no labels" && LabelKinds.polygons.description == "outlines")
    }

    private func point(_ x: Double, _ y: Double, _ isForeground: Bool = true) -> LabelledPoint {
        LabelledPoint(x: x, y: y, isForeground: isForeground)
    }

    @Test func everySecondPointAndTheNeighboursAreHeldOut() {
        let points = [
            [point(1, 1), point(2, 1), point(3, 1), point(9, 9, false), point(8, 8, false)],
            [point(20, 1)], [point(5, 1)], [point(6, 1, false)], [point(40, 40)], [point(41, 40)], [point(42, 40)],
        ]
        let divided = HeldOutPoints(points)
        #expect(divided.prompts[0] == [point(1, 1), point(3, 1), point(9, 9, false)])
        // Neighbours by distance; the instance without a point on it is none and has none.
        #expect(
            divided.scored[0] == [
                point(2, 1), point(8, 8, false), point(5, 1, false), point(20, 1, false), point(40, 40, false),
                point(41, 40, false),
            ])
        #expect(divided.prompts[1] == [point(20, 1)] && divided.scored[1].first == point(5, 1, false))
        #expect(divided.scored[1].count == HeldOutPoints.neighbours)
        #expect(divided.prompts[3] == [point(6, 1, false)] && divided.scored[3].isEmpty)
        #expect(HeldOutPoints([[point(3, 4)]]).scored == [[]])
    }

    /// No point of a prompt is scored, and the scores of images without masks come from the others.
    @Test func anEvaluationScoresWhatItDidNotPrompt() throws {
        let image = Image(width: 16, height: 12, channels: 3, filledWith: 0)
        let sample = Sample(
            id: "a", image: image, boxes: [Box(x0: 2, y0: 2, x1: 7, y1: 8), Box(x0: 9, y0: 1, x1: 10, y1: 2)],
            points: [[point(3, 3), point(4, 4)], [point(9, 1)]])
        let preparation = ExamplePreparation(
            dataset: One(sample), preprocessing: Preprocessing(kind: .sam, side: 32),
            prompts: PromptOptions(kind: .box), seed: 1)
        let example = try preparation.evaluationExample(0, kinds: [.box, .point])
        #expect(example.prompts[1].points?.elements == [6, 6, 18, 2])
        #expect(example.heldOutPoints == [[point(4, 4), point(9, 1, false)], [point(3, 3, false)]])
        #expect(example.points == sample.points)
    }

    /// Boxes alone give point prompts in evaluation: their middle pixels.
    @Test func theMiddleOfABoxIsAPointOfEvaluation() throws {
        let image = Image(width: 16, height: 16, channels: 3, filledWith: 0)
        let sample = Sample(
            id: "a", image: image, boxes: [Box(x0: 2, y0: 2, x1: 7, y1: 8), Box(x0: 9, y0: 1, x1: 10, y1: 2)])
        let preparation = ExamplePreparation(
            dataset: One(sample), preprocessing: Preprocessing(kind: .sam, side: 16),
            prompts: PromptOptions(kind: .point), seed: 1)
        let example = try preparation.evaluationExample(0)
        #expect(example.prompts[0].points?.elements == [4, 5, 9, 1] && example.heldOutPoints == nil)
        // In training they give none.
        let request = SampleRequest(epoch: 0, step: 0, position: 0, sampleIndex: 0)
        let error = #expect(throws: DatasetError.self) { try preparation.trainingExample(request) }
        #expect(error?.code == .unavailablePrompt && error?.problem.contains("they are boxes") == true)
    }
}

private struct One: SegmentationDataset {
    let only: Sample
    init(_ sample: Sample) { only = sample }
    var count: Int { 1 }
    func id(_ index: Int) -> String { only.id }
    func sample(_ index: Int) throws -> Sample { only }
}
