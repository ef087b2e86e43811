import Kernels
public import Recipes
import SegmentAnything
import Tensors

// One branch, the adapted model, on a jittered view:   L = w_b bce + w_d dice   at sampled points (PointSampledLoss).
// With distillation, at points of a second draw:        L += w (bce + dice)(z, sigma(z_former))
// Former logits are interpolated before the sigmoid; neither they nor the choice of points have a gradient.

/// The settings of methods that learn from masks at sampled points.
public struct PointSampledSettings: RecipeSection {
    public var pointCount = PointSampledLoss.defaultPointCount
    public var crossEntropyWeight = 1.0
    public var diceWeight = 1.0

    /// The constants of CoSAM's released code.
    public init() {}

    public static let fields: [RecipeField<PointSampledSettings>] = [
        .integer(
            "pointCount", \.pointCount, 4...1_000_000,
            "Points per mask at which losses are computed; three quarters of them where the mask is least certain"),
        .number(
            "crossEntropyWeight", \.crossEntropyWeight, MaskLossSettings.weightRange, "Weight of the cross entropy"),
        .number("diceWeight", \.diceWeight, MaskLossSettings.weightRange, "Weight of the dice loss"),
    ]

    public var faults: [SettingFault] {
        crossEntropyWeight > 0 || diceWeight > 0
            ? [] : [SettingFault(key: "crossEntropyWeight", rule: "all loss weights are 0; nothing would be learnt")]
    }
}

/// The training that the one-step methods of the CoSAM benchmark share: they differ in what trains.
struct PointSampledTraining {
    let settings: PointSampledSettings

    /// bce, dice.
    static let lossNames = ["bce", "dice"]
    /// A jittered view and its masks.
    static let needs = ExampleNeeds(masks: true, view: .jittered)

    /// The losses of one image; their gradient is added to the context's.
    func step(_ example: AdaptationExample, in context: inout StepContext) throws -> StepLosses {
        let target = try Self.target(of: example, in: context)
        let count = example.prompts.count
        let branch = try BranchPass(example, in: context)
        var random = example.random
        var (parts, dLogits) = losses(branch.round.logits, target, from: &random, in: context.workspace)
        if let distillation = context.distillation {
            let loss = PointSampledLoss(pointCount: settings.pointCount)
            let logits = branch.round.logits
            let former = try branch.logits(example, with: distillation.former, in: context)
            let points = loss.points(logits, loss.draws(masks: count, from: &random), in: context.workspace)
            let kept = distillation.losses(
                logits, former: former, at: points, loss, addingTo: &dLogits, in: context.workspace)
            parts += zip(Distillation.lossNames, [kept.crossEntropy, kept.dice]).map {
                StepLosses.Part($0, $1, weight: distillation.weight)
            }
        }
        branch.backward(dLogits, [Float](repeating: 0, count: count), &context.gradients)
        return StepLosses(parts: parts, instances: count)
    }

    /// The masks that an example's masks are compared with. Throws `AdaptationMethodError` without them. // [n, S, S]
    static func target(of example: AdaptationExample, in context: StepContext) throws(AdaptationMethodError) -> Tensor {
        let (count, canvas) = (example.prompts.count, context.model.encoder.imageSize)
        guard let target = example.softMasks, target.shape == [count, canvas, canvas] else {
            throw AdaptationMethodError(
                .example, "training at points needs the masks of all \(count) objects; use a data set with masks")
        }
        return target
    }

    /// The losses at sampled points, and their weighted gradient. // [n, 4 h, 4 w]
    func losses(
        _ logits: Tensor, _ target: Tensor, from random: inout SeededGenerator, in workspace: Workspace
    ) -> (parts: [StepLosses.Part], dLogits: Tensor) {
        let loss = PointSampledLoss(pointCount: settings.pointCount)
        let points = loss.points(logits, loss.draws(masks: logits.shape[0], from: &random), in: workspace)
        var dLogits = Tensor(zeros: logits.shape)
        let values = loss(
            logits, target: target, at: points,
            weights: (crossEntropy: settings.crossEntropyWeight, dice: settings.diceWeight), addingTo: &dLogits,
            in: workspace)
        return (
            [
                StepLosses.Part("bce", values.crossEntropy, weight: settings.crossEntropyWeight),
                StepLosses.Part("dice", values.dice, weight: settings.diceWeight),
            ], dLogits
        )
    }
}
