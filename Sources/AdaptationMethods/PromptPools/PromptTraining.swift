import Adapters
import Layers
public import Recipes
import SegmentAnything
import Tensors

//   L = w_b bce + w_d dice + terms of the prompts alone
// on a jittered view, with the model frozen and further tokens behind those of the image's prompt.

/// The settings of methods that learn prompts with keys.
public struct KeyedPromptSettings: RecipeSection {
    public var points = PointSampledSettings()
    public var keyWeight = 1.0

    /// The constants of CoSAM's released code.
    public init() {}

    public static let fields: [RecipeField<KeyedPromptSettings>] =
        PointSampledSettings.fields.map { $0.within(\.points) } + [
            .number(
                "keyWeight", \.keyWeight, 0...1000,
                "Weight of the similarity between images and the keys of their prompts")
        ]

    public var faults: [SettingFault] { points.faults }
}

/// The training that methods with prompts behind the image's own share.
struct PromptTraining {
    let points: PointSampledTraining

    /// bce, dice, and the name of the prompts' own term.
    static func lossNames(_ own: String) -> [String] { PointSampledTraining.lossNames + [own] }

    /// The losses of one image; their gradient is added to the context's.
    ///
    /// - Parameters:
    ///   - adapters: Those of the context, with this image's prompts chosen.
    ///   - own: The prompts' own term; adds its gradient.
    func step(
        _ example: AdaptationExample, with adapters: ActiveAdapters, in context: inout StepContext,
        own: (ImageFeatures, inout GradientBuffer, PassContext) -> StepLosses.Part
    ) throws -> StepLosses {
        try example.check(for: context)
        let (model, count) = (context.model, example.prompts.count)
        let target = try PointSampledTraining.target(of: example, in: context)
        let pass = context.pass.with(adapters)
        let features = context.features ?? model.encoder.encode(example.weak, in: pass)
        let prompts = try EncodedPrompts(example.prompts, model, chunk: context.decoderChunk, in: pass)
        let round = DecoderRound(model, features, prompts, keepingPass: context.keepsDecoderPass, in: pass)
        var random = example.random
        let (parts, dLogits) = points.losses(round.logits, target, from: &random, in: context.workspace)
        // The encoder is frozen: the gradient of the features ends here.
        _ = round.backward(dLogits, [Float](repeating: 0, count: count), &context.gradients)
        return StepLosses(parts: parts + [own(features, &context.gradients, pass)], instances: count)
    }

    /// The context's adapter of a type. Throws `AdaptationMethodError` if it has none.
    static func adapter<Kind: AdapterSet>(
        _ kind: Kind.Type, in context: StepContext
    ) throws(AdaptationMethodError) -> Kind {
        guard let adapter = context.pass.adapters.sets.lazy.compactMap({ $0 as? Kind }).first else {
            throw AdaptationMethodError(.settings, "a step without the \(kind) that it trains")
        }
        return adapter
    }

    /// The context's adapters with another one in the place of its type.
    static func replacing<Kind: AdapterSet>(_ adapter: Kind, in context: StepContext) -> ActiveAdapters {
        ActiveAdapters(context.pass.adapters.sets.map { $0 is Kind ? adapter : $0 })
    }
}
