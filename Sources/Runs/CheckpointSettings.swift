public import Recipes

/// Checkpoints that a run resumes from.
public struct CheckpointSettings: RecipeSection {
    public var everySteps = 500
    public var everySeconds = 120.0
    public var background = true
    public var keep = 2
    public var maximumFailures = 3

    /// Every two minutes or 500 steps.
    public init() {}

    public static let fields: [RecipeField<CheckpointSettings>] = [
        .integer(
            "everySteps", \.everySteps, 0...1_000_000_000, effect: .machine,
            "Steps between checkpoints; 0 leaves it to the time"),
        .number(
            "everySeconds", \.everySeconds, 0...1e6, effect: .machine,
            "Seconds between checkpoints, whichever comes first; 0 leaves it to the steps"),
        .flag(
            "background", \.background, effect: .machine,
            "true writes beside the following steps, false lets every step wait for its checkpoint"),
        .integer(
            "keep", \.keep, 2...1_000_000, effect: .machine,
            "How many of the newest stay, beside the one with the best scores"),
        .integer(
            "maximumFailures", \.maximumFailures, 1...1_000_000, effect: .machine,
            "Failed saves in a row after which the run stops"),
    ]
}
