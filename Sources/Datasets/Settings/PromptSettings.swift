public import Recipes

/// The teacher's kind of prompt: the student's, or its own.
public enum TeacherPromptKind: String, CaseIterable, Sendable {
    case same, box, point

    /// The kind; nil for the student's.
    public var kind: PromptKind? { PromptKind(rawValue: rawValue) }
}

/// The student's kind of prompt: one that the labels give, or a fixed one.
public enum StudentPromptKind: String, CaseIterable, Sendable {
    case auto, box, point, coarse

    /// The kind; nil if the labels decide.
    public var kind: PromptKind? { PromptKind(rawValue: rawValue) }
}

/// The weak labels of a run.
public struct PromptSettings: RecipeSection {
    public var kind = StudentPromptKind.auto
    public var teacherKind = TeacherPromptKind.same
    public var source = PromptSource.simulated
    public var coarse = CoarseForm.box
    public var positivePoints = 5
    public var negativePoints = 5
    public var maximumInstances = 40

    /// What the labels give, boxes before points.
    public init() {}

    public static let fields: [RecipeField<PromptSettings>] = [
        .choice(
            "kind", \.kind,
            "Weak label that training derives from each instance; auto: box where the labels give boxes, else point, else coarse"
        ),
        .choice(
            "teacherKind", \.teacherKind,
            "Weak label of the teacher and the anchor where it differs from the student's"),
        .choice(
            "source", \.source,
            "Where prompts come from: masks as in the paper, what annotators drew, masks the unadapted model finds by itself, "
                + "or masks it makes of annotated boxes or points (pseudo)"),
        .choice(
            "coarse", \.coarse,
            "How the model gets a coarse outline: as the box around it (released code) or as a mask (paper)"),
        .integer("positivePoints", \.positivePoints, 0...100, "Positive points per instance"),
        .integer("negativePoints", \.negativePoints, 0...100, "Negative points per instance"),
        .integer(
            "maximumInstances", \.maximumInstances, 1...10_000,
            "Largest number of instances per image; a seeded choice of so many when there are more"),
    ]

    /// Whether student or teacher take points.
    public var usesPoints: Bool { kind == .point || teacherKind == .point }

    /// The kinds of prompt that training takes, the student's first; nil where the labels have yet to decide.
    public var trainingKinds: [PromptKind]? {
        guard let own = kind.kind else { return nil }
        return [own] + [teacherKind.kind].compactMap { $0 }.filter { $0 != own }
    }

    /// The settings with the kind that labels decide.
    ///
    /// - Parameter given: The kinds of prompt that the labels give.
    public func settled(given: [PromptKind]) -> PromptSettings {
        guard kind == .auto else { return self }
        var settled = self
        let choice = [PromptKind.box, .point, .coarse].first(where: given.contains) ?? .box
        settled.kind = StudentPromptKind(rawValue: choice.rawValue) ?? .box
        return settled
    }

    /// How prompts of a kind are derived.
    ///
    /// - Parameter maskSide: Side of the grid of mask prompts.
    public func options(kind: PromptKind, maskSide: Int) -> PromptOptions {
        PromptOptions(
            kind: kind, positivePoints: positivePoints, negativePoints: negativePoints,
            maximumInstances: maximumInstances, source: source, coarse: coarse, maskSide: maskSide)
    }
}
