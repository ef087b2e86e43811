import Kernels
import Layers
import Tensors

/// A transformer block of either encoder: attention, in TinyViT a depthwise 3x3 convolution without activation, and a
/// feed-forward (`Block` in segment_anything's image_encoder.py, `TinyViTBlock` in tiny_vit_sam.py).
struct EncoderBlock: Sendable {
    /// The site where adapters may add to its input and read its output.
    let site: BlockSite
    let attention: WindowedAttention
    /// Only in TinyViT; SAM's blocks have none.
    let convolution: TinyViTDepthwise?
    let feedForward: FeedForward

    /// Whether weights of its own have places among the trained values.
    var canTrain: Bool { attention.canTrain || feedForward.parameters.contains { $0.slot != nil } }

    /// The tensors backward needs; the convolution between the halves is linear and needs none.
    struct Residuals: Sendable {
        let attention: WindowedAttention.Residuals
        let feedForward: FeedForward.Residuals
    }

    /// The same weights over one sequence of rows that all attend to each other; for a block without a convolution.
    func overSequence(of rows: Int) -> EncoderBlock {
        EncoderBlock(
            site: site, attention: attention.overSequence(of: rows), convolution: convolution, feedForward: feedForward)
    }

    /// The block without residuals. // [T, D] -> [T, D]
    func callAsFunction(_ x: Tensor, in context: PassContext) -> Tensor {
        feedForward(mixed(attention(x, in: context), in: context), in: context)
    }

    /// The block and what it stores. // [T, D] -> [T, D]
    func forward(_ x: Tensor, in context: PassContext) -> (Tensor, KeptBlock<Residuals>) {
        if context.recompute == .blocks { return (self(x, in: context), .input(x)) }
        let (attended, attentionSaved) = attention.forward(x, in: context)
        let (y, feedForwardSaved) = feedForward.forward(mixed(attended, in: context), in: context)
        return (y, .residuals(Residuals(attention: attentionSaved, feedForward: feedForwardSaved)))
    }

    /// The gradient of the input, or nil when `inputNeeded` is false (nothing below trains).
    func backward(
        _ dY: Tensor, _ kept: KeptBlock<Residuals>, gradients: inout GradientBuffer, inputNeeded: Bool,
        in context: PassContext
    ) -> Tensor? {
        let saved = residuals(kept, in: context)
        let dMixed = feedForward.backward(dY, saved.feedForward, gradients: &gradients, in: context)
        let dAttended = convolution.map { $0.backwardInput(dMixed, in: context) } ?? dMixed
        return attention.backward(
            dAttended, saved.attention, gradients: &gradients, inputNeeded: inputNeeded, in: context)
    }

    private func mixed(_ attended: Tensor, in context: PassContext) -> Tensor {
        convolution.map { $0(attended, activation: .none, in: context) } ?? attended
    }

    private func residuals(_ kept: KeptBlock<Residuals>, in context: PassContext) -> Residuals {
        switch kept {
        case .residuals(let residuals): return residuals
        case .input(let x):
            let (attended, saved) = attention.forward(x, in: context)
            return Residuals(attention: saved, feedForward: FeedForward.Residuals(x: mixed(attended, in: context)))
        }
    }
}
