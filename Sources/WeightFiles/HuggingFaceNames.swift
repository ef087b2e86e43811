import Tensors

/// The mapping between official names and those of Hugging Face's `SamModel`.
///
/// Each rule matches a whole name (never a part, never in several passes: the official `layers.1` of a small perceptron
/// is `layers.0` in transformers). `#` stands for a number, `@` for `weight` or `bias`, the same on both sides.
/// Source: `convert_sam_to_hf.py` of transformers, checked over all tensors of ViT-B, -L and -H.
public enum HuggingFaceNames {
    /// The second copy of the Gaussian matrix that transformers keeps; it is tied to `sharedMatrix`.
    static let imageMatrix = "shared_image_embedding.positional_embedding"
    static let sharedMatrix = "prompt_encoder.shared_embedding.positional_embedding"
    static let officialMatrix = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"

    /// (official, Hugging Face)
    static let rules: [(official: String, huggingFace: String)] =
        encoderRules + promptRules + attentionRules + decoderRules

    private static let encoderRules: [(official: String, huggingFace: String)] = [
        ("image_encoder.pos_embed", "vision_encoder.pos_embed"),
        ("image_encoder.patch_embed.proj.@", "vision_encoder.patch_embed.projection.@"),
        ("image_encoder.blocks.#.norm1.@", "vision_encoder.layers.#.layer_norm1.@"),
        ("image_encoder.blocks.#.norm2.@", "vision_encoder.layers.#.layer_norm2.@"),
        ("image_encoder.blocks.#.attn.qkv.@", "vision_encoder.layers.#.attn.qkv.@"),
        ("image_encoder.blocks.#.attn.proj.@", "vision_encoder.layers.#.attn.proj.@"),
        ("image_encoder.blocks.#.attn.rel_pos_h", "vision_encoder.layers.#.attn.rel_pos_h"),
        ("image_encoder.blocks.#.attn.rel_pos_w", "vision_encoder.layers.#.attn.rel_pos_w"),
        ("image_encoder.blocks.#.mlp.lin1.@", "vision_encoder.layers.#.mlp.lin1.@"),
        ("image_encoder.blocks.#.mlp.lin2.@", "vision_encoder.layers.#.mlp.lin2.@"),
        ("image_encoder.neck.0.@", "vision_encoder.neck.conv1.@"),
        ("image_encoder.neck.1.@", "vision_encoder.neck.layer_norm1.@"),
        ("image_encoder.neck.2.@", "vision_encoder.neck.conv2.@"),
        ("image_encoder.neck.3.@", "vision_encoder.neck.layer_norm2.@"),
    ]

    private static let promptRules: [(official: String, huggingFace: String)] = [
        (officialMatrix, sharedMatrix),
        ("prompt_encoder.point_embeddings.#.@", "prompt_encoder.point_embed.#.@"),
        ("prompt_encoder.not_a_point_embed.@", "prompt_encoder.not_a_point_embed.@"),
        ("prompt_encoder.no_mask_embed.@", "prompt_encoder.no_mask_embed.@"),
        ("prompt_encoder.mask_downscaling.0.@", "prompt_encoder.mask_embed.conv1.@"),
        ("prompt_encoder.mask_downscaling.1.@", "prompt_encoder.mask_embed.layer_norm1.@"),
        ("prompt_encoder.mask_downscaling.3.@", "prompt_encoder.mask_embed.conv2.@"),
        ("prompt_encoder.mask_downscaling.4.@", "prompt_encoder.mask_embed.layer_norm2.@"),
        ("prompt_encoder.mask_downscaling.6.@", "prompt_encoder.mask_embed.conv3.@"),
    ]

    /// The attention projections, which have one name in both dialects.
    private static let attentionRules: [(official: String, huggingFace: String)] = [
        "layers.#.self_attn", "layers.#.cross_attn_token_to_image", "layers.#.cross_attn_image_to_token",
        "final_attn_token_to_image",
    ].flatMap { attention in
        ["q_proj", "k_proj", "v_proj", "out_proj"].map { projection in
            let name = "mask_decoder.transformer.\(attention).\(projection).@"
            return (name, name)
        }
    }

    private static let decoderRules: [(official: String, huggingFace: String)] =
        (1...4).map {
            (
                "mask_decoder.transformer.layers.#.norm\($0).@",
                "mask_decoder.transformer.layers.#.layer_norm\($0).@"
            )
        } + [
            ("mask_decoder.transformer.layers.#.mlp.lin1.@", "mask_decoder.transformer.layers.#.mlp.lin1.@"),
            ("mask_decoder.transformer.layers.#.mlp.lin2.@", "mask_decoder.transformer.layers.#.mlp.lin2.@"),
            ("mask_decoder.transformer.norm_final_attn.@", "mask_decoder.transformer.layer_norm_final_attn.@"),
            ("mask_decoder.iou_token.@", "mask_decoder.iou_token.@"),
            ("mask_decoder.mask_tokens.@", "mask_decoder.mask_tokens.@"),
            ("mask_decoder.output_upscaling.0.@", "mask_decoder.upscale_conv1.@"),
            ("mask_decoder.output_upscaling.1.@", "mask_decoder.upscale_layer_norm.@"),
            ("mask_decoder.output_upscaling.3.@", "mask_decoder.upscale_conv2.@"),
        ]
        + ["output_hypernetworks_mlps.#", "iou_prediction_head"].flatMap { perceptron in
            [("layers.0", "proj_in"), ("layers.1", "layers.0"), ("layers.2", "proj_out")].map {
                ("mask_decoder.\(perceptron).\($0.0).@", "mask_decoder.\(perceptron).\($0.1).@")
            }
        }

    /// The official name of a tensor of a Hugging Face file, or nil if no rule matches.
    public static func officialName(_ name: String) -> String? {
        for rule in rules {
            if let official = rewrite(name, from: rule.huggingFace, to: rule.official) { return official }
        }
        return nil
    }

    /// The Hugging Face name of an official tensor, or nil if no rule matches. The Gaussian matrix, which those files
    /// hold twice, gets the name of the prompt encoder's copy.
    public static func huggingFaceName(_ name: String) -> String? {
        for rule in rules {
            if let other = rewrite(name, from: rule.official, to: rule.huggingFace) { return other }
        }
        return nil
    }

    /// The table under official names. Names without a rule are kept, so that a `WeightContract` lists them.
    /// Throws `tiedTensors` if the two copies of the Gaussian matrix differ, and `nameCollision`.
    static func officialTable(_ table: TensorTable) throws(WeightFileError) -> TensorTable {
        let hasBoth = table[imageMatrix] != nil && table[sharedMatrix] != nil
        if hasBoth {
            let image = try table.tensor(imageMatrix)
            let shared = try table.tensor(sharedMatrix)
            guard image.shape == shared.shape,
                image.elements.map(\.bitPattern) == shared.elements.map(\.bitPattern)
            else {
                throw WeightFileError(
                    .tiedTensors, path: table.path, found: "\(imageMatrix) and \(sharedMatrix) differ",
                    remedy: "save the model again with the two tied")
            }
        }
        return try table.renamed { name in
            if name == imageMatrix { return hasBoth ? nil : officialMatrix }
            return officialName(name) ?? name
        }
    }

    /// The name that `target` makes of a name that `pattern` matches as a whole; nil if it does not match.
    static func rewrite(_ name: String, from pattern: String, to target: String) -> String? {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        let patternParts = pattern.split(separator: ".")
        guard parts.count == patternParts.count else { return nil }
        var number: Substring?
        var leaf: Substring?
        for (part, expected) in zip(parts, patternParts) {
            switch expected {
            case "#":
                guard !part.isEmpty, part.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
                number = part
            case "@":
                guard part == "weight" || part == "bias" else { return nil }
                leaf = part
            default: guard part == expected else { return nil }
            }
        }
        return target.split(separator: ".").map { part in
            part == "#" ? number ?? part : part == "@" ? leaf ?? part : part
        }.joined(separator: ".")
    }
}
