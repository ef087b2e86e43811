public import Kernels
public import Layers
public import Tensors

// Two transposed convolutions of 2 x 2 with stride 2, and LayerNorm2d and GELU between them:
//   y = W2 GELU(norm(W1 x))
// Each is a product per position, so the pixels stay in position order (see SubpixelKernel): [T, in] -> [16 T, out].

/// Fourfold upscaling of a grid of tokens: SAM's mask upscaling, and two branches of HQ-SAM's decoder.
public struct SubpixelUpscaling: Sendable {
    let first: TransposedConvolution2x2
    let norm: LayerNorm
    let second: TransposedConvolution2x2

    /// Requests the convolutions `0` and `3` and the norm `1` from a source.
    ///
    /// - Parameters:
    ///   - middle: Channels between the convolutions.
    public init(_ source: some ParameterSource, from inputs: Int, through middle: Int, to outputs: Int) {
        first = TransposedConvolution2x2(source.scoped("0"), from: inputs, to: middle)
        norm = LayerNorm(source.scoped("1"), width: middle, epsilon: 1e-6)
        second = TransposedConvolution2x2(source.scoped("3"), from: middle, to: outputs)
    }

    /// Its parameters.
    public var parameters: [Parameter] { first.parameters + norm.parameters + second.parameters }
    /// Channels of the result.
    public var outputs: Int { second.bias.count }

    /// The products of one pass.
    public struct Products {
        let first: SubpixelProduct
        let second: SubpixelProduct
    }

    /// The products of one pass, for all its grids.
    public func products(in context: PassContext) -> Products {
        Products(first: first.product(in: context), second: second.product(in: context))
    }

    /// activation(y) without residuals. // [T, in] -> [16 T, out]
    public func callAsFunction(
        _ x: Tensor, _ products: Products, activation: LinearKernel.Activation = .none, in context: PassContext
    ) -> Tensor {
        let workspace = context.workspace
        let normal = norm(Self.pixels(products.first(x, in: workspace), norm.width), in: context)
        var active = Tensor(uninitialized: normal.shape)
        GELUKernel.forward(normal, into: &active, in: workspace)
        return Self.pixels(products.second(active, activation: activation, in: workspace), outputs)
    }

    /// The tensors backward needs.
    public struct Residuals {
        let before: Tensor  // [4 T, middle]
        let normal: Tensor  // [4 T, middle]
        let statistics: LayerNorm.Residuals
        let active: Tensor  // [4 T, middle]
    }

    /// The result and its residuals. // [T, in] -> [16 T, out]
    public func forward(
        _ x: Tensor, _ products: Products, in context: PassContext
    ) -> (Tensor, Residuals) {
        let before = Self.pixels(products.first(x, in: context.workspace), norm.width)
        let (normal, statistics) = norm.forward(before, in: context)
        var active = Tensor(uninitialized: normal.shape)
        GELUKernel.forward(normal, into: &active, in: context.workspace)
        let y = Self.pixels(products.second(active, in: context.workspace), outputs)
        return (y, Residuals(before: before, normal: normal, statistics: statistics, active: active))
    }

    /// Adds the gradients of the trained parameters; returns that of the input unless it is not needed.
    ///
    /// - Parameters:
    ///   - dY: // [16 T, out]
    ///   - x: The input of forward. // [T, in]
    /// - Returns: // [T, in]
    public func backward(
        _ dY: Tensor, input x: Tensor, _ saved: Residuals, _ products: Products, inputNeeded: Bool = true,
        gradients: inout GradientBuffer, in context: PassContext
    ) -> Tensor? {
        let workspace = context.workspace
        second.backwardParameters(dY, input: saved.active, gradients: &gradients, in: context)
        var dActive = products.second.backwardInput(dY, in: workspace)
        GELUKernel.backward(&dActive, preActivation: saved.normal, in: workspace)
        norm.backwardParameters(dActive, input: saved.before, saved.statistics, gradients: &gradients, in: context)
        let dBefore = norm.backward(dActive, input: saved.before, saved.statistics, in: context)
        first.backwardParameters(dBefore, input: x, gradients: &gradients, in: context)
        return inputNeeded ? products.first.backwardInput(dBefore, in: workspace) : nil
    }

    private static func pixels(_ x: Tensor, _ channels: Int) -> Tensor {
        x.reshaped([x.count / channels, channels])
    }
}
