public import Datasets
public import Recipes

/// A kind of prompt to evaluate with, or those that the labels give.
public enum EvaluationPrompt: String, CaseIterable, Sendable {
    case auto, box, point, coarse
}

/// How evaluation images are brought to the model's square.
public enum EvaluationView: String, CaseIterable, Sendable {
    /// The aspect ratio is kept, as SAM does.
    case fit
    /// Squashed, prompted by boxes, scored at the image's own size: the protocol of the CoSAM benchmark.
    case squash
}

/// The evaluation before, during and after adaptation.
public struct EvaluationSettings: RecipeSection {
    public var prompts = [EvaluationPrompt.auto]
    public var threshold = 0.0
    public var limit = 0
    public var before = true
    public var boundary = true
    public var view = EvaluationView.fit

    /// Boxes and points, as far as the labels give them.
    public init() {}

    public static let fields: [RecipeField<EvaluationSettings>] = [
        .choices(
            "prompts", \.prompts, effect: .experiment,
            "Kinds of prompt to evaluate with; auto: box and point as far as the labels give them; [] evaluates nothing"
        ),
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
        .choice(
            "view", \.view, effect: .experiment,
            "fit: the image keeps its aspect ratio; squash: it fills the model's square, with box prompts alone (CoSAM)"
        ),
    ]

    public var faults: [SettingFault] {
        if prompts.contains(.auto), prompts.count > 1 {
            return [SettingFault(key: "prompts", rule: "auto stands alone; name the kinds instead")]
        }
        guard view == .squash, let kinds, !kinds.isEmpty, kinds != [.box] else { return [] }
        return [SettingFault(key: "prompts", rule: "must be auto, [box] or [] with evaluation.view=squash")]
    }

    /// The kinds of prompt; nil where the labels have yet to decide.
    public var kinds: [PromptKind]? {
        prompts.contains(.auto) ? nil : prompts.compactMap { PromptKind(rawValue: $0.rawValue) }
    }

    /// The settings with the kinds that labels decide.
    ///
    /// - Parameter given: The kinds of prompt that the labels give.
    public func settled(given: [PromptKind]) -> EvaluationSettings {
        guard kinds == nil else { return self }
        var settled = self
        if view == .squash {
            settled.prompts = given.contains(.box) ? [.box] : []
            return settled
        }
        settled.prompts = [(PromptKind.box, EvaluationPrompt.box), (.point, .point), (.coarse, .coarse)].filter {
            given.contains($0.0) && ($0.0 != .coarse || given == [.coarse])
        }.map(\.1)
        return settled
    }
}
