public import Recipes

/// The teacher's kind of prompt: the student's, or its own.
public enum TeacherPromptKind: String, CaseIterable, Sendable {
    case same, box, point

    /// The kind; nil for the student's.
    public var kind: PromptKind? { PromptKind(rawValue: rawValue) }
}

/// The weak labels of a run.
public struct PromptSettings: RecipeSection {
    public var kind = PromptKind.box
    public var teacherKind = TeacherPromptKind.same
    public var source = PromptSource.simulated
    public var coarse = CoarseForm.box
    public var positivePoints = 5
    public var negativePoints = 5
    public var maximumInstances = 40

    /// Boxes, as in WeSAM.
    public init() {}

    public static let fields: [RecipeField<PromptSettings>] = [
        .choice("kind", \.kind, "Weak label that training derives from each instance"),
        .choice(
            "teacherKind", \.teacherKind,
            "Weak label of the teacher and the anchor where it differs from the student's"),
        .choice(
            "source", \.source,
            "Where prompts come from: masks as in the paper, what annotators drew, or masks the anchor finds itself"),
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

    /// How prompts of a kind are derived.
    ///
    /// - Parameter maskSide: Side of the grid of mask prompts.
    public func options(kind: PromptKind, maskSide: Int) -> PromptOptions {
        PromptOptions(
            kind: kind, positivePoints: positivePoints, negativePoints: negativePoints,
            maximumInstances: maximumInstances, source: source, coarse: coarse, maskSide: maskSide)
    }
}
