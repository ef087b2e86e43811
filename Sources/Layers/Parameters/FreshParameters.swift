import Glibc
public import Tensors

// PyTorch's defaults (torch.nn.Linear, Conv2d, ConvTranspose2d, LayerNorm, Embedding):
//   weights of two or more dimensions   uniform in +-1/sqrt(fan-in), fan-in = elements per index of the first dimension
//   their biases                        uniform in the same interval
//   norms                               scale 1, shift 0
//   embeddings                          standard normal
// PyTorch counts the fan-in of a transposed convolution [in, out, k, k] along its outputs; so does the rule above.

/// The source of an adapter's fresh parameters, with PyTorch's default initial values and places in the order of the
/// requests.
///
/// Values are a function of the seed and the name alone.
public final class FreshParameters: ParameterSource {
    /// Places assigned so far.
    public private(set) var places: ParameterPlaces
    /// The parameters in the order of the requests.
    public private(set) var parameters: [Parameter] = []
    private let seed: UInt64
    private let isEmbedding: (String) -> Bool
    /// The half width of the interval of each layer's weight, by the layer's name; 0 for norms.
    private var bounds: [String: Double] = [:]

    /// Continues after some places.
    ///
    /// - Parameter isEmbedding: True for names of tables of vectors.
    public init(_ places: ParameterPlaces, seed: UInt64, isEmbedding: @escaping (String) -> Bool = { _ in false }) {
        (self.places, self.seed, self.isEmbedding) = (places, seed, isEmbedding)
    }

    /// The initial values, without a place; a layer's weight is requested before its bias.
    public func tensor(_ name: String, _ shape: Shape) -> Tensor {
        var generator = SeededGenerator(seed: seed, purpose: name)
        if isEmbedding(name) {
            return Tensor((0..<shape.count).map { _ in Float(generator.normal(log: log, cos: cos)) }, shape)
        }
        let layer = name.split(separator: ".").dropLast().joined(separator: ".")
        let isBias = name.hasSuffix("bias")
        if !isBias { bounds[layer] = shape.rank > 1 ? 1 / Double(shape.count / shape[0]).squareRoot() : 0 }
        guard let bound = bounds[layer], bound > 0 else { return Tensor(repeating: isBias ? 0 : 1, shape) }
        return Tensor((0..<shape.count).map { _ in Float(generator.uniform(-bound, bound)) }, shape)
    }

    /// A parameter with its initial values and, if the adapter trains, a place.
    public func parameter(_ name: String, _ shape: Shape) -> Parameter {
        let parameter = places.parameter(name, tensor(name, shape))
        parameters.append(parameter)
        return parameter
    }
}
