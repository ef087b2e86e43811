/// The adapter sets that act in a pass, in their order; which ones may be chosen for every image.
public struct ActiveAdapters: Sendable {
    /// The sets.
    public let sets: [any AdapterSet]
    /// Those that change projections of the encoder.
    public let projections: [any ProjectionAdapter]
    /// Those that add to inputs of encoder blocks.
    public let blockInputs: [any BlockInputAdapter]
    /// Those that give extra tokens which go through the encoder.
    public let encoderTokens: [any TokenAdapter]
    /// Those that give extra sparse prompt tokens.
    public let promptTokens: [any TokenAdapter]
    /// Those that give the mask decoder further output tokens.
    public let outputTokens: [any OutputTokenAdapter]
    /// Whether a set that acts inside the encoder has parameters with a place among those that train.
    public let trainsInEncoder: Bool

    /// None: the base model.
    public static let none = ActiveAdapters([])

    /// Some sets, which act in this order.
    public init(_ sets: [any AdapterSet]) {
        self.sets = sets
        projections = sets.compactMap(\.projections)
        blockInputs = sets.compactMap(\.blockInputs)
        encoderTokens = sets.compactMap(\.encoderTokens)
        promptTokens = sets.compactMap(\.promptTokens)
        outputTokens = sets.compactMap(\.outputTokens)
        trainsInEncoder = sets.contains { set in
            (set.projections != nil || set.blockInputs != nil) && set.parameters.contains { $0.slot != nil }
        }
    }

    /// The blocks whose outputs the decoder's further heads read, ascending.
    public var taps: [Int] { Set(outputTokens.flatMap(\.taps)).sorted() }
}

/// What is wanted of an encoder pass beside the image embedding.
public struct EncoderRequest: Sendable, Equatable {
    /// Blocks whose outputs are wanted, as in `BlockSite.index`.
    public let taps: [Int]

    /// Asks for outputs of blocks.
    public init(taps: [Int] = []) { self.taps = taps }

    /// What some adapters need.
    public init(_ adapters: ActiveAdapters) { self.init(taps: adapters.taps) }
}
