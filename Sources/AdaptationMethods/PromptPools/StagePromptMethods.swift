public import Adapters
import Layers
public import Recipes

// Two methods of class-incremental learning put into SAM's mask decoder. The CoSAM benchmark names them without code, so
// what they do here is our own adaptation: prompts go behind the tokens of the image's prompt, as with L2P.
//   DualPrompt    L = w_b bce + w_d dice - w_k cos(q, k of the stage)
//   CODA-Prompt   L = w_b bce + w_d dice + w_o sum over P, a, k of |X X' - 1|^2

/// A general prompt and one of each stage (DualPrompt, Wang et al., ECCV 2022; our adaptation).
public struct DualPrompt: AdaptationMethod {
    /// `dual-prompt`.
    public static let name = "dual-prompt"
    private let settings: KeyedPromptSettings
    private let training: PromptTraining
    /// bce, dice, similarity.
    public let lossNames = PromptTraining.lossNames("similarity")
    /// A jittered view and its masks.
    public let needs = PointSampledTraining.needs
    /// The prompts.
    public let trainables = TrainablePlan(adapters: [.init(StagePrompts.kind)])

    /// Creates the method.
    public init(_ settings: KeyedPromptSettings = .init()) {
        self.settings = settings
        training = PromptTraining(points: PointSampledTraining(settings: settings.points))
    }

    /// The losses of one image with the present stage's prompt; their gradient is added to the context's.
    public func step(_ example: AdaptationExample, in context: inout StepContext) throws -> StepLosses {
        let prompts = try PromptTraining.adapter(StagePrompts.self, in: context).choosing(context.stage)
        return try training.step(example, with: PromptTraining.replacing(prompts, in: context), in: &context) {
            features, gradients, pass in
            StepLosses.Part(
                "similarity", prompts.pull(features, weight: settings.keyWeight, gradients: &gradients, in: pass),
                weight: -settings.keyWeight)
        }
    }
}

/// The settings of CODA-Prompt.
public struct CODAPromptSettings: RecipeSection {
    public var points = PointSampledSettings()
    public var orthogonalityWeight = 0.1

    /// The published weight.
    public init() {}

    public static let fields: [RecipeField<CODAPromptSettings>] =
        PointSampledSettings.fields.map { $0.within(\.points) } + [
            .number(
                "orthogonalityWeight", \.orthogonalityWeight, 0...1000,
                "Weight of how far the components are from orthonormal")
        ]

    public var faults: [SettingFault] { points.faults }
}

/// Prompts that are weighted sums of components, of which each stage adds a share (CODA-Prompt, Smith et al., CVPR 2023;
/// our adaptation).
public struct CODAPrompt: AdaptationMethod {
    /// `coda-prompt`.
    public static let name = "coda-prompt"
    private let settings: CODAPromptSettings
    private let training: PromptTraining
    /// bce, dice, orthogonality.
    public let lossNames = PromptTraining.lossNames("orthogonality")
    /// A jittered view and its masks.
    public let needs = PointSampledTraining.needs
    /// The components.
    public let trainables = TrainablePlan(adapters: [.init(PromptComponents.kind)])

    /// Creates the method.
    public init(_ settings: CODAPromptSettings = .init()) {
        self.settings = settings
        training = PromptTraining(points: PointSampledTraining(settings: settings.points))
    }

    /// The losses of one image; their gradient is added to the context's.
    public func step(_ example: AdaptationExample, in context: inout StepContext) throws -> StepLosses {
        let components = try PromptTraining.adapter(PromptComponents.self, in: context)
        return try training.step(example, with: context.pass.adapters, in: &context) { _, gradients, pass in
            StepLosses.Part(
                "orthogonality",
                components.orthogonality(weight: settings.orthogonalityWeight, gradients: &gradients, in: pass),
                weight: settings.orthogonalityWeight)
        }
    }
}
