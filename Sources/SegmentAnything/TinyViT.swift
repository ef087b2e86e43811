public import Kernels
public import Layers
public import Tensors

/// The image encoder of MobileSAM and LiteMedSAM (Wu et al., ECCV 2022; Zhang et al. 2023; `TinyViT` in
/// tiny_vit_sam.py).
///
/// Adapters go to the qkv projections of stages 1 to 3, so the stem is the patch embedding, stage 0 and the merging into
/// stage 1, and backward ends at the qkv of the lowest block of stage 1.
public struct TinyViT: ImageEncoder {
    /// The sizes.
    public let configuration: TinyViTConfiguration
    /// The qkv projections of stages 1 to 3, from the input upwards.
    public let adapterSites: [AdapterSite]

    let patchEmbedding: TinyViTPatchEmbedding
    let bottlenecks: [TinyViTInvertedBottleneck]
    let stages: [Stage]
    let neck: EncoderNeck

    /// A patch merging and the blocks behind it.
    struct Stage: Sendable {
        let merging: TinyViTPatchMerging
        let blocks: [EncoderBlock]
    }

    /// What backward needs of a stage; the merging into stage 1 belongs to the stem and keeps nothing.
    struct StageResiduals: Sendable {
        let merging: TinyViTPatchMerging.Residuals?
        let blocks: [KeptBlock<EncoderBlock.Residuals>]
    }

    /// Asks a source for the tensors below `image_encoder`.
    public init(_ source: some ParameterSource, _ configuration: TinyViTConfiguration) {
        self.configuration = configuration
        let encoder = source.scoped("image_encoder")
        let (widths, sides) = (configuration.widths, configuration.gridSides)
        patchEmbedding = TinyViTPatchEmbedding(encoder, configuration)
        bottlenecks = (0..<configuration.depths[0]).map {
            TinyViTInvertedBottleneck(
                encoder.scoped("layers.0.blocks.\($0)"), width: widths[0], expansion: configuration.expansion,
                side: sides[0])
        }
        var siteIndex = 0
        stages = (1..<4).map { stage in
            let merging = TinyViTPatchMerging(
                encoder.scoped("layers.\(stage - 1).downsample"), in: widths[stage - 1], out: widths[stage],
                stride: configuration.mergingStrides[stage - 1], side: sides[stage - 1])
            let blocks = (0..<configuration.depths[stage]).map { block in
                let name = "layers.\(stage).blocks.\(block)"
                defer { siteIndex += 1 }
                return EncoderBlock(
                    tinyViT: encoder.scoped(name), name: "image_encoder." + name, siteIndex: siteIndex,
                    width: widths[stage],
                    heads: configuration.heads[stage], window: configuration.windows[stage], side: sides[stage],
                    feedForwardRatio: configuration.feedForwardRatio)
            }
            return Stage(merging: merging, blocks: blocks)
        }
        adapterSites = stages.flatMap { $0.blocks.map(\.attention.site) }
        neck = EncoderNeck(encoder, inputs: widths[3], outputs: configuration.embeddingWidth)
    }

    /// Side S of the square input, pixels.
    public var imageSize: Int { configuration.imageSize }
    /// Side of the embedding's grid: 64 in both published models.
    public var embeddingSide: Int { configuration.gridSides[3] }
    /// Channels of the embedding.
    public var embeddingWidth: Int { configuration.embeddingWidth }

    /// The tokens of stage 1: patch embedding, stage 0 and the merging behind it. // [S, S, 3] -> [T, C1]
    public func stem(_ image: Tensor, in workspace: Workspace) -> Tensor {
        precondition(image.shape == [imageSize, imageSize, 3], "an image of \(imageSize) pixels, not \(image.shape)")
        var x = patchEmbedding(image, in: workspace)
        for bottleneck in bottlenecks { x = bottleneck(x, in: workspace) }
        return stages[0].merging(x, in: workspace)
    }

    /// The image embedding, with nothing kept. // [T, C1] -> [h * w, C]
    public func encode(stem: Tensor, adapter: (any ProjectionAdapter)?, in workspace: Workspace) -> Tensor {
        var x = stem
        for (index, stage) in stages.enumerated() {
            if index > 0 { x = stage.merging(x, in: workspace) }
            for block in stage.blocks { x = block(x, adapter: adapter, in: workspace) }
        }
        return neck(x, in: workspace)
    }

    /// The image embedding and its way back to the adapter's parameters. // [T, C1] -> [h * w, C]
    public func encodeForTraining(
        stem: Tensor, adapter: any ProjectionAdapter, recompute: RecomputeLevel, in workspace: Workspace
    ) -> EncoderPass {
        var x = stem
        var saved: [StageResiduals] = []
        for (index, stage) in stages.enumerated() {
            var merging: TinyViTPatchMerging.Residuals?
            if index > 0 { (x, merging) = stage.merging.forward(x, in: workspace) }
            var blocks: [KeptBlock<EncoderBlock.Residuals>] = []
            for block in stage.blocks {
                let (y, kept) = block.forward(x, adapter: adapter, recompute: recompute, in: workspace)
                x = y
                blocks.append(kept)
            }
            saved.append(StageResiduals(merging: merging, blocks: blocks))
        }
        let (embedding, neckResiduals) = neck.forward(x, in: workspace)
        return EncoderPass(embedding: embedding) { [saved] dEmbedding, gradients, workspace in
            let dX = neck.backward(dEmbedding, neckResiduals, in: workspace)
            backward(dX, saved, adapter: adapter, gradients: &gradients, in: workspace)
        }
    }

    /// From the gradient of the last stage's output down to the lowest adapted projection.
    private func backward(
        _ dOutput: Tensor, _ saved: [StageResiduals], adapter: any ProjectionAdapter,
        gradients: inout GradientBuffer, in workspace: Workspace
    ) {
        var dX = dOutput
        for (index, stage) in stages.enumerated().reversed() {
            for (number, block) in stage.blocks.enumerated().reversed() {
                let below = block.backward(
                    dX, saved[index].blocks[number], adapter: adapter, gradients: &gradients,
                    inputNeeded: index > 0 || number > 0, in: workspace)
                guard let below else { return }
                dX = below
            }
            guard let merging = saved[index].merging else { return }
            dX = stage.merging.backward(dX, merging, in: workspace)
        }
    }
}
