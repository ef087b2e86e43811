import Kernels
import Layers
import Tensors

extension EncoderBlock {
    /// A block of TinyViT's stages 1 to 3; asks a source for its tensors.
    ///
    /// - Parameters:
    ///   - name: The block's name in the weight file, for its adapter site.
    ///   - side: Side of the token grid.
    init(
        tinyViT source: some ParameterSource, name: String, siteIndex: Int, width: Int, heads: Int, window: Int,
        side: Int,
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
