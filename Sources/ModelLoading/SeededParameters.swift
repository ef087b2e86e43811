import Layers
import Tensors

/// Weights of a tiny random model as a function of a seed, for tests of everything around the model.
///
/// Scales and variances are near 1, shifts and biases near 0, and matrices have the spread that keeps activations near
/// unit size, so that masks, losses and gradients are of the usual magnitude.
struct SeededParameters: ParameterSource {
    let seed: UInt64

    func tensor(_ name: String, _ shape: Shape) -> Tensor {
        var generator = SeededGenerator(seed: seed, purpose: name)
        let isMatrix = shape.rank > 1 && !name.contains("embed")
        let inputs = isMatrix ? max(1, shape.dimensions.dropFirst().reduce(1, *)) : 1
        let spread =
            isMatrix ? (3 / Double(inputs)).squareRoot() : name.hasSuffix("weight") && shape.rank > 1 ? 0.5 : 0.2
        let centre = shape.rank == 1 && (name.hasSuffix("weight") || name.hasSuffix("running_var")) ? 1.0 : 0.0
        return Tensor((0..<shape.count).map { _ in Float(centre + generator.uniform(-spread, spread)) }, shape)
    }
}
