public import Tensors

/// The part of an encoder's forward pass that is not stored but recomputed in backward.
///
/// Recomputation has the same shapes and therefore the same bits, so gradients are equal at every level.
public enum RecomputeLevel: String, CaseIterable, Sendable, Codable {
    /// Keeps everything backward needs: about 10 D floats per token and block.
    case none
    /// Recomputes the hidden layer of each block's MLP: 6 D floats per token and block remain.
    case mlp
    /// Keeps only the input of each block, D floats per token, and recomputes one block at a time.
    case blocks
}

/// The part of a forward pass that one encoder block stores.
public enum KeptBlock<Residuals: Sendable>: Sendable {
    /// All residuals of backward.
    case residuals(Residuals)
    /// The block's input; its forward pass is repeated before its backward.
    case input(Tensor)
}
