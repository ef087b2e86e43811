import Kernels
public import Layers
public import Tensors

/// Linear layers with ReLU between them and nothing after the last: SAM's hypernetworks and IoU head.
public struct MultilayerPerceptron: Sendable {
    private let layers: [Linear]

    /// Requests `layers.0`, `layers.1`, ... from a source.
    ///
    /// - Parameter widths: Widths of the input, between the layers, and of the output.
    public init(_ source: some ParameterSource, widths: [Int]) {
        self.init(
            layers: (0..<widths.count - 1).map {
                Linear(source.scoped("layers.\($0)"), in: widths[$0], out: widths[$0 + 1])
            })
    }

    /// Creates a perceptron from layers of matching widths.
    public init(layers: [Linear]) { self.layers = layers }

    /// Its parameters, from the input upwards.
    public var parameters: [Parameter] { layers.flatMap(\.parameters) }

    /// Inputs of the layers. // [n, width] each
    public typealias Residuals = [Tensor]

    /// // [n, first width] -> [n, last width]
    public func forward(_ x: Tensor, in context: PassContext) -> (Tensor, Residuals) {
        var (current, inputs): (Tensor, Residuals) = (x, [x])
        for layer in layers.dropLast() {
            current = layer(current, activation: .relu, in: context)
            inputs.append(current)
        }
        return (layers[layers.count - 1](current, in: context), inputs)
    }

    /// The gradient of the input; adds those of the trained parameters.
    public func backward(
        _ dY: Tensor, _ saved: Residuals, gradients: inout GradientBuffer, in context: PassContext
    ) -> Tensor {
        var gradient = dY
        for index in layers.indices.reversed() {
            layers[index].backwardParameters(gradient, input: saved[index], gradients: &gradients, in: context)
            gradient = layers[index].backwardInput(gradient, in: context)
            if index > 0 { ElementwiseKernel.backwardReLU(&gradient, output: saved[index], in: context.workspace) }
        }
        return gradient
    }
}
