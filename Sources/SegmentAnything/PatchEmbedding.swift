import Kernels
import Layers
import Tensors

// t = u W^T + b + e over the rows u of the image's patches
// dW = dt^T u,   db = sum of dt over patches,   de = dt

/// The image as tokens with their positions: the stem of SAM's plain vision transformer (`PatchEmbed` and `pos_embed` in
/// segment_anything's image_encoder.py).
struct PatchEmbedding: Sendable {
    /// From `PatchEmbeddingKernel.pack`. // [D, P P 3]
    private let weight: PackedParameter
    private let bias: Parameter  // [D]
    /// // [h, w, D]
    private let positions: Parameter
    private let patchSize: Int

    /// Requests `patch_embed.proj` and `pos_embed` from the encoder's source.
    init(_ source: some ParameterSource, patchSize: Int, width: Int, gridSide: Int) {
        self.patchSize = patchSize
        weight = PackedParameter(
            source, "patch_embed.proj.weight", [width, 3, patchSize, patchSize],
            as: ("patch_embed.product", [width, patchSize * patchSize * 3]), pack: PatchEmbeddingKernel.pack,
            unpack: { PatchEmbeddingKernel.unpack($0, channels: 3, patchSize: patchSize) })
        bias = source.parameter("patch_embed.proj.bias", [width])
        positions = source.parameter("pos_embed", [1, gridSide, gridSide, width])
            .reshaped([gridSide, gridSide, width])
    }

    /// Whether it has places among the trained values.
    var canTrain: Bool { weight.slot != nil || bias.slot != nil || positions.slot != nil }

    /// The tokens and their positions. // [S, S, 3] -> [h * w, D]
    func callAsFunction(_ image: Tensor, in context: PassContext) -> EncoderStem {
        let positions = context.value(of: positions)
        var tokens = Tensor(uninitialized: positions.shape)
        PatchEmbeddingKernel.forward(
            image, weight: weight.matrix(in: context), bias: context.value(of: bias), positionEmbedding: positions,
            patchSize: patchSize, into: &tokens, in: context.workspace)
        return EncoderStem(
            image: image, tokens: tokens.reshaped([positions.count / bias.count, bias.count]), positions: positions)
    }

    /// Adds the gradients of all that trains. // dTokens [h * w, D], image [S, S, 3]
    func backwardParameters(
        _ dTokens: Tensor, image: Tensor, gradients: inout GradientBuffer, in context: PassContext
    ) {
        if let slot = context.slot(of: positions) { gradients.add(dTokens, at: slot) }
        if let slot = context.slot(of: bias) {
            var dBias = Tensor(uninitialized: bias.shape)
            LinearKernel.backwardBias(dTokens, into: &dBias, in: context.workspace)
            gradients.add(dBias, at: slot)
        }
        guard let slot = weight.slot(in: context) else { return }
        let patches = PatchEmbeddingKernel.patches(image, patchSize: patchSize, in: context.workspace)
        var dWeight = Tensor(uninitialized: [bias.count, patchSize * patchSize * 3])
        LinearKernel.backwardWeight(dTokens, input: patches, into: &dWeight, in: context.workspace)
        gradients.add(PatchEmbeddingKernel.unpack(dWeight, channels: 3, patchSize: patchSize), at: slot)
    }
}
