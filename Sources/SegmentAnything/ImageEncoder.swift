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

    /// The image embedding, with nothing kept. // [S, S, 3] -> [h * w, C]
    func encode(_ image: Tensor, adapter: (any ProjectionAdapter)?, in workspace: Workspace) -> Tensor

    /// The image embedding and its way back to the adapter's parameters.
    ///
    /// - Parameter recompute: What backward makes again instead of keeping it; changes no bit.
    func encodeForTraining(
        _ image: Tensor, adapter: any ProjectionAdapter, recompute: RecomputeLevel, in workspace: Workspace
    ) -> EncoderPass
}

extension ImageEncoder {
    /// The image embedding and its way back, with everything kept.
    public func encodeForTraining(
        _ image: Tensor, adapter: any ProjectionAdapter, in workspace: Workspace
    ) -> EncoderPass {
        encodeForTraining(image, adapter: adapter, recompute: .none, in: workspace)
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
