public import Recipes

/// When a run writes the checkpoints it can resume from.
public struct CheckpointSettings: RecipeSection {
    public var everySteps = 500
    public var everySeconds = SaveInterval.automatic
    public var background = true
    public var keep = 2
    public var maximumFailures = 3

    /// As often as costs little, and every 500 steps.
    public init() {}

    public static let fields: [RecipeField<CheckpointSettings>] = [
        .integer(
            "everySteps", \.everySteps, 0...1_000_000_000, effect: .machine,
            "Steps between checkpoints; 0 uses only the time"),
        .parsed(
            "everySeconds", \.everySeconds,
            rule: .parsed("auto, or number 0 to 1000000") { SaveInterval(rawValue: $0) != nil }, effect: .machine,
            "Seconds between checkpoints, whichever comes first; 0 uses only the steps; auto saves after every step of "
                + "more than a second, else as often as takes 1 % of the time"),
        .flag(
            "background", \.background, effect: .machine,
            "true writes during the following steps, false blocks training until the checkpoint is written"),
        .integer(
            "keep", \.keep, 2...1_000_000, effect: .machine,
            "Newest checkpoints to keep, in addition to the one with the best scores; with everySeconds=auto, the "
                + "newest at multiples of everySteps, and the newest two"),
        .integer(
            "maximumFailures", \.maximumFailures, 1...1_000_000, effect: .machine,
            "Consecutive failed saves after which the run stops"),
    ]
}
