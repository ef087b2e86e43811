public import Recipes

/// When a run writes the checkpoints it can resume from.
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
            "Steps between checkpoints; 0 uses only the time"),
        .number(
            "everySeconds", \.everySeconds, 0...1e6, effect: .machine,
            "Seconds between checkpoints, whichever comes first; 0 uses only the steps"),
        .flag(
            "background", \.background, effect: .machine,
            "true writes during the following steps, false blocks training until the checkpoint is written"),
        .integer(
            "keep", \.keep, 2...1_000_000, effect: .machine,
            "Newest checkpoints to keep, in addition to the one with the best scores"),
        .integer(
            "maximumFailures", \.maximumFailures, 1...1_000_000, effect: .machine,
            "Consecutive failed saves after which the run stops"),
    ]
}
