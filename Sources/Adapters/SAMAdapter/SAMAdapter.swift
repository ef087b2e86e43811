import Glibc
import Kernels
public import Layers
public import Recipes
public import SegmentAnything
public import Tensors

// With the high frequencies h of the image x, the patch embedding e before its positions, and block i's input x_i:
//   f = conv16x16(h) + Linear_e(e)                                      [T, r], r = D / 32
//   p_i = Linear_s(GELU(Linear_i(f))),   x_i += p_i                     Linear_i: r -> r, Linear_s: r -> D for all i
// Backward, from the gradient dx_i of each block's input downwards:
//   dW_s += dx_i^T a_i,   da_i = dx_i W_s,   dz_i = GELU'(z_i) da_i,   dW_i = dz_i^T f,   df += dz_i W_i
//   dW_conv = df^T patches(h),   dW_e = df^T e,   biases likewise
//
// Kept for backward: f and the patches of h. What lies between is computed again, r numbers per token and block.

/// The settings of SAM-Adapter's adapter, below `samAdapter`.
public struct SAMAdapterSettings: RecipeSection {
    public var identityStart = true

    /// Starts as the base model.
    public init() {}

    public static let fields: [RecipeField<SAMAdapterSettings>] = [
        .flag(
            "identityStart", \.identityStart,
            "Start as the base model, with zeros in the layer shared by all blocks; false is the published start, random "
                + "numbers everywhere")
    ]
}

/// SAM-Adapter's prompts of the image encoder (Chen et al., ICCV Workshops 2023; `PromptGenerator` in its
/// image_encoder.py): each block of a plain vision transformer gets values computed from the image's high frequencies
/// and its patch embedding added to its input.
///
/// 63,312 parameters in ViT-B. Names are those of SAM-Adapter's weight files.
public struct SAMAdapter: AdapterSet, BlockInputAdapter {
    /// The kind's name.
    public static let kind: String = "sam-adapter"
    /// The kind's name.
    public var kind: String { Self.kind }
    /// The layer shared by all blocks, that of the patch embedding, one per block, the convolution.
    public let parameters: [Parameter]
    private let shared: Linear  // [D, r]
    private let embedding: Linear  // [r, D]
    private let blocks: [Linear]  // [r, r] each
    private let convolution: Linear  // [r, 3 P P]
    private let filter: HighPassFilter
    private let patchSize: Int

    /// What it needs of a model, and which models have that.
    private static let requirement =
        "needs SAM's plain vision transformer as image encoder; choose the model vit_b, vit_l or vit_h"

    /// Why a model cannot have it; nil if it can.
    public static func fault(in configuration: SegmentAnythingConfiguration) -> String? {
        if case .viT = configuration.encoder { return nil }
        return requirement
    }

    /// Fresh parameters: linear weights normal with deviation 0.02, the convolution's with sqrt(2 / (P P r)), biases 0,
    /// or all zeros in the shared layer; a function of the seed alone.
    ///
    /// The published normal is truncated at +-2, which is a hundred deviations and cuts nothing off. Throws
    /// `AdapterError` for an encoder that is not a plain vision transformer.
    ///
    /// - Parameter reduction: D / r.
    public init(
        _ model: ModelDescription, _ settings: SAMAdapterSettings = .init(), seed: UInt64, reduction: Int = 32,
        _ places: inout ParameterPlaces
    ) throws(AdapterError) {
        guard case .viT(let sizes) = model.configuration.encoder else {
            throw AdapterError("adapter \(Self.kind) \(Self.requirement)")
        }
        let (width, inner, patch) = (sizes.width, max(1, sizes.width / reduction), sizes.patchSize)
        var parameters: [Parameter] = []
        func linear(_ name: String, _ shape: Shape, deviation: Double, _ places: inout ParameterPlaces) -> Linear {
            let name = "image_encoder.prompt_generator." + name
            let weight = places.parameter(name + ".weight", Self.normal(shape, deviation, seed: seed, name))
            let bias = places.parameter(name + ".bias", Tensor(zeros: [shape[0]]))
            parameters += [weight, bias]
            return Linear(weight: weight.reshaped([shape[0], shape.count / shape[0]]), bias: bias)
        }
        shared = linear("shared_mlp", [width, inner], deviation: settings.identityStart ? 0 : 0.02, &places)
        embedding = linear("embedding_generator", [inner, width], deviation: 0.02, &places)
        blocks = model.blockSites.map { site in
            linear("lightweight_mlp_\(site.index).0", [inner, inner], deviation: 0.02, &places)
        }
        convolution = linear(
            "prompt_generator.proj", [inner, 3, patch, patch],
            deviation: (2 / Double(patch * patch * inner)).squareRoot(), &places)
        filter = HighPassFilter(side: sizes.imageSize)
        (self.parameters, patchSize) = (parameters, patch)
    }

    private static func normal(_ shape: Shape, _ deviation: Double, seed: UInt64, _ name: String) -> Tensor {
        guard deviation > 0 else { return Tensor(zeros: shape) }
        var generator = SeededGenerator(seed: seed, purpose: name)
        return Tensor((0..<shape.count).map { _ in Float(deviation * generator.normal(log: log, cos: cos)) }, shape)
    }

    /// Itself.
    public var blockInputs: (any BlockInputAdapter)? { self }

    /// f and, if it trains, the patches of the high frequencies. // [T, r], [T, 3 P P]
    public func prepare(_ stem: EncoderStem, in context: PassContext) -> [Tensor] {
        let high = filter.patches(of: stem.image, patchSize: patchSize, in: context.workspace)
        let features = embedding(
            stem.tokensWithoutPositions(in: context.workspace), residual: convolution(high, in: context), in: context)
        return context.trains(any: parameters) ? [features, high] : [features]
    }

    /// x += p_i.
    public func forward(at site: BlockSite, _ shared: [Tensor], addingTo x: inout Tensor, in context: PassContext) {
        let active = blocks[site.index](shared[0], activation: .gelu, in: context)
        x = self.shared(active, residual: x, in: context)
    }

    /// Adds the gradients of the shared layer and the block's own, and df.
    public func backward(
        at site: BlockSite, _ dX: Tensor, _ shared: [Tensor], addingTo dShared: inout [Tensor],
        gradients: inout GradientBuffer, in context: PassContext
    ) {
        guard context.trains(any: parameters) else { return }
        let own = blocks[site.index]
        let (active, preActivation) = own.forwardKeepingPreActivation(shared[0], in: context)
        self.shared.backwardParameters(dX, input: active, gradients: &gradients, in: context)
        var dActive = self.shared.backwardInput(dX, in: context)
        GELUKernel.backward(&dActive, preActivation: preActivation, in: context.workspace)
        own.backwardParameters(dActive, input: shared[0], gradients: &gradients, in: context)
        if dShared.isEmpty {
            dShared = [own.backwardInput(dActive, in: context)]
        } else {
            own.backwardInput(dActive, addingTo: &dShared[0], in: context)
        }
    }

    /// Adds the gradients of the convolution and of the patch embedding's layer.
    public func finish(
        _ dShared: [Tensor], _ shared: [Tensor], stem: EncoderStem, gradients: inout GradientBuffer,
        in context: PassContext
    ) {
        guard let dFeatures = dShared.first else { return }
        convolution.backwardParameters(dFeatures, input: shared[1], gradients: &gradients, in: context)
        embedding.backwardParameters(
            dFeatures, input: stem.tokensWithoutPositions(in: context.workspace), gradients: &gradients, in: context)
    }
}
