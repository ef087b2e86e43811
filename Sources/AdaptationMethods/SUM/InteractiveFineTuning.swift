public import Adapters
import Interaction
import Kernels
import Layers
import Machine
public import Recipes
import SegmentAnything
import Tensors

/// What the interactive method trains.
public enum InteractiveParts: String, CaseIterable, Sendable {
    /// Mask decoder, prompt encoder and task table; embeddings are those of the frozen encoder and are kept.
    case decoder
    /// The same and low-rank pairs in the encoder.
    case light
    /// The same and all weights of the encoder in place of the pairs.
    case full
    /// HQ-SAM's output token and branches, and what a task adds to tokens; SAM itself stays as it is.
    case hq
}

/// The settings of interactive fine-tuning.
public struct InteractiveSettings: RecipeSection {
    public var trains = InteractiveParts.light
    public var adapterRate = 10.0
    public var rounds = 7
    public var layerDecay = LayerDecay.published.factor
    public var focalWeight = 20.0
    public var diceWeight = 1.0
    public var iouWeight = 1.0

    /// SUM's constants.
    public init() {}

    public static let fields: [RecipeField<InteractiveSettings>] = [
        .choice(
            "trains", \.trains,
            "decoder: mask decoder, prompt encoder and task table over kept embeddings; light: low-rank pairs in the encoder "
                + "too; full: all weights of the encoder of vit_b, vit_l or vit_h in their place; hq: HQ-SAM's output token and "
                + "branches alone, SAM stays as it is"),
        .number(
            "adapterRate", \.adapterRate, 0.001...1000,
            "Learning rate of low-rank pairs (light) and of HQ-SAM's decoder (hq), in rates of SAM's own weights "
                + "(optimizer.learningRate)"),
        .integer("rounds", \.rounds, 2...100, "Rounds of prompts per image; the last adds no click"),
        .number(
            "layerDecay", \.layerDecay, 0.01...1,
            "Factor of the learning rate from one layer of the encoder to the one below (light and full)"),
        .number("focalWeight", \.focalWeight, MaskLossSettings.weightRange, "Weight of the focal loss"),
        .number("diceWeight", \.diceWeight, MaskLossSettings.weightRange, "Weight of the dice loss"),
        .number(
            "iouWeight", \.iouWeight, MaskLossSettings.weightRange,
            "Weight of the error of the predicted IoU; none with hq"),
    ]

    public var faults: [SettingFault] {
        focalWeight > 0 || diceWeight > 0
            ? [] : [SettingFault(key: "focalWeight", rule: "focal and dice weight are 0; no mask would be learnt")]
    }

    /// The rounds with these settings.
    var training: InteractiveTraining {
        var training = InteractiveTraining()
        training.rounds = rounds
        (training.loss.focalWeight, training.loss.diceWeight) = (focalWeight, diceWeight)
        // The predicted IoU is that of SAM's own mask, which does not train beside HQ-SAM's.
        training.loss.iouWeight = trains == .hq ? 0 : iouWeight
        return training
    }
}

// SUM's fine-tuning (Liu et al. 2024) with masks that are trusted everywhere, which is SAM's own: an image starts with boxes or
// with points, each with probability 1/2; boxes are jittered by SAM's rule, first points are drawn from the masks, later ones from
// the errors. All random numbers of an image are drawn before the first round, so they do not depend on the chunks.

/// Fine-tuning over rounds of clicks with true masks; SUM without pseudo-masks, and its steps.
public struct InteractiveFineTuning: AdaptationMethod {
    /// `interactive`.
    public static let name = "interactive"
    /// The settings.
    public let settings: InteractiveSettings
    /// What is made of pseudo-masks, for SUM.
    var pseudoMasks = PseudoMaskRule()
    /// focal, dice, iou.
    public let lossNames = MaskLossSettings.lossNames

    /// Creates the method.
    public init(_ settings: InteractiveSettings = .init()) { self.settings = settings }

    /// SUM's form of it.
    init(_ settings: InteractiveSettings, pseudoMasks: PseudoMaskRule) {
        (self.settings, self.pseudoMasks) = (settings, pseudoMasks)
    }

    /// Masks and their kind of task, and the frozen model's features where the encoder does not train.
    public var needs: ExampleNeeds {
        var needs = ExampleNeeds(anchor: settings.trains == .decoder, masks: true)
        needs.task = true
        return needs
    }

    /// The task table, prompt encoder and mask decoder; with `light` the pairs too, with `full` the encoder's weights; with `hq`
    /// HQ-SAM's decoder instead.
    public var trainables: TrainablePlan {
        let pairs = TrainablePlan.lowRankPairs(atRate: settings.adapterRate).adapters
        if settings.trains == .hq { return .taskedHQ(atRate: settings.adapterRate) }
        let own = (settings.trains == .full ? ["image_encoder"] : []) + ["prompt_encoder", "mask_decoder"]
        return TrainablePlan(
            adapters: (settings.trains == .light ? pairs : []) + [.init(TaskTable.kind)],
            parameters: own.map { .init($0 + ".", group: ParameterGroup($0)) },
            layerDecay: LayerDecay(factor: settings.layerDecay))
    }

    /// The losses of one image; their gradient is added to the context's.
    public func step(_ example: AdaptationExample, in context: inout StepContext) throws -> StepLosses {
        let (count, side) = (example.prompts.count, context.model.encoder.imageSize)
        guard let masks = example.masks, masks.count == count * side * side else {
            throw AdaptationMethodError(
                .example, "interactive training needs the masks of all \(count) objects; use a data set with masks")
        }
        try example.check(for: context)
        let pass: EncoderPass? =
            settings.trains != .decoder ? context.model.encoder.encodeForTraining(example.weak, in: context.pass) : nil
        let features = pass?.features ?? kept(example, in: context)
        let area = example.area ?? MaskCanvas.Area(height: side, width: side)
        let draws = InteractiveDraws(objects: count, rounds: settings.rounds, from: example.random)
        var dFeatures: FeatureGradients?
        var values: [UncertaintyWeightedLoss.Value] = []
        for first in stride(from: 0, to: count, by: context.decoderChunk) {
            let chunk = first..<min(first + context.decoderChunk, count)
            let objects = targets(example, masks, chunk, area, in: context.workspace)
            let (dChunk, rounds) = try train(
                objects, of: count, draws, task: example.task, on: features, in: &context)
            values += rounds.flatMap(\.values)
            if dFeatures == nil { dFeatures = dChunk } else { dFeatures?.add(dChunk, in: context.workspace) }
        }
        if let pass, let dFeatures { pass.backward(dFeatures, &context.gradients) }
        return StepLosses(parts: parts(values), instances: count)
    }

    /// The frozen encoder's features, cached or computed.
    private func kept(_ example: AdaptationExample, in context: StepContext) -> ImageFeatures {
        context.anchors.features { context.model.encoder.encode(example.weak, in: context.frozen) }
    }

    /// The rounds and losses of these settings.
    private var training: InteractiveTraining {
        var training = settings.training
        training.loss.overlapThreshold = Float(pseudoMasks.theta)
        return training
    }

    /// Some of the image's objects.
    private func targets(
        _ example: AdaptationExample, _ masks: [UInt8], _ chunk: Range<Int>, _ area: MaskCanvas.Area,
        in workspace: Workspace
    ) -> InteractiveTargets {
        let side = example.weak.shape[0]
        guard let pseudo = example.pseudoMasks else {
            return InteractiveTargets(
                masks: masks, side: side, area: area, chunk: chunk, loss: training.loss,
                isRehearsed: workspace.pool.isRehearsal)
        }
        return InteractiveTargets(
            pseudo, side: side, area: area, chunk: chunk, loss: training.loss, rule: pseudoMasks, in: workspace)
    }

    private func train(
        _ objects: InteractiveTargets, of total: Int, _ draws: InteractiveDraws, task: Int,
        on features: ImageFeatures, in context: inout StepContext
    ) throws -> (features: FeatureGradients, rounds: [InteractiveTraining.Round]) {
        let training = training
        var start = try objects.start(draws)
        start.task = task
        let workspace = context.workspace
        return try training.train(
            .init(start: start, canvas: objects.canvas, total: total), on: features,
            next: { round, carried in
                // The last round repeats the prompts of the one before.
                guard round + 1 < settings.rounds else { return (carried, nil) }
                return (carried, objects.clicks(after: carried, round: round, draws, in: workspace))
            }, in: &context)
    }

    /// Means over all masks and rounds.
    private func parts(_ values: [UncertaintyWeightedLoss.Value]) -> [StepLosses.Part] {
        let loss = settings.training.loss
        return values.means(focalWeight: loss.focalWeight, diceWeight: loss.diceWeight, iouWeight: loss.iouWeight)
    }
}
