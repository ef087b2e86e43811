import Kernels
import Layers
import Tensors

/// A transformer block of either encoder: attention, in TinyViT a depthwise 3x3 convolution without activation, and a
/// feed-forward (`Block` in segment_anything's image_encoder.py, `TinyViTBlock` in tiny_vit_sam.py).
struct EncoderBlock: Sendable {
    let attention: WindowedAttention
    /// TinyViT's; SAM's blocks have none.
    let convolution: TinyViTDepthwise?
    let feedForward: FeedForward

    /// What backward needs; the convolution between the halves is linear and needs nothing.
    struct Residuals: Sendable {
        let attention: WindowedAttention.Residuals
        let feedForward: FeedForward.Residuals
    }

    /// The block with nothing kept. // [T, D] -> [T, D]
    func callAsFunction(_ x: Tensor, adapter: (any ProjectionAdapter)?, in workspace: Workspace) -> Tensor {
        feedForward(mixed(attention(x, adapter: adapter, in: workspace), in: workspace), in: workspace)
    }

    /// The block and what it keeps. // [T, D] -> [T, D]
    func forward(
        _ x: Tensor, adapter: any ProjectionAdapter, recompute: RecomputeLevel, in workspace: Workspace
    ) -> (Tensor, KeptBlock<Residuals>) {
        if recompute == .blocks { return (self(x, adapter: adapter, in: workspace), .input(x)) }
        let (attended, attentionSaved) = attention.forward(x, adapter: adapter, in: workspace)
        let (y, feedForwardSaved) = feedForward.forward(
            mixed(attended, in: workspace), recompute: recompute, in: workspace)
        return (y, .residuals(Residuals(attention: attentionSaved, feedForward: feedForwardSaved)))
    }

    /// The gradient of the input, or nil when `inputNeeded` is false (the lowest adapted block).
    func backward(
        _ dY: Tensor, _ kept: KeptBlock<Residuals>, adapter: any ProjectionAdapter, gradients: inout GradientBuffer,
        inputNeeded: Bool, in workspace: Workspace
    ) -> Tensor? {
        let saved = residuals(kept, adapter: adapter, in: workspace)
        let dMixed = feedForward.backward(dY, saved.feedForward, in: workspace)
        let dAttended = convolution.map { $0.backwardInput(dMixed, in: workspace) } ?? dMixed
        return attention.backward(
            dAttended, saved.attention, adapter: adapter, gradients: &gradients, inputNeeded: inputNeeded,
            in: workspace)
    }

    private func mixed(_ attended: Tensor, in workspace: Workspace) -> Tensor {
        convolution.map { $0(attended, activation: .none, in: workspace) } ?? attended
    }

    private func residuals(
        _ kept: KeptBlock<Residuals>, adapter: any ProjectionAdapter, in workspace: Workspace
    ) -> Residuals {
        switch kept {
        case .residuals(let residuals): return residuals
        case .input(let x):
            let (attended, saved) = attention.forward(x, adapter: adapter, in: workspace)
            return Residuals(attention: saved, feedForward: FeedForward.Residuals(x: mixed(attended, in: workspace)))
        }
    }
}
