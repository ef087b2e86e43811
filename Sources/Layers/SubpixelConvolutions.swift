public import Kernels
public import Tensors

// A 2x2 convolution of stride 2, in either direction, is a product per position (see SubpixelKernel):
//   transposed   y[t, (a, b, o)] = sum_c x[t, c] W[c, o, a, b] + b[o]        product [(a, b, o), c], bias repeated 4 times
//   strided      y[t, o] = sum_{a, b, c} x[t, (a, b, c)] W[o, c, a, b] + b[o]   product [o, (a, b, c)]
// The frozen matrix is built once per node; a trained one is rebuilt for every pass, at negligible cost compared with
// the product. The matrix's gradient is converted back to the stored order.

/// A 2x2 convolution as a matrix product, for one pass.
public struct SubpixelProduct: Sendable {
    let matrix: FrozenMatrix
    let bias: Tensor

    /// activation(x W^T + b). // [T, in] -> [T, out]
    public func callAsFunction(
        _ x: Tensor, activation: LinearKernel.Activation = .none, in workspace: Workspace
    ) -> Tensor {
        var y = Tensor(uninitialized: [x.count / matrix.columns, matrix.rows])
        LinearKernel.forward(x, weight: matrix, bias: bias, activation: activation, into: &y, in: workspace)
        return y
    }

    /// dX = dY W. // [T, out] -> [T, in]
    public func backwardInput(_ dY: Tensor, in workspace: Workspace) -> Tensor {
        matrix.pulledBack(dY, in: workspace)
    }
}

/// A transposed convolution of kernel and stride 2 (torch.nn.ConvTranspose2d): rows of positions to rows of 2x2 pixels.
public struct TransposedConvolution2x2: Sendable {
    /// // [in, out, 2, 2]
    public let weight: Parameter
    /// // [out]
    public let bias: Parameter
    private let frozen: SubpixelProduct

    /// Requests `weight` and `bias` from a source.
    public init(_ source: some ParameterSource, from inputs: Int, to outputs: Int) {
        let weight = source.parameter("weight", [inputs, outputs, 2, 2])
        let bias = source.parameter("bias", [outputs])
        (self.weight, self.bias) = (weight, bias)
        frozen = SubpixelProduct(
            matrix: FrozenMatrix(source.derived("product", [4 * outputs, inputs]) { Self.product(weight.frozen) }),
            bias: source.derived("repeated_bias", [4 * outputs]) { Self.repeated(bias.frozen) })
    }

    /// Its parameters.
    public var parameters: [Parameter] { [weight, bias] }

    /// The product for a pass. // [4 out, in]
    public func product(in context: PassContext) -> SubpixelProduct {
        guard context.trains(any: parameters) else { return frozen }
        return SubpixelProduct(
            matrix: FrozenMatrix(Self.product(context.value(of: weight))),
            bias: Self.repeated(context.value(of: bias)))
    }

    /// Adds dW and db if they train. // dY [T, 4 out], x [T, in]
    public func backwardParameters(
        _ dY: Tensor, input x: Tensor, gradients: inout GradientBuffer, in context: PassContext
    ) {
        let (inputs, outputs) = (weight.shape[0], weight.shape[1])
        if let slot = context.slot(of: weight) {
            var dProduct = Tensor(uninitialized: [4 * outputs, inputs])
            LinearKernel.backwardWeight(dY, input: x, into: &dProduct, in: context.workspace)
            gradients.add(Self.stored(dProduct, inputs: inputs, outputs: outputs), at: slot)
        }
        if let slot = context.slot(of: bias) {
            var repeated = Tensor(uninitialized: [4 * outputs])
            LinearKernel.backwardBias(dY, into: &repeated, in: context.workspace)
            let parts = repeated.elements
            let sums = (0..<outputs).map { o in
                parts[o] + parts[outputs + o] + parts[2 * outputs + o] + parts[3 * outputs + o]
            }
            gradients.add(Tensor(sums, [outputs]), at: slot)
        }
    }

    /// [in, out, 2, 2] -> [(a, b, out), in]
    private static func product(_ stored: Tensor) -> Tensor {
        let (inputs, outputs) = (stored.shape[0], stored.shape[1])
        var product = Tensor(uninitialized: [4 * outputs, inputs])
        let (from, to) = (stored.pointer, product.mutablePointer)
        for input in 0..<inputs {
            for output in 0..<outputs {
                for part in 0..<4 {
                    to[(part * outputs + output) * inputs + input] = from[(input * outputs + output) * 4 + part]
                }
            }
        }
        return product
    }

    /// The inverse of `product`.
    private static func stored(_ product: Tensor, inputs: Int, outputs: Int) -> Tensor {
        var stored = Tensor(uninitialized: [inputs, outputs, 2, 2])
        let (from, to) = (product.pointer, stored.mutablePointer)
        for input in 0..<inputs {
            for output in 0..<outputs {
                for part in 0..<4 {
                    to[(input * outputs + output) * 4 + part] = from[(part * outputs + output) * inputs + input]
                }
            }
        }
        return stored
    }

    private static func repeated(_ bias: Tensor) -> Tensor {
        Tensor((0..<4).flatMap { _ in bias.elements }, [4 * bias.count])
    }
}

/// A convolution of kernel and stride 2 (torch.nn.Conv2d): rows of 2x2 pixels to rows of positions.
public struct StridedConvolution2x2: Sendable {
    /// // [out, in, 2, 2]
    public let weight: Parameter
    /// // [out]
    public let bias: Parameter
    private let frozen: FrozenMatrix

    /// Requests `weight` and `bias` from a source.
    public init(_ source: some ParameterSource, from inputs: Int, to outputs: Int) {
        let weight = source.parameter("weight", [outputs, inputs, 2, 2])
        (self.weight, bias) = (weight, source.parameter("bias", [outputs]))
        frozen = FrozenMatrix(source.derived("product", [outputs, 4 * inputs]) { Self.product(weight.frozen) })
    }

    /// Its parameters.
    public var parameters: [Parameter] { [weight, bias] }

    /// The product for a pass. // [out, 4 in]
    public func product(in context: PassContext) -> SubpixelProduct {
        SubpixelProduct(
            matrix: context.trains(weight) ? FrozenMatrix(Self.product(context.value(of: weight))) : frozen,
            bias: context.value(of: bias))
    }

    /// Adds dW and db if they train. // dY [T, out], x [T, 4 in]
    public func backwardParameters(
        _ dY: Tensor, input x: Tensor, gradients: inout GradientBuffer, in context: PassContext
    ) {
        let (outputs, inputs) = (weight.shape[0], weight.shape[1])
        if let slot = context.slot(of: weight) {
            var dProduct = Tensor(uninitialized: [outputs, 4 * inputs])
            LinearKernel.backwardWeight(dY, input: x, into: &dProduct, in: context.workspace)
            gradients.add(Self.stored(dProduct, inputs: inputs, outputs: outputs), at: slot)
        }
        if let slot = context.slot(of: bias) {
            var dBias = Tensor(uninitialized: [outputs])
            LinearKernel.backwardBias(dY, into: &dBias, in: context.workspace)
            gradients.add(dBias, at: slot)
        }
    }

    /// [out, in, 2, 2] -> [out, (a, b, in)]
    private static func product(_ stored: Tensor) -> Tensor {
        let (outputs, inputs) = (stored.shape[0], stored.shape[1])
        var product = Tensor(uninitialized: [outputs, 4 * inputs])
        let (from, to) = (stored.pointer, product.mutablePointer)
        for output in 0..<outputs {
            for input in 0..<inputs {
                for part in 0..<4 {
                    to[(output * 4 + part) * inputs + input] = from[(output * inputs + input) * 4 + part]
                }
            }
        }
        return product
    }

    /// The inverse of `product`.
    private static func stored(_ product: Tensor, inputs: Int, outputs: Int) -> Tensor {
        var stored = Tensor(uninitialized: [outputs, inputs, 2, 2])
        let (from, to) = (product.pointer, stored.mutablePointer)
        for output in 0..<outputs {
            for input in 0..<inputs {
                for part in 0..<4 {
                    to[(output * inputs + input) * 4 + part] = from[(output * 4 + part) * inputs + input]
                }
            }
        }
        return stored
    }
}
