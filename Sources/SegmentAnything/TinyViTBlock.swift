import Kernels
import Layers
import Tensors

/// A block of stages 1 to 3: windowed attention, a depthwise 3x3 convolution without activation, and a feed-forward
/// (`TinyViTBlock` in tiny_vit_sam.py).
struct TinyViTBlock: Sendable {
    let attention: WindowedAttention
    let convolution: TinyViTDepthwise
    let feedForward: FeedForward

    /// What backward needs; the convolution between the halves is linear and needs nothing.
    struct Residuals: Sendable {
        let attention: WindowedAttention.Residuals
        let feedForward: FeedForward.Residuals
    }

    /// Asks a source for the block's tensors.
    ///
    /// - Parameters:
    ///   - name: The block's name in the weight file, for its adapter site.
    ///   - side: Side of the token grid.
    init(
        _ source: some ParameterSource, name: String, siteIndex: Int, width: Int, heads: Int, window: Int, side: Int,
        feedForwardRatio: Int
    ) {
        let attention = source.scoped("attn")
        let geometry = AttentionGeometry(
            heads: heads, headDimension: width / heads, height: side, width: side, window: window)
        let qkv = Linear(attention.scoped("qkv"), in: width, out: 3 * width)
        self.attention = WindowedAttention(
            norm: LayerNorm(attention.scoped("norm"), width: width, epsilon: 1e-5),
            qkv: Self.sideBySide(qkv, heads: heads),
            projection: Linear(attention.scoped("proj"), in: width, out: width), geometry: geometry,
            bias: Self.bias(
                attention.tensor("attention_biases", [heads, window * window]), heads: heads, window: window),
            padding: .beforeNorm,
            site: AdapterSite(index: siteIndex, name: name + ".attn.qkv", inputWidth: width, outputWidth: width))
        convolution = TinyViTDepthwise(source, "local_conv", width: width, stride: 1, side: side)
        let mlp = source.scoped("mlp")
        feedForward = FeedForward(
            norm: LayerNorm(mlp.scoped("norm"), width: width, epsilon: 1e-5),
            expand: Linear(mlp.scoped("fc1"), in: width, out: feedForwardRatio * width),
            contract: Linear(mlp.scoped("fc2"), in: feedForwardRatio * width, out: width))
    }

    /// The block with nothing kept. // [T, D] -> [T, D]
    func callAsFunction(_ x: Tensor, adapter: (any ProjectionAdapter)?, in workspace: Workspace) -> Tensor {
        let attended = attention(x, adapter: adapter, in: workspace)
        return feedForward(convolution(attended, activation: .none, in: workspace), in: workspace)
    }

    /// The block and what it keeps. // [T, D] -> [T, D]
    func forward(
        _ x: Tensor, adapter: any ProjectionAdapter, recompute: RecomputeLevel, in workspace: Workspace
    ) -> (Tensor, KeptBlock<Residuals>) {
        if recompute == .blocks { return (self(x, adapter: adapter, in: workspace), .input(x)) }
        let (attended, attentionSaved) = attention.forward(x, adapter: adapter, in: workspace)
        let mixed = convolution(attended, activation: .none, in: workspace)
        let (y, feedForwardSaved) = feedForward.forward(mixed, recompute: recompute, in: workspace)
        return (y, .residuals(Residuals(attention: attentionSaved, feedForward: feedForwardSaved)))
    }

    /// The gradient of the input, or nil when `inputNeeded` is false (the lowest adapted block).
    func backward(
        _ dY: Tensor, _ kept: KeptBlock<Residuals>, adapter: any ProjectionAdapter, gradients: inout GradientBuffer,
        inputNeeded: Bool, in workspace: Workspace
    ) -> Tensor? {
        let saved = residuals(kept, adapter: adapter, in: workspace)
        let dMixed = feedForward.backward(dY, saved.feedForward, in: workspace)
        let dAttended = convolution.backwardInput(dMixed, in: workspace)
        return attention.backward(
            dAttended, saved.attention, adapter: adapter, gradients: &gradients, inputNeeded: inputNeeded,
            in: workspace)
    }

    private func residuals(
        _ kept: KeptBlock<Residuals>, adapter: any ProjectionAdapter, in workspace: Workspace
    ) -> Residuals {
        switch kept {
        case .residuals(let residuals): return residuals
        case .input(let x):
            let (attended, saved) = attention.forward(x, adapter: adapter, in: workspace)
            let mixed = convolution(attended, activation: .none, in: workspace)
            return Residuals(attention: saved, feedForward: FeedForward.Residuals(x: mixed))
        }
    }

    /// The projection with its rows reordered from [head][q | k | v] (TinyViT's weight files) to [q | k | v][head].
    private static func sideBySide(_ qkv: Linear, heads: Int) -> Linear {
        guard let bias = qkv.bias else { return qkv }
        let (inputs, width) = (qkv.inputs, qkv.outputs / 3)
        let headWidth = width / heads
        var (weight, shift) = (Tensor(uninitialized: qkv.weight.shape), Tensor(uninitialized: bias.shape))
        let (rows, numbers) = (weight.mutablePointer, shift.mutablePointer)
        for head in 0..<heads {
            for part in 0..<3 {
                let (from, to) = ((head * 3 + part) * headWidth, part * width + head * headWidth)
                (rows + to * inputs).update(from: qkv.weight.pointer + from * inputs, count: headWidth * inputs)
                (numbers + to).update(from: bias.pointer + from, count: headWidth)
            }
        }
        return Linear(weight: weight, bias: shift)
    }

    /// The learned bias of each pair of window positions: it depends on (|dy|, |dx|), which the weight file numbers
    /// |dy| * window + |dx|.
    private static func bias(_ values: Tensor, heads: Int, window: Int) -> AttentionBias {
        let count = window * window
        var table = Tensor(uninitialized: [heads, count, count])
        let (source, destination) = (values.pointer, table.mutablePointer)
        for head in 0..<heads {
            for query in 0..<count {
                let row = destination + (head * count + query) * count
                for key in 0..<count {
                    let down = abs(query / window - key / window)
                    let across = abs(query % window - key % window)
                    row[key] = source[head * count + down * window + across]
                }
            }
        }
        return .table(padding: table)
    }
}
