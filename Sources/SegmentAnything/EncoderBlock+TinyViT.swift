import Kernels
import Layers
import Tensors

extension EncoderBlock {
    /// A block of TinyViT's stages 1 to 3, with tensors requested from a source.
    ///
    /// - Parameters:
    ///   - site: The block's name in the weight file, its index, width and grid.
    init(tinyViT source: some ParameterSource, site: BlockSite, heads: Int, window: Int, feedForwardRatio: Int) {
        let (width, side) = (site.width, site.side)
        self.site = site
        let attention = source.scoped("attn")
        let geometry = AttentionGeometry(
            heads: heads, headDimension: width / heads, height: side, width: side, window: window)
        self.attention = WindowedAttention(
            norm: LayerNorm(attention.scoped("norm"), width: width, epsilon: 1e-5),
            qkv: Self.sideBySide(attention.scoped("qkv"), width: width, heads: heads),
            projection: Linear(attention.scoped("proj"), in: width, out: width), geometry: geometry,
            bias: .table(
                attention.derived(
                    "attention_bias_table", [heads, window * window, AttentionBias.paddedKeys(window * window)]
                ) {
                    let biases = attention.tensor("attention_biases", [heads, window * window])
                    return AttentionBias.paddedTable(Self.table(biases, heads: heads, window: window))
                }),
            padding: .beforeNorm,
            site: ProjectionSite(
                index: site.index, name: site.name + ".attn.qkv", inputWidth: width, outputWidth: width,
                storedOrder: .byHead(heads: heads)))
        convolution = TinyViTDepthwise(source, "local_conv", width: width, stride: 1, side: side)
        let mlp = source.scoped("mlp")
        feedForward = FeedForward(
            norm: LayerNorm(mlp.scoped("norm"), width: width, epsilon: 1e-5),
            expand: Linear(mlp.scoped("fc1"), in: width, out: feedForwardRatio * width),
            contract: Linear(mlp.scoped("fc2"), in: feedForwardRatio * width, out: width))
    }

    /// The projection with its rows reordered from [head][q | k | v] (TinyViT's weight files) to [q | k | v][head].
    private static func sideBySide(_ source: ScopedParameterSource, width: Int, heads: Int) -> Linear {
        func reordered(_ name: String, _ shape: Shape) -> Tensor {
            source.derived(name + "_side_by_side", shape) {
                let stored = source.tensor(name, shape)
                let run = stored.count / (3 * heads)
                var tensor = Tensor(uninitialized: shape)
                let (from, to) = (stored.pointer, tensor.mutablePointer)
                for head in 0..<heads {
                    for part in 0..<3 {
                        (to + (part * heads + head) * run).update(from: from + (head * 3 + part) * run, count: run)
                    }
                }
                return tensor
            }
        }
        return Linear(weight: reordered("weight", [3 * width, width]), bias: reordered("bias", [3 * width]))
    }

    /// The learned bias of each pair of window positions: it depends on (|dy|, |dx|), which the weight file numbers
    /// |dy| * window + |dx|.
    private static func table(_ values: Tensor, heads: Int, window: Int) -> Tensor {
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
        return table
    }
}
