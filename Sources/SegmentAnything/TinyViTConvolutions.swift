import Kernels
import Layers
import Tensors

extension ParameterSource {
    /// A 1x1 convolution with its batch norm folded in (names `c.weight`, `bn.weight`, ...).
    func foldedPointwise(_ name: String, in inputs: Int, out outputs: Int) -> Linear {
        let (weight, bias) = foldedConvolution(name, [outputs, inputs, 1, 1], packed: [outputs, inputs]) { $0 }
        return Linear(weight: weight, bias: bias)
    }

    /// A convolution without bias and the batch norm after it (epsilon 1e-5), as one convolution with bias.
    ///
    /// - Parameters:
    ///   - shape: Of the stored weight, output channel first.
    ///   - packed: Of the folded weight after `pack`.
    func foldedConvolution(
        _ name: String, _ shape: Shape, packed: Shape, _ pack: (Tensor) -> Tensor
    ) -> (weight: Tensor, bias: Tensor) {
        let layer = scoped(name)
        return (
            layer.derived("folded_weight", packed) { pack(Self.fold(layer, shape).weight) },
            layer.derived("folded_bias", [shape[0]]) { Self.fold(layer, shape).bias }
        )
    }

    private static func fold(_ layer: ScopedParameterSource, _ shape: Shape) -> (weight: Tensor, bias: Tensor) {
        let weight = layer.tensor("c.weight", shape)
        let norm = BatchNormFolding.Statistics(
            scale: layer.tensor("bn.weight", [shape[0]]), shift: layer.tensor("bn.bias", [shape[0]]),
            mean: layer.tensor("bn.running_mean", [shape[0]]), variance: layer.tensor("bn.running_var", [shape[0]]))
        return BatchNormFolding.fold(norm, into: weight, bias: nil)
    }
}

/// A depthwise 3x3 convolution with its batch norm folded in, over a square grid of tokens.
struct TinyViTDepthwise: Sendable {
    /// From `DepthwiseConvolution3x3Kernel.pack`. // [9, C]
    let weight: Tensor
    let bias: Tensor  // [C]
    let stride: Int
    /// Side of the input grid.
    let side: Int

    init(_ source: some ParameterSource, _ name: String, width: Int, stride: Int, side: Int) {
        (weight, bias) = source.foldedConvolution(
            name, [width, 1, 3, 3], packed: [9, width], DepthwiseConvolution3x3Kernel.pack)
        (self.stride, self.side) = (stride, side)
    }

    private var width: Int { bias.count }
    private var inputGrid: Shape { [side, side, width] }
    private var outputGrid: Shape {
        let outputSide = DepthwiseConvolution3x3Kernel.outputExtent(side, stride: stride)
        return [outputSide, outputSide, width]
    }

    /// activation(conv(x) + b). // [side^2, C] -> [side'^2, C]
    func callAsFunction(_ x: Tensor, activation: LinearKernel.Activation, in context: PassContext) -> Tensor {
        var y = Tensor(uninitialized: outputGrid)
        DepthwiseConvolution3x3Kernel.forward(
            x.reshaped(inputGrid), weight: weight, bias: bias, stride: stride, activation: activation, into: &y,
            in: context.workspace)
        return y.reshaped([y.count / width, width])
    }

    /// h = conv(x) + b and GELU(h).
    func forwardKeepingPreActivation(_ x: Tensor, in context: PassContext) -> (y: Tensor, preActivation: Tensor) {
        var y = Tensor(uninitialized: outputGrid)
        var preActivation = Tensor(uninitialized: outputGrid)
        DepthwiseConvolution3x3Kernel.forwardKeepingPreActivation(
            x.reshaped(inputGrid), weight: weight, bias: bias, stride: stride, preActivation: &preActivation, into: &y,
            in: context.workspace)
        return (y.reshaped([y.count / width, width]), preActivation)
    }

    /// dX from the gradient at conv(x) + b. // [side'^2, C] -> [side^2, C]
    func backwardInput(_ dY: Tensor, in context: PassContext) -> Tensor {
        var dX = Tensor(uninitialized: inputGrid)
        DepthwiseConvolution3x3Kernel.backwardInput(
            dY.reshaped(outputGrid), weight: weight, stride: stride, into: &dX, in: context.workspace)
        return dX.reshaped([side * side, width])
    }
}

/// Pixels to the tokens of stage 0: two convolutions with a GELU between (`PatchEmbed` in tiny_vit_sam.py).
///
/// Runs forward only: no adapter is below it.
enum TinyViTPatchEmbedding: Sendable {
    case pointwise(Linear, Linear)
    /// // [C/2, 27], [C, 9 C/2]
    case strided(first: Convolution, second: Convolution)

    /// A weight from `Convolution3x3Kernel.pack` and its bias.
    struct Convolution: Sendable {
        let weight: FrozenMatrix
        let bias: Tensor

        init(_ folded: (weight: Tensor, bias: Tensor)) {
            (weight, bias) = (FrozenMatrix(folded.weight), folded.bias)
        }
    }

    init(_ source: some ParameterSource, _ configuration: TinyViTConfiguration) {
        let layers = source.scoped("patch_embed.seq")
        let width = configuration.widths[0]
        switch configuration.patchEmbedding {
        case .pointwise:
            self = .pointwise(
                layers.foldedPointwise("0", in: 3, out: width / 2),
                layers.foldedPointwise("2", in: width / 2, out: width))
        case .strided:
            let half = width / 2
            self = .strided(
                first: Convolution(
                    layers.foldedConvolution(
                        "0", [half, 3, 3, 3], packed: [half, 27], Convolution3x3Kernel.pack)),
                second: Convolution(
                    layers.foldedConvolution(
                        "2", [width, half, 3, 3], packed: [width, 9 * half], Convolution3x3Kernel.pack)))
        }
    }

    /// [S, S, 3] -> [side^2, C]
    func callAsFunction(_ image: Tensor, in context: PassContext) -> Tensor {
        switch self {
        case .pointwise(let first, let second):
            return second(first(image, activation: .gelu, in: context), in: context)
        case .strided(let first, let second):
            let hidden = Self.halve(image, first, .gelu, context)
            let tokens = Self.halve(hidden, second, .none, context)
            return tokens.reshaped([tokens.shape[0] * tokens.shape[1], tokens.shape[2]])
        }
    }

    private static func halve(
        _ x: Tensor, _ convolution: Convolution, _ activation: LinearKernel.Activation, _ context: PassContext
    ) -> Tensor {
        let side = Convolution3x3Kernel.outputExtent(x.shape[0], stride: 2)
        var y = Tensor(uninitialized: [side, side, convolution.bias.count])
        Convolution3x3Kernel.forward(
            x, weight: convolution.weight, bias: convolution.bias, stride: 2, activation: activation, into: &y,
            in: context.workspace)
        return y
    }
}

/// A block of stage 0: GELU(x + contract(GELU(depthwise(GELU(expand(x)))))) (`MBConv` in tiny_vit_sam.py).
///
/// Runs forward only: no adapter is below it.
struct TinyViTInvertedBottleneck: Sendable {
    let expand: Linear
    let depthwise: TinyViTDepthwise
    let contract: Linear

    init(_ source: some ParameterSource, width: Int, expansion: Int, side: Int) {
        expand = source.foldedPointwise("conv1", in: width, out: expansion * width)
        depthwise = TinyViTDepthwise(source, "conv2", width: expansion * width, stride: 1, side: side)
        contract = source.foldedPointwise("conv3", in: expansion * width, out: width)
    }

    /// [T, C] -> [T, C]
    func callAsFunction(_ x: Tensor, in context: PassContext) -> Tensor {
        let wide = expand(x, activation: .gelu, in: context)
        let mixed = depthwise(wide, activation: .gelu, in: context)
        let sum = contract(mixed, residual: x, in: context)
        var y = Tensor(uninitialized: sum.shape)
        GELUKernel.forward(sum, into: &y, in: context.workspace)
        return y
    }
}

/// The layer between two stages: conv3(GELU(depthwise(GELU(conv1(x))))), the depthwise one with the stride
/// (`PatchMerging` in tiny_vit_sam.py).
struct TinyViTPatchMerging: Sendable {
    let expand: Linear
    let depthwise: TinyViTDepthwise
    let project: Linear

    /// The tensors backward needs: C' floats per input token and C' per output token.
    struct Residuals: Sendable {
        let expanded: Tensor  // [T, C']
        let mixed: Tensor  // [T', C']
    }

    init(_ source: some ParameterSource, in inputs: Int, out outputs: Int, stride: Int, side: Int) {
        expand = source.foldedPointwise("conv1", in: inputs, out: outputs)
        depthwise = TinyViTDepthwise(source, "conv2", width: outputs, stride: stride, side: side)
        project = source.foldedPointwise("conv3", in: outputs, out: outputs)
    }

    /// The merged tokens without residuals. // [T, C] -> [T', C']
    func callAsFunction(_ x: Tensor, in context: PassContext) -> Tensor {
        let wide = expand(x, activation: .gelu, in: context)
        return project(depthwise(wide, activation: .gelu, in: context), in: context)
    }

    /// The merged tokens and their residuals. // [T, C] -> [T', C']
    func forward(_ x: Tensor, in context: PassContext) -> (Tensor, Residuals) {
        let (wide, expanded) = expand.forwardKeepingPreActivation(x, in: context)
        let (mixed, mixedPreActivation) = depthwise.forwardKeepingPreActivation(wide, in: context)
        return (project(mixed, in: context), Residuals(expanded: expanded, mixed: mixedPreActivation))
    }

    /// dX = conv1'(GELU'(depthwise'(GELU'(conv3'(dY))))). // [T', C'] -> [T, C]
    func backward(_ dY: Tensor, _ saved: Residuals, in context: PassContext) -> Tensor {
        var dMixed = project.backwardInput(dY, in: context)
        GELUKernel.backward(&dMixed, preActivation: saved.mixed, in: context.workspace)
        var dExpanded = depthwise.backwardInput(dMixed, in: context)
        GELUKernel.backward(&dExpanded, preActivation: saved.expanded, in: context.workspace)
        return expand.backwardInput(dExpanded, in: context)
    }
}
