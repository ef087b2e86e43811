public import Layers
public import Tensors

// General tokens G follow those of every prompt; so do the expert tokens E_s of one stage s, each stage having a key K_s.
// Training takes the present stage's expert; use takes the one, of the stages that have begun, whose key is most similar
// to the image's query. Keys learn only from `pull`.

/// General and expert prompts (DualPrompt, Wang et al., ECCV 2022, put into SAM's mask decoder in our own way).
public struct StagePrompts: StagedAdapter, PromptTokenAdapter {
    /// The kind's name.
    public static let kind: String = "stage-prompts"
    /// The kind's name.
    public var kind: String { Self.kind }
    /// General tokens, expert tokens, keys.
    public let parameters: [Parameter]
    /// Stages that have begun.
    public let begun: Int
    /// The expert that serves a batch; nil for the image's own choice.
    private let chosen: Int?

    private var general: Parameter { parameters[0] }  // [G, C]
    private var experts: Parameter { parameters[1] }  // [S, E, C]
    private var keys: Parameter { parameters[2] }  // [S, C]

    /// Fresh prompts, uniform in +-1; a function of the seed alone.
    ///
    /// - Parameters:
    ///   - width: Width C of the decoder's tokens.
    ///   - begun: Stages that have begun, at most those of the sizes.
    public init(
        _ sizes: PromptPoolSettings, width: Int, begun: Int, seed: UInt64, _ places: inout ParameterPlaces
    ) {
        parameters = [
            places.uniform("stage_prompts.general", [sizes.general, width], seed: seed),
            places.uniform("stage_prompts.experts", [sizes.stages, sizes.expert, width], seed: seed),
            places.uniform("stage_prompts.keys", [sizes.stages, width], seed: seed),
        ]
        (self.begun, chosen) = (begun, nil)
    }

    private init(_ other: StagePrompts, begun: Int, chosen: Int?) {
        (parameters, self.begun, self.chosen) = (other.parameters, begun, chosen)
    }

    /// The prompts with one stage's expert.
    public func choosing(_ stage: Int) -> StagePrompts { StagePrompts(self, begun: begun, chosen: stage) }

    /// The prompts once a stage, from 0, has begun.
    public func inStage(_ stage: Int) -> any AdapterSet { StagePrompts(self, begun: stage + 1, chosen: chosen) }

    /// Itself.
    public var promptTokens: (any PromptTokenAdapter)? { self }

    /// The stage whose expert serves an image: the batch's, else that of the most similar key, of equals the first.
    public func stage(for features: ImageFeatures, in context: PassContext) -> Int {
        if let chosen { return chosen }
        let (query, keys) = (ImageQuery(features), context.value(of: keys))
        let similarities = (0..<begun).map { query.similarity(to: keys.rows($0..<$0 + 1).elements) }
        return similarities.indices.min { (-similarities[$0], $0) < (-similarities[$1], $1) } ?? 0
    }

    /// General tokens, then the expert's. // [G + E, C]
    public func tokens(for features: ImageFeatures, in context: PassContext) -> Tensor {
        let stage = stage(for: features, in: context)
        let (general, experts) = (context.value(of: general), context.value(of: experts))
        return Tensor(
            general.elements + experts.rows(stage..<stage + 1).elements,
            [general.shape[0] + experts.shape[1], general.shape[1]])
    }

    /// Adds the gradients of the general tokens and of the expert. // [G + E, C]
    public func backward(
        _ dTokens: Tensor, features: ImageFeatures, gradients: inout GradientBuffer, in context: PassContext
    ) {
        let first = general.shape[0]
        if let slot = context.slot(of: general) { gradients.add(dTokens.rows(0..<first), at: slot) }
        guard let slot = context.slot(of: experts) else { return }
        let own = dTokens.rows(first..<dTokens.shape[0])
        gradients.add(own.placed(asRow: stage(for: features, in: context), of: experts.shape), at: slot)
    }

    /// The similarity of an image to its expert's key; the gradient of its negative, times a weight, is added to the key's.
    public func pull(
        _ features: ImageFeatures, weight: Double, gradients: inout GradientBuffer, in context: PassContext
    ) -> Double {
        let (query, stage) = (ImageQuery(features), stage(for: features, in: context))
        let key = context.value(of: keys).rows(stage..<stage + 1).elements
        if let slot = context.slot(of: keys) {
            let slope = query.gradient(by: key).map { Float(-weight * $0) }
            gradients.add(Tensor(slope, [1, key.count]).placed(asRow: stage, of: keys.shape), at: slot)
        }
        return query.similarity(to: key)
    }
}
