import Imaging
import Tensors

// The views of the CoSAM benchmark: one object of an image, jittered in training and squashed in evaluation.

extension ExamplePreparation {
    /// Points of a point prompt.
    static let pointsOfJitteredPrompt = 10

    /// Prepares a training image: one of its objects, drawn anew in each epoch, with one kind of prompt.
    ///
    /// An object of which ten random crops keep nothing gives an example without prompts. Throws `DatasetError`.
    func jitteredExample(_ request: SampleRequest) throws -> TrainingExample {
        let (epoch, index) = (request.epoch, request.sampleIndex)
        let sample = try dataset.sample(index)
        guard let masks = sample.instances else { throw DatasetError.withoutMasks(sample.id) }
        let side = preprocessing.side
        var generator = SeededGenerator(seed: seed, epoch: epoch, sample: index, purpose: "jittered view")
        let candidates = (0..<masks.count).filter { masks.pixelCount(of: $0) > 0 }
        let instance = candidates.isEmpty ? nil : candidates[generator.index(below: candidates.count)]
        let view = instance.flatMap {
            LargeScaleJitter(side: side).draw(sample.image, GreyMask(masks, instance: $0), using: &generator)
        }
        let prompt = view.flatMap { Self.prompt($0.mask, maskSide: prompts.maskSide, using: &generator) }
        let frame = ModelFrame(side: side, originalWidth: side, originalHeight: side, isCentred: false)
        let input = preprocessing.apply(
            to: view?.image ?? MaskedView.squash(sample.image, side: side))
        return TrainingExample(
            request: request, id: sample.id, flip: .none, weak: input, strong: input, frame: frame,
            prompts: prompt ?? Prompts(boxes: []), teacherPrompts: nil, masks: nil,
            softMasks: view.map { Tensor($0.mask.values.map { $0 / 255 }, [1, side, side]) },
            random: SeededGenerator(seed: seed, epoch: epoch, sample: index, purpose: "method"))
    }

    /// A box, ten points or a noisy mask, each with the same probability; a mask of fewer than ten pixels has no points.
    private static func prompt(
        _ mask: GreyMask, maskSide: Int, using generator: inout SeededGenerator
    ) -> Prompts? {
        let points = mask.points(pointsOfJitteredPrompt, using: &generator)
        switch generator.index(below: points == nil ? 2 : 3) {
        case 0: return mask.tightBox.map { Prompts(boxes: [$0]) }
        case 1:
            let small = mask.resized(width: maskSide, height: maskSide).noisyPrompt(using: &generator)
            return Prompts(masks: Tensor(small.values, [1, maskSide, maskSide]))
        default: return points.map { Prompts(points: [$0]) }
        }
    }

    /// Prepares an evaluation image with the boxes of all its objects. Throws `DatasetError`.
    func squashedExample(_ index: Int) throws -> EvaluationExample {
        let sample = try dataset.sample(index)
        guard let masks = sample.instances else { throw DatasetError.withoutMasks(sample.id) }
        let side = preprocessing.side
        let image = MaskedView.squash(sample.image, side: side)
        // A thin object may have no pixel left in the square.
        let boxes = (0..<masks.count).map {
            GreyMask(masks, instance: $0).resized(width: side, height: side).tightBox
        }
        let present = boxes.indices.filter { boxes[$0] != nil }
        return EvaluationExample(
            sampleIndex: index, id: sample.id, image: sample.image, input: preprocessing.apply(to: image),
            frame: ModelFrame(side: side, originalWidth: side, originalHeight: side, isCentred: false),
            prompts: [Prompts(boxes: present.compactMap { boxes[$0] })], count: present.count, masks: nil,
            originalMasks: masks.selecting(present), boxes: nil, points: nil, heldOutPoints: nil, isSquashed: true,
            vanished: masks.count - present.count)
    }
}
