import Kernels
import SegmentAnything
import Tensors

/// The kernels of an encoder at the sizes of its stages.
struct KernelBenchmark {
    private let configuration: SegmentAnythingConfiguration
    private let workspace: Workspace

    init(_ configuration: SegmentAnythingConfiguration, _ workspace: Workspace) {
        (self.configuration, self.workspace) = (configuration, workspace)
    }

    var pieces: [Benchmark.Piece] {
        switch configuration.encoder {
        case .viT(let sizes):
            let tokens = sizes.gridSide * sizes.gridSide
            return linear(tokens: tokens, width: sizes.width, hidden: sizes.mlpRatio * sizes.width)
                + attention(
                    "windows of \(sizes.window)", heads: sizes.heads, width: sizes.width, grid: sizes.gridSide,
                    window: sizes.window, decomposed: true)
                + attention(
                    "whole grid", heads: sizes.heads, width: sizes.width, grid: sizes.gridSide, window: 0,
                    decomposed: true)
        case .tinyViT(let sizes):
            let grids = sizes.gridSides
            return (1..<4).flatMap { stage in
                let (width, grid) = (sizes.widths[stage], grids[stage])
                return linear(tokens: grid * grid, width: width, hidden: sizes.feedForwardRatio * width)
                    + depthwise(grid: grid, width: width)
                    + attention(
                        "\(width) wide, windows of \(sizes.windows[stage])", heads: sizes.heads[stage], width: width,
                        grid: grid, window: sizes.windows[stage], decomposed: false)
            } + depthwise(grid: grids[0], width: sizes.expansion * sizes.widths[0])
        }
    }

    private func noise(_ shape: Shape, _ purpose: String) -> Tensor {
        var generator = SeededGenerator(seed: 1, purpose: purpose)
        return Tensor((0..<shape.count).map { _ in Float(generator.uniform(-1, 1)) }, shape)
    }

    private func linear(tokens: Int, width: Int, hidden: Int) -> [Benchmark.Piece] {
        let x = noise([tokens, width], "x")
        let hiddenInput = noise([tokens, hidden], "hidden")
        let parts: [(String, Int, Int, LinearKernel.Activation)] = [
            ("qkv", width, 3 * width, .none), ("projection", width, width, .none),
            ("expand, GELU", width, hidden, .gelu), ("contract", hidden, width, .none),
        ]
        var pieces = parts.map { name, inputs, outputs, activation -> Benchmark.Piece in
            let (weight, bias) = (FrozenMatrix(noise([outputs, inputs], name)), noise([outputs], name + " bias"))
            var y = Tensor(uninitialized: [tokens, outputs])
            let input = inputs == width ? x : hiddenInput
            return .init("\(width) wide: \(name)", operations: 2 * Double(tokens * inputs * outputs)) {
                LinearKernel.forward(
                    input, weight: weight, bias: bias, activation: activation, into: &y, in: workspace)
            }
        }
        let (scale, shift) = (noise([width], "scale"), noise([width], "shift"))
        var normal = Tensor(uninitialized: x.shape)
        pieces.append(
            .init("\(width) wide: layer norm") {
                var nothing: Tensor?
                LayerNormKernel.forward(
                    x, scale: scale, shift: shift, epsilon: 1e-6, into: &normal, statistics: &nothing, in: workspace)
            })
        // Far from 0 the slope is 1, so that the gradient is unchanged by repeated rounds.
        let preActivation = Tensor(repeating: 6, hiddenInput.shape)
        var gradient = Tensor(hiddenInput.elements, hiddenInput.shape)
        pieces.append(
            .init("\(width) wide: GELU backward") {
                GELUKernel.backward(&gradient, preActivation: preActivation, in: workspace)
            })
        return pieces
    }

    private func depthwise(grid: Int, width: Int) -> [Benchmark.Piece] {
        let x = noise([grid, grid, width], "grid")
        let weight = DepthwiseConvolution3x3Kernel.pack(noise([width, 1, 3, 3], "depthwise"))
        let bias = noise([width], "depthwise bias")
        var y = Tensor(uninitialized: x.shape)
        return [
            .init("\(width) wide: depthwise 3x3 on \(grid) x \(grid)", operations: 18 * Double(grid * grid * width)) {
                DepthwiseConvolution3x3Kernel.forward(
                    x, weight: weight, bias: bias, stride: 1, activation: .none, into: &y, in: workspace)
            }
        ]
    }

    private func attention(
        _ name: String, heads: Int, width: Int, grid: Int, window: Int, decomposed: Bool
    ) -> [Benchmark.Piece] {
        let geometry = AttentionGeometry(
            heads: heads, headDimension: width / heads, height: grid, width: grid, window: window)
        let bias = bias(geometry, side: window == 0 ? grid : window, decomposed)
        let rows = grid * grid + (geometry.padRow == nil ? 0 : 1)
        let qkv = noise([rows, 3 * width], "qkv")
        var output = Tensor(uninitialized: [grid * grid, width])
        var logSumExp: Tensor? = Tensor(uninitialized: [geometry.groups * heads, geometry.queries])
        let dOutput = noise([grid * grid, width], "dOutput")
        var dQKV = Tensor(uninitialized: qkv.shape)
        var frozenPositions: AttentionBias.PositionGradients?
        let products = 2 * Double(geometry.groups * geometry.queries * geometry.keys * width)
        return [
            .init("attention forward, \(name)", operations: 2 * products) {
                AttentionKernel.forward(
                    qkv: qkv, geometry: geometry, bias: bias, into: &output, logSumExp: &logSumExp, in: workspace)
            },
            .init("attention backward, \(name)", operations: 5 * products) {
                AttentionKernel.backward(
                    dOutput: dOutput, output: output, logSumExp: logSumExp ?? Tensor(zeros: [0]), qkv: qkv,
                    geometry: geometry, bias: bias, into: &dQKV, positions: &frozenPositions, in: workspace)
            },
        ]
    }

    private func bias(_ geometry: AttentionGeometry, side: Int, _ decomposed: Bool) -> AttentionBias {
        if decomposed {
            return .decomposed(
                height: AttentionBias.reversedTable(noise([2 * side - 1, geometry.headDimension], "height")),
                width: AttentionBias.reversedTable(noise([2 * side - 1, geometry.headDimension], "width")),
                side: (side, side))
        }
        return .table(AttentionBias.paddedTable(noise([geometry.heads, geometry.queries, geometry.keys], "bias")))
    }
}
