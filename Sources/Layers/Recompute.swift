public import Tensors

/// What an encoder's forward pass leaves out of memory and makes again in backward.
///
/// What is made again has the same shapes and therefore the same bits, so gradients are equal at every level.
public enum RecomputeLevel: String, CaseIterable, Sendable, Codable {
    /// Keeps everything backward needs: about 10 D floats per token and block.
    case none
    /// Makes the hidden layer of each block's MLP again: 6 D floats per token and block remain.
    case mlp
    /// Keeps only the input of each block, D floats per token, and makes one block at a time again.
    case blocks
}

/// What one encoder block keeps of a forward pass.
public enum KeptBlock<Residuals: Sendable>: Sendable {
    /// All that backward needs.
    case residuals(Residuals)
    /// The block's input; its forward pass is run again before its backward.
    case input(Tensor)
}
