public import Layers
public import Tensors

/// One LoRA pair and its place in the flat parameter vector.
public struct LoRAEntry: Sendable, Equatable {
    /// Name in adapter files, as in `image_encoder.blocks.0.attn.qkv.linear_a_q.weight`.
    public let name: String
    /// [r, D] for A, [N, r] for B.
    public let shape: Shape
    /// First number in the flat vector.
    public let offset: Int
}

/// Which numbers train: rank-r pairs on q and v of every adapter site, in the order the released WeSAM code creates
/// them (sites from the input upwards; per site q-A, q-B, v-A, v-B).
public struct LoRALayout: Sendable, Equatable {
    /// Rank r of every pair.
    public let rank: Int
    /// The sites, from the input upwards.
    public let sites: [AdapterSite]
    /// Four entries per site.
    public let entries: [LoRAEntry]
    /// All trainable numbers.
    public let count: Int

    /// Lays out pairs of one rank for an encoder's sites.
    public init(sites: [AdapterSite], rank: Int) {
        precondition(rank > 0, "LoRA needs a positive rank")
        (self.sites, self.rank) = (sites, rank)
        var entries: [LoRAEntry] = []
        var offset = 0
        for site in sites {
            for (matrix, shape) in [
                ("a_q", Shape([rank, site.inputWidth])), ("b_q", Shape([site.outputWidth, rank])),
                ("a_v", Shape([rank, site.inputWidth])), ("b_v", Shape([site.outputWidth, rank])),
            ] {
                entries.append(LoRAEntry(name: "\(site.name).linear_\(matrix).weight", shape: shape, offset: offset))
                offset += shape.count
            }
        }
        (self.entries, count) = (entries, offset)
    }

    /// The four entries of a site: A and B of q, A and B of v.
    func pairs(of site: Int) -> (q: (down: LoRAEntry, up: LoRAEntry), v: (down: LoRAEntry, up: LoRAEntry)) {
        let first = 4 * site
        return ((entries[first], entries[first + 1]), (entries[first + 2], entries[first + 3]))
    }
}
