public import Adapters
import Kernels
import Layers
import Machine
public import Recipes
import SegmentAnything
import Tensors

/// The settings of the refinement module's training.
public struct RefinerSettings: RecipeSection {
    public var minimumIoU = 0.7
    public var filters = true
    public var focalWeight = 20.0
    public var diceWeight = 1.0
    public var iouWeight = 1.0

    /// SUM's constants.
    public init() {}

    public static let fields: [RecipeField<RefinerSettings>] = [
        .number(
            "minimumIoU", \.minimumIoU, 0...1,
            "Lowest IoU with the true mask at which the model's answer to a point becomes a training pair"),
        .flag(
            "filters", \.filters,
            "Whether pairs must also pass the filters of automatic masks: predicted IoU 0.88, stability 0.95, below 95 % of the image"
        ),
        .number("focalWeight", \.focalWeight, MaskLossSettings.weightRange, "Weight of the focal loss"),
        .number("diceWeight", \.diceWeight, MaskLossSettings.weightRange, "Weight of the dice loss"),
        .number("iouWeight", \.iouWeight, MaskLossSettings.weightRange, "Weight of the error of the predicted IoU"),
    ]

    /// How pairs are made.
    public var pairs: RefinementPairMaker {
        var maker = RefinementPairMaker()
        (maker.rule.minimumIoU, maker.rule.filtersAsAutomatic) = (minimumIoU, filters)
        return maker
    }
}

// SUM (Liu et al. 2024), section 3.1: a point is drawn from each object with a true mask; SAM's best answer to it becomes a pair
// with that mask if it comes near enough; the module sees logits, box and point of the answer and learns the true mask by
//   L = mean over pairs of 20 focal + dice + iou
// The encoder is frozen, so embeddings are kept.

/// Trains SUM's refinement module: decoder and prompt encoder that turn SAM's mask into a better one.
public struct RefinerTraining: AdaptationMethod {
    /// `refiner`.
    public static let name = "refiner"
    /// The settings.
    public let settings: RefinerSettings
    /// focal, dice, iou, and the number of pairs, which is no loss.
    public let lossNames = MaskLossSettings.lossNames + [pairs]
    private static let pairs = "pairs"

    /// Creates the method.
    public init(_ settings: RefinerSettings = .init()) { self.settings = settings }

    /// Masks, and the frozen model's features.
    public var needs: ExampleNeeds { ExampleNeeds(anchor: true, masks: true) }
    /// Its masks are scored beside those they are made from.
    public var answers: EvaluatedAnswers { .refinedMasks(settings.pairs) }

    /// Prompt encoder and mask decoder.
    public var trainables: TrainablePlan {
        TrainablePlan(
            adapters: [],
            parameters: [
                .init("prompt_encoder.", group: ParameterGroup("prompt_encoder")),
                .init("mask_decoder.", group: ParameterGroup("mask_decoder")),
            ])
    }

    /// The losses of one image's pairs; an image without any has losses of 0.
    public func step(_ example: AdaptationExample, in context: inout StepContext) throws -> StepLosses {
        let (count, side) = (example.prompts.count, context.model.encoder.imageSize)
        guard let masks = example.masks, masks.count == count * side * side else {
            throw AdaptationMethodError(
                .example, "the refinement module needs the masks of all \(count) objects; use a data set with masks")
        }
        try example.check(for: context)
        let features = context.anchors.features { context.model.encoder.encode(example.weak, in: context.frozen) }
        let area = example.area ?? MaskCanvas.Area(height: side, width: side)
        let pairs = try pairs(example, masks, area, on: features, in: context)
        var training = InteractiveTraining()
        training.rounds = 1
        (training.loss.focalWeight, training.loss.diceWeight) = (settings.focalWeight, settings.diceWeight)
        training.loss.iouWeight = settings.iouWeight
        var values: [UncertaintyWeightedLoss.Value] = []
        for first in stride(from: 0, to: pairs.count, by: context.decoderChunk) {
            let chunk = pairs[first..<min(first + context.decoderChunk, pairs.count)]
            let targets = chunk.flatMap { masks[$0.object * side * side..<($0.object + 1) * side * side] }
            let objects = InteractiveTraining.Objects(
                start: try PromptBatch(refining: chunk.map(\.prompt)),
                canvas: training.loss.canvas(.bytes(targets), side: side, area: area), total: pairs.count)
            let (_, rounds) = try training.train(
                objects, on: features, next: { _, carried in (carried, nil) }, in: &context)
            values += rounds.flatMap(\.values)
        }
        return StepLosses(parts: parts(values), instances: pairs.count)
    }

    private func pairs(
        _ example: AdaptationExample, _ masks: [UInt8], _ area: MaskCanvas.Area, on features: ImageFeatures,
        in context: StepContext
    ) throws -> [RefinementPairMaker.Pair] {
        let count = example.prompts.count
        guard !context.workspace.pool.isRehearsal else {
            // Every object becomes a pair.
            let low = 4 * context.model.encoder.embeddingSide
            let prompt = RefinementPrompt(logits: Tensor(zeros: [low, low]), point: [0, 0], box: [0, 0, 1, 1])
            let candidate = RefinementCandidate(logits: [], target: [], predictedIoU: 1)
            return (0..<count).map { .init(object: $0, prompt: prompt, candidate: candidate) }
        }
        var generator = example.random
        return try settings.pairs.pairs(
            of: masks, area: area, uniform: (0..<count).map { _ in generator.unit() }, on: features,
            of: context.model, in: context.frozen, chunk: context.decoderChunk)
    }

    /// Means over all pairs.
    private func parts(_ values: [UncertaintyWeightedLoss.Value]) -> [StepLosses.Part] {
        values.means(focalWeight: settings.focalWeight, diceWeight: settings.diceWeight, iouWeight: settings.iouWeight)
            + [StepLosses.Part(Self.pairs, Double(values.count), weight: 0)]
    }
}
