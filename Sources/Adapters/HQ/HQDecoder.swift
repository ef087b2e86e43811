import Kernels
public import Layers
public import SegmentAnything
public import Tensors

// With the image embedding E, early tokens V of the encoder, and a prompt's upscaled pixels U and output token t:
//   H = upscale_E(E) + upscale_V(V)                     once per image
//   z = (F(U) + H) . MLP(t)                              the high-quality mask's logits
// The token takes part in the decoder's self-attention, so SAM's own masks change slightly where it is present.
//
// Only H is kept for backward; what lies between is computed again, for the image once and for its prompts one by one.

/// HQ-SAM's adapter of the mask decoder (Ke et al., NeurIPS 2023; sam-hq's mask_decoder_hq.py): an output token with
/// its own head, and three branches that join early and late features.
///
/// 1.07 million parameters with SAM's widths. Names are those of HQ-SAM's weight files.
public struct HQDecoder: AdapterSet, OutputTokenAdapter {
    /// The kind's name.
    public static let kind: String = "hq"
    /// The kind's name.
    public var kind: String { Self.kind }
    /// Token, head, early branch, embedding branch, mask-feature branch.
    public let parameters: [Parameter]
    /// The early tokens it reads.
    public let taps: [TapSite]
    private let token: Parameter  // [1, C]
    private let head: MultilayerPerceptron
    private let early: SubpixelUpscaling
    private let embedding: SubpixelUpscaling
    private let maskFeature: MaskFeatureBranch

    /// A fresh adapter with the default initial values of PyTorch's layers; a function of the seed alone.
    public init(_ model: ModelDescription, seed: UInt64, _ places: inout ParameterPlaces) {
        let source = FreshParameters(places, seed: seed) { $0.hasSuffix("hf_token.weight") }
        let decoder = source.scoped("mask_decoder")
        let width = model.configuration.decoder.width
        let tap = model.configuration.earlyTap
        taps = [tap]
        token = decoder.parameter("hf_token.weight", [1, width])
        head = MultilayerPerceptron(decoder.scoped("hf_mlp"), widths: [width, width, width, width / 8])
        early = SubpixelUpscaling(
            decoder.scoped("compress_vit_feat"), from: model.blockSites[tap.block].width, through: width,
            to: width / 8)
        embedding = SubpixelUpscaling(
            decoder.scoped("embedding_encoder"), from: width, through: width / 4, to: width / 8)
        maskFeature = MaskFeatureBranch(decoder.scoped("embedding_maskfeature"), width: width / 8)
        (parameters, places) = (source.parameters, source.places)
    }

    /// Itself.
    public var outputTokens: (any OutputTokenAdapter)? { self }

    // MARK: The token

    /// The output token. // [1, C]
    public func tokens(in context: PassContext) -> Tensor { context.value(of: token) }

    /// Adds the gradient of the token. // [1, C]
    public func backward(tokens dTokens: Tensor, gradients: inout GradientBuffer, in context: PassContext) {
        if let slot = context.slot(of: token) { gradients.add(dTokens, at: slot) }
    }

    // MARK: The image's part

    /// H, the part of the features that all prompts of an image share. // 1 x [16 T, C / 8]
    public func prepare(_ features: ImageFeatures, in context: PassContext) -> [Tensor] {
        var sum = embedding(features.embedding, embedding.products(in: context), in: context)
        let part = early(earlyTokens(features), early.products(in: context), in: context)
        ElementwiseKernel.accumulate(part, into: &sum, in: context.workspace)
        return [sum]
    }

    /// Adds the gradients of both branches, and those of the features where the encoder trains.
    public func finish(
        _ dShared: [Tensor], features: ImageFeatures, addingTo dFeatures: inout FeatureGradients,
        gradients: inout GradientBuffer, in context: PassContext
    ) {
        let isNeeded = context.adapters.trainsInEncoder
        func backward(_ branch: SubpixelUpscaling, _ x: Tensor) -> Tensor? {
            let products = branch.products(in: context)
            let (_, saved) = branch.forward(x, products, in: context)
            return branch.backward(
                dShared[0], input: x, saved, products, inputNeeded: isNeeded, gradients: &gradients, in: context)
        }
        if let dEmbedding = backward(embedding, features.embedding) {
            dFeatures.add(dEmbedding, in: context.workspace)
        }
        if let dEarly = backward(early, earlyTokens(features)) {
            dFeatures.add(dEarly, toTap: taps[0], in: context.workspace)
        }
    }

    private func earlyTokens(_ features: ImageFeatures) -> Tensor {
        guard let tokens = features.tap(taps[0]) else {
            preconditionFailure("the encoder was not asked for \(taps[0])")
        }
        return tokens
    }

    // MARK: The prompts' part

    /// The high-quality mask of one prompt. // [16 T, 1]
    public func masks(_ outputs: Tensor, pixels: Tensor, shared: [Tensor], in context: PassContext) -> Tensor {
        let (features, _) = joined(pixels, shared, in: context)
        let (hyper, _) = head.forward(outputs, in: context)
        return FrozenMatrix(hyper).applied(to: features, in: context.workspace)
    }

    /// F(U) + H. // [16 T, C / 8]
    private func joined(
        _ pixels: Tensor, _ shared: [Tensor], in context: PassContext
    ) -> (Tensor, MaskFeatureBranch.Residuals) {
        var (features, saved) = maskFeature.forward(pixels, in: context)
        ElementwiseKernel.accumulate(shared[0], into: &features, in: context.workspace)
        return (features, saved)
    }

    /// The backward pass of `masks`.
    public func backward(
        masks dMasks: Tensor, outputs: Tensor, pixels: Tensor, shared: [Tensor], addingTo dShared: inout [Tensor],
        gradients: inout GradientBuffer, in context: PassContext
    ) -> (dOutputs: Tensor, dPixels: Tensor) {
        let workspace = context.workspace
        let (features, saved) = joined(pixels, shared, in: context)
        let (hyper, savedHead) = head.forward(outputs, in: context)
        let dHyper = FrozenMatrix(features).pulledBack(dMasks, in: workspace)  // [1, C / 8]
        let dFeatures = FrozenMatrix(hyper).pulledBack(dMasks.reshaped([dMasks.count, 1]), in: workspace)
        if dShared.isEmpty {
            dShared = [dFeatures]
        } else {
            ElementwiseKernel.accumulate(dFeatures, into: &dShared[0], in: workspace)
        }
        let dPixels = maskFeature.backward(dFeatures, saved, gradients: &gradients, in: context)
        return (head.backward(dHyper, savedHead, gradients: &gradients, in: context), dPixels)
    }
}
