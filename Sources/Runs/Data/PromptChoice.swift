import AdaptationMethods
package import Datasets
package import Evaluation
import Recipes
import Training

// `prompts.kind=auto` and `evaluation.prompts=auto` take what the labels of all images give. An image whose labels do
// not give the chosen prompts counts as one that cannot be used, before the first step.

/// The kinds of prompt of a run, once its labels are known.
package struct PromptChoice: Sendable {
    /// The weak labels, without `auto`.
    package let prompts: PromptSettings
    /// The evaluation, without `auto`.
    package let evaluation: EvaluationSettings
    /// Whether the method learns from masks.
    private let needsMasks: Bool
    /// False if images are only scored.
    private var needsTraining = true

    /// Chooses the kinds of prompt.
    ///
    /// - Parameters:
    ///   - training: The labels of the images to adapt to.
    ///   - scored: The labels of the images to evaluate on.
    init(_ recipe: Recipe, training: [LabelKinds], scored: [LabelKinds]) {
        let source = recipe.prompts.source
        needsMasks = recipe.adaptationMethod.needs.masks
        prompts = recipe.prompts.settled(given: Self.common(training.map { $0.prompts(from: source) }))
        evaluation = recipe.evaluation.settled(given: Self.common(scored.map { $0.evaluationPrompts(from: source) }))
    }

    /// The same for images that are only scored.
    var withoutTraining: PromptChoice {
        var scoring = self
        scoring.needsTraining = false
        return scoring
    }

    /// The kinds that all images give, or if there is none the kinds that most images give.
    private static func common(_ kinds: [[PromptKind]]) -> [PromptKind] {
        let counts = PromptKind.allCases.map { kind in kinds.count { $0.contains(kind) } }
        let most = counts.max() ?? 0
        guard most > 0 else { return [] }
        let wanted = counts.contains(kinds.count) ? kinds.count : most
        return zip(PromptKind.allCases, counts).filter { $0.1 == wanted }.map(\.0)
    }

    /// Why an image with labels of these kinds cannot be trained on; nil if it can.
    func trainingFault(_ kinds: LabelKinds, _ id: String) -> DatasetError? {
        guard needsTraining else { return nil }
        if needsMasks, !kinds.contains(.masks) { return .withoutMasks(id) }
        let given = kinds.prompts(from: prompts.source)
        return (prompts.trainingKinds ?? []).first { !given.contains($0) }.map { .unavailable($0, kinds, id) }
    }

    /// Why an image with labels of these kinds cannot be scored; nil if it can.
    func evaluationFault(_ kinds: LabelKinds, _ id: String) -> DatasetError? {
        let given = kinds.evaluationPrompts(from: prompts.source)
        return (evaluation.kinds ?? []).first { !given.contains($0) }.map { .unavailable($0, kinds, id) }
    }
}

extension Recipe {
    /// The recipe of a run over these images, with all that depends on them decided.
    ///
    /// - Parameter totalSteps: The steps of the run.
    func settled(_ choice: PromptChoice, totalSteps: Int) -> Recipe {
        var recipe = self
        (recipe.prompts, recipe.evaluation) = (choice.prompts, choice.evaluation)
        recipe.optimizer = optimizer.settled(totalSteps: totalSteps)
        return recipe
    }
}
