public import Kernels
public import Tensors

/// The image as it enters the encoder's blocks: what no adapter changes.
public struct EncoderStem: Sendable {
    /// The model input. // [S, S, 3]
    public let image: Tensor
    /// The tokens that the first block reads. // [T, D]
    public let tokens: Tensor

    /// Puts an image and its tokens together.
    public init(image: Tensor, tokens: Tensor) { (self.image, self.tokens) = (image, tokens) }
}

/// What an image encoder gives the decoder and the adapters.
public struct ImageFeatures: Sendable {
    /// A block's output.
    public struct Tap: Sendable {
        /// The block, as in `BlockSite.index`.
        public let block: Int
        /// Its output. // [T, D]
        public var tokens: Tensor

        /// Names a block's output.
        public init(block: Int, tokens: Tensor) { (self.block, self.tokens) = (block, tokens) }
    }

    /// The image embedding. // [h * w, C]
    public var embedding: Tensor
    /// Further levels of finer grids, finest first; SAM's encoders have none. // [h_i * w_i, C_i] each
    public var levels: [Tensor]
    /// Outputs of the blocks that were asked for, in the order asked.
    public var taps: [Tap]

    /// Puts features together.
    public init(embedding: Tensor, levels: [Tensor] = [], taps: [Tap] = []) {
        (self.embedding, self.levels, self.taps) = (embedding, levels, taps)
    }

    /// The output of a block that was asked for.
    public func tap(_ block: Int) -> Tensor? { taps.first { $0.block == block }?.tokens }
}

/// The gradient of image features: that of the embedding, and of what else carries one.
public struct FeatureGradients: Sendable {
    /// Of the image embedding. // [h * w, C]
    public var embedding: Tensor
    /// Of the finer levels; nil where nothing looked at one. // [h_i * w_i, C_i] each
    public var levels: [Tensor?]
    /// Of the tapped blocks that something looked at, in any order.
    public var taps: [ImageFeatures.Tap]

    /// Starts from the embedding's gradient.
    public init(embedding: Tensor, levels: [Tensor?] = [], taps: [ImageFeatures.Tap] = []) {
        (self.embedding, self.levels, self.taps) = (embedding, levels, taps)
    }

    /// The gradient of a block's output, if there is one.
    public func tap(_ block: Int) -> Tensor? { taps.first { $0.block == block }?.tokens }

    /// Adds the gradients that another consumer of the same features gave.
    public mutating func add(_ other: FeatureGradients, in workspace: Workspace) {
        ElementwiseKernel.accumulate(other.embedding, into: &embedding, in: workspace)
        for (index, level) in other.levels.enumerated() {
            guard let level else { continue }
            guard index < levels.count, var sum = levels[index].take() else {
                while levels.count <= index { levels.append(nil) }
                levels[index] = level
                continue
            }
            ElementwiseKernel.accumulate(level, into: &sum, in: workspace)
            levels[index] = sum
        }
        for tap in other.taps { add(tap.tokens, toTap: tap.block, in: workspace) }
    }

    /// Adds a gradient of a block's output. // [T, D]
    public mutating func add(_ dTokens: Tensor, toTap block: Int, in workspace: Workspace) {
        guard let index = taps.firstIndex(where: { $0.block == block }) else {
            taps.append(ImageFeatures.Tap(block: block, tokens: dTokens))
            return
        }
        ElementwiseKernel.accumulate(dTokens, into: &taps[index].tokens, in: workspace)
    }
}
