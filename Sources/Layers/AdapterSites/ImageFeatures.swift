public import Kernels
public import Tensors

/// The image as it enters the encoder's blocks; no adapter changes it.
public struct EncoderStem: Sendable {
    /// The model input. // [S, S, 3]
    public let image: Tensor
    /// The input tokens of the first block. // [T, D]
    public let tokens: Tensor
    /// The model's table of positions, which the tokens contain; nil in an encoder without one. // [T, D]
    public let positions: Tensor?

    /// Creates a stem from an image and its tokens.
    public init(image: Tensor, tokens: Tensor, positions: Tensor? = nil) {
        (self.image, self.tokens, self.positions) = (image, tokens, positions)
    }

    /// The embedded patches, up to the rounding of the sum with their positions. // [T, D]
    public func tokensWithoutPositions(in workspace: Workspace) -> Tensor {
        guard let positions else { return tokens }
        var patches = Tensor(uninitialized: tokens.shape)
        ElementwiseKernel.subtract(positions, from: tokens, into: &patches, in: workspace)
        return patches
    }
}

/// The result of an image encoder, for the decoder and the adapters.
public struct ImageFeatures: Sendable {
    /// Tokens of the encoder.
    public struct Tap: Sendable {
        /// Where they are read.
        public let site: TapSite
        /// The tokens. // [T, D]
        public var tokens: Tensor

        /// Creates a tap.
        public init(_ site: TapSite, tokens: Tensor) { (self.site, self.tokens) = (site, tokens) }
    }

    /// The image embedding. // [h * w, C]
    public var embedding: Tensor
    /// Further levels with finer grids, finest first; SAM's encoders have none. // [h_i * w_i, C_i] each
    public var levels: [Tensor]
    /// The requested tokens, from the input upwards.
    public var taps: [Tap]

    /// Creates features.
    public init(embedding: Tensor, levels: [Tensor] = [], taps: [Tap] = []) {
        (self.embedding, self.levels, self.taps) = (embedding, levels, taps)
    }

    /// Tokens that were requested.
    public func tap(_ site: TapSite) -> Tensor? { taps.first { $0.site == site }?.tokens }
}

/// The gradients of image features: of the embedding, and of levels and taps that were read.
public struct FeatureGradients: Sendable {
    /// Of the image embedding. // [h * w, C]
    public var embedding: Tensor
    /// Of the finer levels; nil if nothing read them. // [h_i * w_i, C_i] each
    public var levels: [Tensor?]
    /// Of the tapped tokens that were read, in any order.
    public var taps: [ImageFeatures.Tap]

    /// Creates gradients from that of the embedding.
    public init(embedding: Tensor, levels: [Tensor?] = [], taps: [ImageFeatures.Tap] = []) {
        (self.embedding, self.levels, self.taps) = (embedding, levels, taps)
    }

    /// The gradient of tapped tokens, if there is one.
    public func tap(_ site: TapSite) -> Tensor? { taps.first { $0.site == site }?.tokens }

    /// Adds a gradient of the image embedding, which may still be empty. // [h * w, C]
    public mutating func add(_ dEmbedding: Tensor, in workspace: Workspace) {
        if embedding.count == 0 {
            embedding = dEmbedding
        } else {
            ElementwiseKernel.accumulate(dEmbedding, into: &embedding, in: workspace)
        }
    }

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
        for tap in other.taps { add(tap.tokens, toTap: tap.site, in: workspace) }
    }

    /// Adds a gradient of tapped tokens. // [T, D]
    public mutating func add(_ dTokens: Tensor, toTap site: TapSite, in workspace: Workspace) {
        guard let index = taps.firstIndex(where: { $0.site == site }) else {
            taps.append(ImageFeatures.Tap(site, tokens: dTokens))
            return
        }
        ElementwiseKernel.accumulate(dTokens, into: &taps[index].tokens, in: workspace)
    }
}
