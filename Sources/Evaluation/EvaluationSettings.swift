public import Datasets
public import Recipes

/// The evaluation before, during and after adaptation.
public struct EvaluationSettings: RecipeSection {
    public var prompts = [PromptKind.box, .point]
    public var threshold = 0.0
    public var limit = 0
    public var before = true
    public var boundary = true

    /// Boxes and points.
    public init() {}

    public static let fields: [RecipeField<EvaluationSettings>] = [
        .choices(
            "prompts", \.prompts, effect: .experiment, "Kinds of prompt to evaluate with; [] evaluates nothing"),
        .number(
            "threshold", \.threshold, -20...20, effect: .experiment,
            "Logit above which a pixel belongs to the mask; the released WeSAM code uses 0.5"),
        .integer(
            "limit", \.limit, 0...1_000_000_000, effect: .experiment,
            "Maximum number of evaluation images per source; 0 uses all"),
        .flag("before", \.before, effect: .machine, "Evaluate the unadapted model before the first step"),
        .flag(
            "boundary", \.boundary, effect: .experiment,
            "Also measure the boundary IoU, at the images' own resolution"),
    ]
}
