public import Kernels
public import Layers
public import SegmentAnything
public import Tensors

// With the tokens C [k, D] and the image's stem tokens X [T, D], every block of the frozen encoder as one sequence:
//   [C; X] += attention(norm([C; X])),   [C; X] += MLP(norm([C; X]))        no windows, no relative positions
//   f = C_0 after the last block                                             the neck is not applied
// Row 0 is the global feature token (GFT), the others are global assistant tokens (GAT) that only take part in
// attention.

/// The tokens of MoDA's router: extra rows through the frozen encoder, the first of which becomes the query.
///
/// The router sees the base encoder: no other adapter is active in its passes. Names and shapes are those of CoSAM's
/// released code (`image_encoder.py`).
public struct RouterTokens: AdapterSet, TokenAdapter {
    /// The kind's name.
    public static let kind: String = "router-tokens"
    /// Tokens of the released code: one global feature token, nine global assistant tokens.
    public static let standardCount: Int = 10
    /// The tensor's name in files.
    public static let name: String = "cls_token"

    /// The kind's name.
    public var kind: String { Self.kind }
    /// The tokens alone. // [1, k, D]
    public let parameters: [Parameter]

    /// Fresh tokens, standard normal; a function of the seed alone.
    ///
    /// - Parameter width: D, that of the encoder's blocks.
    public init(width: Int, count: Int = standardCount, seed: UInt64, _ places: inout ParameterPlaces) {
        let source = FreshParameters(places, seed: seed) { $0 == Self.name }
        parameters = [source.parameter(Self.name, [1, count, width])]
        places = source.places
    }

    /// Fresh tokens that do not train.
    public init(width: Int, count: Int = standardCount, seed: UInt64) {
        var places = ParameterPlaces(group: nil)
        self.init(width: width, count: count, seed: seed, &places)
    }

    /// Tokens of known values, which do not train. // [1, k, D]
    public init(values: Tensor) {
        precondition(values.shape.rank == 3 && values.shape[0] == 1 && values.shape[1] > 0, "tokens of \(values.shape)")
        parameters = [Parameter(values)]
    }

    /// Tokens of known values with a place. // [1, k, D]
    init(values: Tensor, _ places: inout ParameterPlaces) {
        parameters = [places.parameter(Self.name, values)]
    }

    /// The values, or those that training begins with. // [1, k, D]
    public var values: Tensor { parameters[0].frozen }
    /// The number k of tokens.
    public var count: Int { values.shape[1] }
    /// The width D of a token.
    public var width: Int { values.shape[2] }

    /// Itself.
    public var encoderTokens: (any TokenAdapter)? { self }

    /// The tokens. // [k, D]
    public func tokens(in context: PassContext) -> Tensor { context.value(of: parameters[0]).reshaped([count, width]) }

    /// Adds the gradient of the tokens. // [k, D]
    public func backward(_ dTokens: Tensor, gradients: inout GradientBuffer, in context: PassContext) {
        if let slot = context.slot(of: parameters[0]) { gradients.add(dTokens, at: slot) }
    }

    /// The query f of an image: the global feature token after the last block of the base encoder, in a forward pass
    /// that keeps nothing. // [D]
    ///
    /// Throws `SegmentAnythingError` of kind `unsupported` for an encoder that cannot process additional tokens.
    public func feature(
        of stem: EncoderStem, in encoder: any ImageEncoder, _ workspace: Workspace
    ) throws(SegmentAnythingError) -> [Float] {
        let context = PassContext(workspace)
        return try encoder.encodeTokens(tokens(in: context), stem, in: context).rows(0..<1).elements
    }
}
