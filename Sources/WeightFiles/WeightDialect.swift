/// The naming schemes under which the weights of one model are published.
///
/// To add a dialect: a table like the one in `HuggingFaceNames`, and its mark in `detect`. LoRA adapter files (PEFT,
/// Sam_LoRA, micro-sam) hold no base weights and belong in `Adapters`.
public enum WeightDialect: String, Sendable, Equatable {
    /// The names of the official SAM checkpoints (facebookresearch/segment-anything).
    case segmentAnything
    /// The names of `SamModel` in Hugging Face transformers (`facebook/sam-vit-base` and its sisters).
    case huggingFace
    /// The names of MobileSAM and LiteMedSAM: a TinyViT image encoder beside SAM's own prompt encoder and mask decoder.
    case tinyViT
}

/// The model to which the tensors of a table belong, as far as names and shapes show it.
public struct WeightIdentity: Sendable, Equatable, CustomStringConvertible {
    /// The family of the names.
    public let dialect: WeightDialect
    /// The image encoder, which distinguishes models.
    public let encoder: EncoderSignature

    /// Creates an identity.
    public init(dialect: WeightDialect, encoder: EncoderSignature) {
        self.dialect = dialect
        self.encoder = encoder
    }

    /// As in `a ViT of width 768 and depth 12 (segmentAnything names)`.
    public var description: String { "\(encoder) (\(dialect.rawValue) names)" }
}

/// An image encoder as far as tensor shapes determine it; `ModelCatalog` knows which published model has it.
public enum EncoderSignature: Sendable, Equatable, CustomStringConvertible {
    /// A plain ViT of these sizes.
    case viT(VisionTransformerSizes)
    /// A TinyViT whose patch embedding has convolutions of this side: 1 keeps the resolution, 3 has stride 2.
    case tinyViT(patchKernel: Int)

    /// As in `a ViT of width 768 and depth 12`.
    public var description: String {
        switch self {
        case .viT(let sizes): "a ViT of width \(sizes.width) and depth \(sizes.depth)"
        case .tinyViT(let kernel): "a TinyViT with \(kernel)x\(kernel) convolutions as patch embedding"
        }
    }
}

/// The sizes of a plain ViT image encoder, as far as shapes determine them.
public struct VisionTransformerSizes: Sendable, Equatable {
    /// Embedding width D.
    public let width: Int
    /// The number of blocks.
    public let depth: Int
    /// The tokens along each side of the image.
    public let gridSide: Int
    /// The side of a patch in pixels; image side = gridSide * patchSide.
    public let patchSide: Int
    /// The attention heads: width / width of the relative position tables; nil without such tables.
    public let heads: Int?
    /// The blocks with global attention, counted from 0: those whose relative position tables have 2 * gridSide - 1 rows.
    public let globalBlocks: [Int]
    /// The side of the attention windows of the other blocks, in tokens; nil if all are global.
    public let windowSide: Int?
    /// The channels of the image embedding.
    public let outputChannels: Int
}

extension WeightDialect {
    /// Finds dialect and encoder by names and shapes. Throws `dialect` if the table is of no known kind.
    public static func detect(_ table: TensorTable) throws(WeightFileError) -> WeightIdentity {
        if let convolution = table["image_encoder.patch_embed.seq.0.c.weight"] {
            // The published TinyViT models differ only in the kernels of the patch embedding (and MobileSAM's unused
            // classification head): LiteMedSAM keeps the resolution of its small images.
            switch convolution.shape.suffix(2) {
            case [1, 1]: return WeightIdentity(dialect: .tinyViT, encoder: .tinyViT(patchKernel: 1))
            case [3, 3]: return WeightIdentity(dialect: .tinyViT, encoder: .tinyViT(patchKernel: 3))
            default: throw unknown(table, "a TinyViT whose patch embedding has shape \(convolution.shape)")
            }
        }
        let dialect: WeightDialect
        if table["image_encoder.pos_embed"] != nil {
            dialect = .segmentAnything
        } else if table["vision_encoder.pos_embed"] != nil {
            dialect = .huggingFace
        } else {
            throw unknown(table, "neither image_encoder.pos_embed nor vision_encoder.pos_embed nor a TinyViT")
        }
        return WeightIdentity(dialect: dialect, encoder: .viT(try sizes(of: table, dialect)))
    }

    /// The table under the names of the official SAM checkpoints; TinyViT files, which use them already except for the
    /// encoder, are returned unchanged. Throws `dialect`, `nameCollision`, `tiedTensors`.
    public static func officialNames(_ table: TensorTable) throws(WeightFileError) -> TensorTable {
        switch try detect(table).dialect {
        case .segmentAnything, .tinyViT: table
        case .huggingFace: try HuggingFaceNames.officialTable(table)
        }
    }

    /// Derives the encoder's sizes from its shapes.
    private static func sizes(
        of table: TensorTable, _ dialect: WeightDialect
    ) throws(WeightFileError) -> VisionTransformerSizes {
        let isOfficial = dialect == .segmentAnything
        let encoder = isOfficial ? "image_encoder." : "vision_encoder."
        let blocks = encoder + (isOfficial ? "blocks." : "layers.")
        let patches = encoder + (isOfficial ? "patch_embed.proj.weight" : "patch_embed.projection.weight")
        let neck = encoder + (isOfficial ? "neck.0.weight" : "neck.conv1.weight")
        guard let position = table[encoder + "pos_embed"]?.shape, position.count == 4, position[1] == position[2],
            let patch = table[patches]?.shape, patch.count == 4, let output = table[neck]?.shape.first
        else { throw unknown(table, "a ViT without patch embedding or neck, or with a position table of odd shape") }
        let numbers = table.names.compactMap { name -> Int? in
            guard name.hasPrefix(blocks) else { return nil }
            return Int(name.dropFirst(blocks.count).prefix { $0 != "." })
        }
        let depth = Set(numbers).count
        guard (numbers.min() ?? 0) == 0, (numbers.max() ?? -1) == depth - 1 else {
            throw unknown(table, "a ViT whose block numbers have gaps")
        }
        var heads: Int?
        var globalBlocks: [Int] = []
        var windowSide: Int?
        for block in 0..<depth {
            let relative = table["\(blocks)\(block).attn.rel_pos_h"]?.shape
            if let relative, relative.count == 2, relative[1] > 0 { heads = position[3] / relative[1] }
            if let rows = relative?.first, rows != 2 * position[1] - 1 {
                windowSide = (rows + 1) / 2
            } else {
                globalBlocks.append(block)
            }
        }
        return VisionTransformerSizes(
            width: position[3], depth: depth, gridSide: position[1], patchSide: patch[3], heads: heads,
            globalBlocks: globalBlocks, windowSide: windowSide, outputChannels: output)
    }

    private static func unknown(_ table: TensorTable, _ found: String) -> WeightFileError {
        let sample = table.names.prefix(3).joined(separator: ", ")
        return WeightFileError(
            .dialect, path: table.path, found: "\(found), among \(table.entries.count) tensors such as \(sample)",
            remedy: "give a Segment Anything model under the names of SAM, of Hugging Face or of MobileSAM")
    }
}
