public import Kernels
public import Tensors

/// The image as it enters the encoder's blocks; no adapter changes it.
public struct EncoderStem: Sendable {
    /// The model input. // [S, S, 3]
    public let image: Tensor
    /// The input tokens of the first block. // [T, D]
    public let tokens: Tensor

    /// Creates a stem from an image and its tokens.
    public init(image: Tensor, tokens: Tensor) { (self.image, self.tokens) = (image, tokens) }
}

/// The result of an image encoder, for the decoder and the adapters.
public struct ImageFeatures: Sendable {
    /// A block's output.
    public struct Tap: Sendable {
        /// The block, as in `BlockSite.index`.
        public let block: Int
        /// Its output. // [T, D]
        public var tokens: Tensor

        /// Creates a tap.
        public init(block: Int, tokens: Tensor) { (self.block, self.tokens) = (block, tokens) }
    }

    /// The image embedding. // [h * w, C]
    public var embedding: Tensor
    /// Further levels with finer grids, finest first; SAM's encoders have none. // [h_i * w_i, C_i] each
    public var levels: [Tensor]
    /// Outputs of the requested blocks, in the order of the request.
    public var taps: [Tap]

    /// Creates features.
    public init(embedding: Tensor, levels: [Tensor] = [], taps: [Tap] = []) {
        (self.embedding, self.levels, self.taps) = (embedding, levels, taps)
    }

    /// The output of a requested block.
    public func tap(_ block: Int) -> Tensor? { taps.first { $0.block == block }?.tokens }
}

/// The gradients of image features: of the embedding, and of levels and taps that were read.
public struct FeatureGradients: Sendable {
    /// Of the image embedding. // [h * w, C]
    public var embedding: Tensor
    /// Of the finer levels; nil if nothing read them. // [h_i * w_i, C_i] each
    public var levels: [Tensor?]
    /// Of the tapped blocks that were read, in any order.
    public var taps: [ImageFeatures.Tap]

    /// Creates gradients from that of the embedding.
    public init(embedding: Tensor, levels: [Tensor?] = [], taps: [ImageFeatures.Tap] = []) {
        (self.embedding, self.levels, self.taps) = (embedding, levels, taps)
    }

    /// The gradient of a block's output, if there is one.
    public func tap(_ block: Int) -> Tensor? { taps.first { $0.block == block }?.tokens }

    /// Adds the gradients from another consumer of the same features.
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
