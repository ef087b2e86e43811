public import Layers
public import Recipes

// A schedule moves each entry of the LoRA's second matrix by at most the sum S of its learning rates, so that S decides
// whether a run of N steps can learn anything. With the automatic rate
//   rate = clamp(0.12 / N, 1e-4, 5e-3),   warm-up = min(250, N / 10)
// S is about 0.12 for short runs, where the recipes for a few dozen images were measured, and from 1,200 steps the
// rate is that of the released code; from 2,500 steps its warm-up too.

/// The optimiser and its schedule.
public struct OptimizerSettings: RecipeSection {
    public var learningRate = AutomaticNumber<Double>.auto
    public var warmUpSteps = AutomaticNumber<Int>.auto
    public var decaySteps = [60_000, 86_666]
    public var decayEpochs: [Int] = []
    public var decayFactor = 0.1
    public var adam = Adam.Configuration(
        beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 1e-4, isWeightDecayCoupled: true)

    /// The constants of WeSAM's released code, with rate and warm-up after the length of the run.
    public init() {}

    public static let fields: [RecipeField<OptimizerSettings>] = [
        .parsed(
            "learningRate", \.learningRate, rule: .parsed("number 0 to 1, or auto") { isWithin(0.0...1.0, $0) },
            "Learning rate of Adam after the warm-up; auto: 0.12 over the number of steps, from 1e-4 (released code) to 5e-3"
        ),
        .number("weightDecay", \.adam.weightDecay, 0...1, "Factor of the L2 penalty on the trained parameters"),
        .number("beta1", \.adam.beta1, 0...0.999_999_9, "Decay of Adam's gradient mean"),
        .number("beta2", \.adam.beta2, 0...0.999_999_9, "Decay of Adam's squared-gradient mean"),
        .number("epsilon", \.adam.epsilon, above: 0, "Term that keeps Adam's division finite"),
        .parsed(
            "warmUpSteps", \.warmUpSteps,
            rule: .parsed("whole number 0 to 1000000000, or auto") { isWithin(0...1_000_000_000, $0) },
            "Steps over which the learning rate rises linearly from 0; auto: a tenth of the steps, at most 250 (released code)"
        ),
        .integers(
            "decaySteps", \.decaySteps, 1...1_000_000_000,
            "Steps at which the learning rate is multiplied by the decay factor, ascending"),
        .integers(
            "decayEpochs", \.decayEpochs, 1...1_000_000,
            "Epochs at which the rate is multiplied too, ascending; with a continual strategy, those of each stage"),
        .number("decayFactor", \.decayFactor, 0...1, "Factor on the learning rate at each decay step and epoch"),
        .flag(
            "coupledWeightDecay", \.adam.isWeightDecayCoupled,
            "true adds the penalty to the gradient (Adam with L2), false to the update (AdamW)"),
    ]

    private static func isWithin<Value: Comparable>(_ range: ClosedRange<Value>, _ text: String) -> Bool
    where Value: AutomaticValue {
        guard let number = AutomaticNumber<Value>(rawValue: text) else { return false }
        return number.value.map(range.contains) ?? true
    }

    /// The settings with the rate and the warm-up of a run of this many steps in place of `auto`.
    public func settled(totalSteps: Int) -> OptimizerSettings {
        var settled = self
        if learningRate.value == nil {
            settled.learningRate = .value(min(max(0.12 / Double(max(totalSteps, 1)), 1e-4), 5e-3))
        }
        if warmUpSteps.value == nil { settled.warmUpSteps = .value(min(250, totalSteps / 10)) }
        return settled
    }

    /// The learning rate of each step of a run. // `auto` must be settled
    public var schedule: LearningRateSchedule {
        guard let rate = learningRate.value, let warmUp = warmUpSteps.value else {
            preconditionFailure("the schedule of a run whose length is not known")
        }
        var schedule = LearningRateSchedule(
            base: rate, warmUpSteps: warmUp, decaySteps: decaySteps, decayFactor: decayFactor)
        schedule.decayEpochs = decayEpochs
        return schedule
    }
}
