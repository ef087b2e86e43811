import Kernels
import Layers
import Tensors

/// A block of SAM's vision transformer: attention, then an MLP, each with its residual connection (`Block` in
/// segment_anything/modeling/image_encoder.py).
struct ImageEncoderViTBlock: Sendable {
    let attention: WindowedAttention
    let feedForward: FeedForward

    /// What backward needs.
    struct Residuals: Sendable {
        let attention: WindowedAttention.Residuals
        let feedForward: FeedForward.Residuals
    }

    /// The block with nothing kept. // [T, D] -> [T, D]
    func callAsFunction(_ x: Tensor, adapter: (any ProjectionAdapter)?, in workspace: Workspace) -> Tensor {
        feedForward(attention(x, adapter: adapter, in: workspace), in: workspace)
    }

    /// The block and what it keeps. // [T, D] -> [T, D]
    func forward(
        _ x: Tensor, adapter: any ProjectionAdapter, recompute: RecomputeLevel, in workspace: Workspace
    ) -> (Tensor, KeptBlock<Residuals>) {
        if recompute == .blocks { return (self(x, adapter: adapter, in: workspace), .input(x)) }
        let (middle, attentionSaved) = attention.forward(x, adapter: adapter, in: workspace)
        let (y, feedForwardSaved) = feedForward.forward(middle, recompute: recompute, in: workspace)
        return (y, .residuals(Residuals(attention: attentionSaved, feedForward: feedForwardSaved)))
    }

    /// The gradient of the input, or nil when `inputNeeded` is false (the lowest adapted block).
    func backward(
        _ dY: Tensor, _ kept: KeptBlock<Residuals>, adapter: any ProjectionAdapter,
        gradients: inout GradientBuffer, inputNeeded: Bool, in workspace: Workspace
    ) -> Tensor? {
        let saved = residuals(kept, adapter: adapter, in: workspace)
        let dMiddle = feedForward.backward(dY, saved.feedForward, in: workspace)
        return attention.backward(
            dMiddle, saved.attention, adapter: adapter, gradients: &gradients, inputNeeded: inputNeeded,
            in: workspace)
    }

    private func residuals(
        _ kept: KeptBlock<Residuals>, adapter: any ProjectionAdapter, in workspace: Workspace
    ) -> Residuals {
        switch kept {
        case .residuals(let residuals): return residuals
        case .input(let x):
            let (middle, saved) = attention.forward(x, adapter: adapter, in: workspace)
            return Residuals(attention: saved, feedForward: FeedForward.Residuals(x: middle))
        }
    }
}
