public import Adapters
import Layers
import SegmentAnything

//   L = w_b bce + w_d dice - w_k sum over the image's prompts of cos(q, k)
// The prompts that the images of a batch name most often serve all of it, so an image's losses depend on its batch,
// though not on how that is dealt to ranks.

/// Prompts of a pool behind those of the image, the model itself frozen (learning to prompt, Wang et al., CVPR 2022, as in
/// the CoSAM benchmark).
public struct L2P: AdaptationMethod {
    /// `l2p`.
    public static let name = "l2p"
    private let settings: KeyedPromptSettings
    private let training: PromptTraining
    /// bce, dice, similarity.
    public let lossNames = PromptTraining.lossNames("similarity")
    /// A jittered view and its masks.
    public let needs = PointSampledTraining.needs
    /// The pool.
    public let trainables = TrainablePlan(adapters: [.init(PromptPool.kind)])
    /// True.
    public let votes = true

    /// Creates the method.
    public init(_ settings: KeyedPromptSettings = .init()) {
        self.settings = settings
        training = PromptTraining(points: PointSampledTraining(settings: settings.points))
    }

    /// The prompts nearest to an image.
    public func vote(_ example: AdaptationExample, in context: StepContext) throws -> Vote {
        let features = context.model.encoder.encode(example.weak, in: context.pass)
        let pool = try PromptTraining.adapter(PromptPool.self, in: context)
        return Vote(numbers: pool.numbers(for: features, in: context.pass), features: features)
    }

    /// The losses of one image; their gradient is added to the context's.
    public func step(_ example: AdaptationExample, in context: inout StepContext) throws -> StepLosses {
        var pool = try PromptTraining.adapter(PromptPool.self, in: context)
        if !context.votes.isEmpty { pool = pool.choosing(pool.elected(by: context.votes)) }
        return try training.step(example, with: PromptTraining.replacing(pool, in: context), in: &context) {
            features, gradients, pass in
            StepLosses.Part(
                "similarity", pool.pull(features, weight: settings.keyWeight, gradients: &gradients, in: pass),
                weight: -settings.keyWeight)
        }
    }
}
