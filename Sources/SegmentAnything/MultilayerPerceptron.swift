import Kernels
import Layers
import Tensors

/// Linear layers with ReLU between them and nothing after the last: SAM's hypernetworks and IoU head.
struct MultilayerPerceptron: Sendable {
    private let layers: [Linear]

    /// Asks a source for `layers.0`, `layers.1`, ...
    ///
    /// - Parameter widths: Widths of the input, of what is between the layers, and of the output.
    init(_ source: some ParameterSource, widths: [Int]) {
        layers = (0..<widths.count - 1).map {
            Linear(source.scoped("layers.\($0)"), in: widths[$0], out: widths[$0 + 1])
        }
    }

    /// Outputs of the hidden layers. // [n, width] each
    typealias Residuals = [Tensor]

    /// // [n, first width] -> [n, last width]
    func forward(_ x: Tensor, in workspace: Workspace) -> (Tensor, Residuals) {
        var (current, hidden): (Tensor, Residuals) = (x, [])
        for layer in layers.dropLast() {
            current = layer(current, activation: .relu, in: workspace)
            hidden.append(current)
        }
        return (layers[layers.count - 1](current, in: workspace), hidden)
    }

    /// The gradient of the input.
    func backward(_ dY: Tensor, _ saved: Residuals, in workspace: Workspace) -> Tensor {
        var gradient = dY
        for index in layers.indices.reversed() {
            gradient = layers[index].backwardInput(gradient, in: workspace)
            if index > 0 { ElementwiseKernel.backwardReLU(&gradient, output: saved[index - 1], in: workspace) }
        }
        return gradient
    }
}
