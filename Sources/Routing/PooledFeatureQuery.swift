public import Layers
public import SegmentAnything
import Tensors

/// A query without a pass of its own: features of the base encoder, pooled over the image.
///
///   m_c = (1 / T) sum_t x_tc,   s_c = sqrt((1 / T) sum_t (x_tc - m_c)^2)
///
/// summed in Double in the order of the rows. Early features and embedding give their means alone, statistics give
/// [m, s] of the early features, then of the embedding. The features come from the segmentation's pass if no adapter
/// acts in its encoder, else from a pass of the base encoder: otherwise the query would drift with the active domain.
public struct PooledFeatureQuery: Sendable, Equatable {
    /// The early tokens it reads, if any.
    public let tap: TapSite?
    private let readsEmbedding: Bool
    private let hasDeviations: Bool

    /// The query of this kind in a model; nil for one that is not pooled.
    public init?(_ query: RouterQuery, in configuration: SegmentAnythingConfiguration) {
        switch query {
        case .tokens: return nil
        case .earlyFeatures: (tap, readsEmbedding, hasDeviations) = (configuration.earlyTap, false, false)
        case .embedding: (tap, readsEmbedding, hasDeviations) = (nil, true, false)
        case .statistics: (tap, readsEmbedding, hasDeviations) = (configuration.earlyTap, true, true)
        }
    }

    /// The request of an encoder pass from which the query is read, beside what the pass asks for anyway.
    public func request(beside other: EncoderRequest = EncoderRequest()) -> EncoderRequest {
        guard let tap, !other.taps.contains(tap) else { return other }
        return EncoderRequest(taps: (other.taps + [tap]).sorted())
    }

    /// The query of an image from the base encoder's features, which hold the requested tokens. // [D]
    public func feature(of features: ImageFeatures) -> [Float] {
        var parts: [Tensor] = []
        if let tap {
            guard let tokens = features.tap(tap) else { preconditionFailure("the encoder was not asked for \(tap)") }
            parts.append(tokens)
        }
        if readsEmbedding { parts.append(features.embedding) }
        return parts.flatMap(pooled)
    }

    /// The mean of the rows and, if the query has them, their deviation. // [T, D] -> [D] or [2 D]
    private func pooled(_ x: Tensor) -> [Float] {
        let (rows, width) = (x.shape[0], x.shape[1])
        let source = x.pointer
        return withExtendedLifetime(x) {
            var mean = [Double](repeating: 0, count: width)
            for row in 0..<rows {
                for column in 0..<width { mean[column] += Double(source[row * width + column]) }
            }
            for column in 0..<width { mean[column] /= Double(rows) }
            guard hasDeviations else { return mean.map { Float($0) } }
            var squares = [Double](repeating: 0, count: width)
            for row in 0..<rows {
                for column in 0..<width {
                    let difference = Double(source[row * width + column]) - mean[column]
                    squares[column] += difference * difference
                }
            }
            return mean.map { Float($0) } + squares.map { Float(($0 / Double(rows)).squareRoot()) }
        }
    }
}
