import Kernels
public import Layers
public import Tensors

// y = norm2(conv3x3(norm1(x W^T)));  no biases, norms over channels at each pixel (epsilon 1e-6).
// Its weights are frozen, so backward computes the input gradient alone: dX = norm1'(conv3x3'(norm2'(dY))) W.

/// The last part of every SAM encoder: tokens to image embedding (`neck` in segment_anything's image_encoder.py).
public struct EncoderNeck: Sendable {
    let projection: Linear
    let projectionNorm: LayerNorm
    /// From `Convolution3x3Kernel.pack`. // [Cout, 9 Cout]
    let convolution: FrozenMatrix
    /// From `Convolution3x3Kernel.packForBackward`. // [Cout, 9 Cout]
    let convolutionForBackward: FrozenMatrix
    let convolutionNorm: LayerNorm

    /// The tensors backward needs: 2 Cout + 4 floats per token.
    public struct Residuals: Sendable {
        let projected: Tensor  // [T, Cout]
        let projectedStatistics: LayerNorm.Residuals  // [T, 2]
        let convolved: Tensor  // [T, Cout]
        let convolvedStatistics: LayerNorm.Residuals  // [T, 2]
    }

    /// Requests `neck.0.weight` ... `neck.3.bias` from the encoder's source.
    ///
    /// - Parameters:
    ///   - inputs: Width of the tokens.
    ///   - outputs: Width Cout of the embedding.
    public init(_ source: some ParameterSource, inputs: Int, outputs: Int) {
        let neck = source.scoped("neck")
        let weight = neck.tensor("0.weight", [outputs, inputs, 1, 1])
        projection = Linear(weight: weight.reshaped([outputs, inputs]), bias: nil)
        projectionNorm = LayerNorm(neck.scoped("1"), width: outputs, epsilon: 1e-6)
        let taps = { neck.tensor("2.weight", [outputs, outputs, 3, 3]) }
        let packed: Shape = [outputs, 9 * outputs]
        convolution = FrozenMatrix(neck.derived("2.forward", packed) { Convolution3x3Kernel.pack(taps()) })
        convolutionForBackward = FrozenMatrix(
            neck.derived("2.backward", packed) { Convolution3x3Kernel.packForBackward(taps()) })
        convolutionNorm = LayerNorm(neck.scoped("3"), width: outputs, epsilon: 1e-6)
    }

    /// The embedding without residuals; the grid is square. // [T, C] -> [T, Cout]
    public func callAsFunction(_ x: Tensor, in context: PassContext) -> Tensor {
        let normal = projectionNorm(projection(x, in: context), in: context)
        return convolutionNorm(convolve(normal, in: context), in: context)
    }

    /// The embedding and its residuals. // [T, C] -> [T, Cout]
    public func forward(_ x: Tensor, in context: PassContext) -> (Tensor, Residuals) {
        let projected = projection(x, in: context)
        let (normal, projectedStatistics) = projectionNorm.forward(projected, in: context)
        let convolved = convolve(normal, in: context)
        let (y, convolvedStatistics) = convolutionNorm.forward(convolved, in: context)
        let residuals = Residuals(
            projected: projected, projectedStatistics: projectedStatistics, convolved: convolved,
            convolvedStatistics: convolvedStatistics)
        return (y, residuals)
    }

    /// dX from the gradient of the embedding. // [T, Cout] -> [T, C]
    public func backward(_ dY: Tensor, _ saved: Residuals, in context: PassContext) -> Tensor {
        let dConvolved = convolutionNorm.backward(
            dY, input: saved.convolved, saved.convolvedStatistics, in: context)
        let grid = gridShape(dConvolved)
        var dNormal = Tensor(uninitialized: grid)
        Convolution3x3Kernel.backwardInput(
            dConvolved.reshaped(grid), weight: convolutionForBackward, into: &dNormal, in: context.workspace)
        let dProjected = projectionNorm.backward(
            dNormal, input: saved.projected, saved.projectedStatistics, in: context)
        return projection.backwardInput(dProjected, in: context)
    }

    private func convolve(_ x: Tensor, in context: PassContext) -> Tensor {
        let grid = gridShape(x)
        var y = Tensor(uninitialized: grid)
        Convolution3x3Kernel.forward(x.reshaped(grid), weight: convolution, bias: nil, into: &y, in: context.workspace)
        return y.reshaped(x.shape)
    }

    /// [side, side, Cout] of a square grid of tokens.
    private func gridShape(_ x: Tensor) -> Shape {
        let tokens = x.count / projection.outputs
        let side = Int(Double(tokens).squareRoot().rounded())
        precondition(side * side == tokens, "an image embedding is square, not of \(tokens) tokens")
        return [side, side, projection.outputs]
    }
}
