import Kernels
public import Layers
public import Tensors

// y = norm2(conv3x3(norm1(x W^T)));  no biases, norms over channels at each pixel (epsilon 1e-6).
// dX = norm1'(conv3x3'(norm2'(dY))) W;  where weights train, the input of the convolution is computed again.

/// The last part of every SAM encoder: tokens to image embedding (`neck` in segment_anything's image_encoder.py).
public struct EncoderNeck: Sendable {
    let projection: Linear
    let projectionNorm: LayerNorm
    /// From `Convolution3x3Kernel.pack`. // [Cout, 9 Cout]
    let convolution: PackedParameter
    /// The frozen weights from `Convolution3x3Kernel.packForBackward`. // [Cout, 9 Cout]
    let convolutionForBackward: FrozenMatrix
    let convolutionNorm: LayerNorm

    /// The tensors backward needs: 2 Cout + 4 floats per token, and the tokens where the projection trains.
    public struct Residuals: Sendable {
        let x: Tensor?  // [T, C]
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
        let weight = neck.parameter("0.weight", [outputs, inputs, 1, 1])
        projection = Linear(weight: weight.reshaped([outputs, inputs]), bias: nil)
        projectionNorm = LayerNorm(neck.scoped("1"), width: outputs, epsilon: 1e-6)
        let (taps, packed): (Shape, Shape) = ([outputs, outputs, 3, 3], [outputs, 9 * outputs])
        convolution = PackedParameter(
            neck, "2.weight", taps, as: ("2.forward", packed), pack: Convolution3x3Kernel.pack,
            unpack: Convolution3x3Kernel.unpack)
        convolutionForBackward = FrozenMatrix(
            neck.derived("2.backward", packed) { Convolution3x3Kernel.packForBackward(neck.tensor("2.weight", taps)) })
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
            x: context.trains(projection.weight) ? x : nil, projected: projected,
            projectedStatistics: projectedStatistics, convolved: convolved,
            convolvedStatistics: convolvedStatistics)
        return (y, residuals)
    }

    /// Whether weights of its own have places among the trained values.
    var canTrain: Bool {
        (projection.parameters + projectionNorm.parameters + convolutionNorm.parameters).contains { $0.slot != nil }
            || convolution.slot != nil
    }

    /// dX from the gradient of the embedding, and the gradients of the weights if they train. // [T, Cout] -> [T, C]
    public func backward(
        _ dY: Tensor, _ saved: Residuals, gradients: inout GradientBuffer, in context: PassContext
    ) -> Tensor {
        convolutionNorm.backwardParameters(
            dY, input: saved.convolved, saved.convolvedStatistics, gradients: &gradients, in: context)
        let dConvolved = convolutionNorm.backward(
            dY, input: saved.convolved, saved.convolvedStatistics, in: context)
        let grid = gridShape(dConvolved)
        addConvolution(dConvolved.reshaped(grid), saved, &gradients, in: context)
        var dNormal = Tensor(uninitialized: grid)
        let weight =
            convolution.stored(in: context).map { FrozenMatrix(Convolution3x3Kernel.packForBackward($0)) }
            ?? convolutionForBackward
        Convolution3x3Kernel.backwardInput(
            dConvolved.reshaped(grid), weight: weight, into: &dNormal, in: context.workspace)
        projectionNorm.backwardParameters(
            dNormal, input: saved.projected, saved.projectedStatistics, gradients: &gradients, in: context)
        let dProjected = projectionNorm.backward(
            dNormal, input: saved.projected, saved.projectedStatistics, in: context)
        if let x = saved.x {
            projection.backwardParameters(dProjected, input: x, gradients: &gradients, in: context)
        }
        return projection.backwardInput(dProjected, in: context)
    }

    /// The gradient of the convolution, if it trains.
    private func addConvolution(
        _ dConvolved: Tensor, _ saved: Residuals, _ gradients: inout GradientBuffer, in context: PassContext
    ) {
        guard let slot = convolution.slot(in: context) else { return }
        let normal = projectionNorm(saved.projected, in: context)
        var dWeight = Tensor(uninitialized: slot.shape)
        Convolution3x3Kernel.backwardWeight(
            dConvolved, input: normal.reshaped(dConvolved.shape), into: &dWeight, in: context.workspace)
        gradients.add(dWeight, at: slot)
    }

    private func convolve(_ x: Tensor, in context: PassContext) -> Tensor {
        let grid = gridShape(x)
        var y = Tensor(uninitialized: grid)
        Convolution3x3Kernel.forward(
            x.reshaped(grid), weight: convolution.matrix(in: context), bias: nil, into: &y, in: context.workspace)
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
