public import Kernels
public import Layers
public import Tensors

/// Turns an image into the image embedding, with or without a trainable adapter on its attention projections.
///
/// Activations are channel-last: an image is `[S, S, 3]`, the embedding `[h * w, C]` with h = w = `embeddingSide`.
public protocol ImageEncoder: Sendable {
    /// Side S of the square input, pixels.
    var imageSize: Int { get }
    /// Side of the embedding's grid: S / 16, in LiteMedSAM S / 4.
    var embeddingSide: Int { get }
    /// Channels C of the embedding: 256 in every published model.
    var embeddingWidth: Int { get }
    /// Where adapters may go, from the input upwards.
    var adapterSites: [AdapterSite] { get }

    /// Everything below the lowest adapter: the tokens that the first block with an adapter reads.
    ///
    /// Frozen whatever the adapter holds, so one stem of an image serves anchor and teacher, and no backward enters it.
    /// // [S, S, 3] -> [T, D]
    func stem(_ image: Tensor, in workspace: Workspace) -> Tensor

    /// The image embedding from an image's stem, with nothing kept. // [T, D] -> [h * w, C]
    func encode(stem: Tensor, adapter: (any ProjectionAdapter)?, in workspace: Workspace) -> Tensor

    /// The image embedding from an image's stem and its way back to the adapter's parameters. // [T, D] -> [h * w, C]
    ///
    /// - Parameter recompute: What backward makes again instead of keeping it; changes no bit.
    func encodeForTraining(
        stem: Tensor, adapter: any ProjectionAdapter, recompute: RecomputeLevel, in workspace: Workspace
    ) -> EncoderPass
}

extension ImageEncoder {
    /// The image embedding, with nothing kept. // [S, S, 3] -> [h * w, C]
    public func encode(_ image: Tensor, adapter: (any ProjectionAdapter)?, in workspace: Workspace) -> Tensor {
        encode(stem: stem(image, in: workspace), adapter: adapter, in: workspace)
    }

    /// The image embedding and its way back. // [S, S, 3] -> [h * w, C]
    public func encodeForTraining(
        _ image: Tensor, adapter: any ProjectionAdapter, recompute: RecomputeLevel = .none, in workspace: Workspace
    ) -> EncoderPass {
        encodeForTraining(
            stem: stem(image, in: workspace), adapter: adapter, recompute: recompute, in: workspace)
    }
}

/// A forward pass that can be gone back once.
public struct EncoderPass {
    /// The image embedding. // [h * w, C]
    public let embedding: Tensor
    /// Adds the adapter's parameter gradients for a gradient of the embedding. Holds the pass's residuals until it is
    /// released.
    public let backward: (_ dEmbedding: Tensor, _ gradients: inout GradientBuffer, _ workspace: Workspace) -> Void

    /// Puts an embedding and its way back together.
    public init(embedding: Tensor, backward: @escaping (Tensor, inout GradientBuffer, Workspace) -> Void) {
        (self.embedding, self.backward) = (embedding, backward)
    }
}
