public import Recipes

/// The optimiser and its schedule.
public struct OptimizerSettings: RecipeSection {
    public var schedule = LearningRateSchedule(
        base: 1e-4, warmUpSteps: 250, decaySteps: [60_000, 86_666], decayFactor: 0.1)
    public var adam = Adam.Configuration(
        beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 1e-4, isWeightDecayCoupled: true)

    /// The constants of WeSAM's released code.
    public init() {}

    public static let fields: [RecipeField<OptimizerSettings>] = [
        .number("learningRate", \.schedule.base, 0...1, "Learning rate of Adam after the warm-up"),
        .number("weightDecay", \.adam.weightDecay, 0...1, "Factor of the L2 penalty on the trained parameters"),
        .number("beta1", \.adam.beta1, 0...0.999_999_9, "Decay of Adam's gradient mean"),
        .number("beta2", \.adam.beta2, 0...0.999_999_9, "Decay of Adam's squared-gradient mean"),
        .number("epsilon", \.adam.epsilon, above: 0, "Term that keeps Adam's division finite"),
        .integer(
            "warmUpSteps", \.schedule.warmUpSteps, 0...1_000_000_000,
            "Steps over which the learning rate rises linearly from 0"),
        .integers(
            "decaySteps", \.schedule.decaySteps, 1...1_000_000_000,
            "Steps at which the learning rate is multiplied by the decay factor, ascending"),
        .number("decayFactor", \.schedule.decayFactor, 0...1, "Factor on the learning rate at each decay step"),
        .flag(
            "coupledWeightDecay", \.adam.isWeightDecayCoupled,
            "true adds the penalty to the gradient (Adam with L2), false to the update (AdamW)"),
    ]
}
