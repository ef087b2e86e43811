/// The adapter sets that are active in a pass, in their order; they may differ from image to image.
public struct ActiveAdapters: Sendable {
    /// The sets.
    public let sets: [any AdapterSet]
    /// The sets that change projections of the encoder.
    public let projections: [any ProjectionAdapter]
    /// The sets that add to inputs of encoder blocks.
    public let blockInputs: [any BlockInputAdapter]
    /// The sets that provide extra tokens for the encoder.
    public let encoderTokens: [any TokenAdapter]
    /// The sets that provide extra sparse prompt tokens.
    public let promptTokens: [any PromptTokenAdapter]
    /// The sets that add to the dense embeddings of prompts.
    public let densePrompts: [any DensePromptAdapter]
    /// The sets that provide further output tokens for the mask decoder.
    public let outputTokens: [any OutputTokenAdapter]
    /// The sets that add to the mask decoder's output tokens by the prompts' task.
    public let taskTokens: [any TaskTokenAdapter]
    /// Whether a set that acts inside the encoder has trained parameters.
    public let trainsInEncoder: Bool
    /// Whether a set that adds to dense embeddings of prompts has trained parameters.
    public let trainsInPrompts: Bool

    /// Whether a set acts inside the encoder, so that its features are not those of the base model.
    public var actsInEncoder: Bool { !projections.isEmpty || !blockInputs.isEmpty }

    /// Whether a set adds something by the prompts' kind of task.
    public var knowsTasks: Bool { !densePrompts.isEmpty || !taskTokens.isEmpty }

    /// No adapter: the base model.
    public static let none = ActiveAdapters([])

    /// Creates a list of sets, which act in this order.
    public init(_ sets: [any AdapterSet]) {
        self.sets = sets
        projections = sets.compactMap(\.projections)
        blockInputs = sets.compactMap(\.blockInputs)
        encoderTokens = sets.compactMap(\.encoderTokens)
        promptTokens = sets.compactMap(\.promptTokens)
        densePrompts = sets.compactMap(\.densePrompts)
        outputTokens = sets.compactMap(\.outputTokens)
        taskTokens = sets.compactMap(\.taskTokens)
        trainsInPrompts = sets.contains { set in
            set.densePrompts != nil && set.parameters.contains { $0.slot != nil }
        }
        trainsInEncoder = sets.contains { set in
            (set.projections != nil || set.blockInputs != nil) && set.parameters.contains { $0.slot != nil }
        }
    }

    /// The tokens of the encoder that the decoder's additional heads read, from the input upwards.
    public var taps: [TapSite] { Set(outputTokens.flatMap(\.taps)).sorted() }
}

/// The results requested from an encoder pass beside the image embedding.
public struct EncoderRequest: Sendable, Equatable {
    /// Tokens that are requested, from the input upwards.
    public let taps: [TapSite]

    /// Requests tokens.
    public init(taps: [TapSite] = []) { self.taps = taps }

    /// Requests the tokens some adapters read.
    public init(_ adapters: ActiveAdapters) { self.init(taps: adapters.taps) }
}
