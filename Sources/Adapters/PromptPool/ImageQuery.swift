import Layers
import Tensors

// q = mean over positions of the embedding, scaled to length 1:   x / sqrt(max(sum x^2, 1e-12))   (L2P's normalisation)
// For a key k with s = 1 / sqrt(max(sum k^2, 1e-12)):   cos = s q . k,   dcos/dk = s (q - cos s k)

/// The direction of an image's mean embedding, and its similarity to keys.
struct ImageQuery {
    /// The direction. // [C]
    let direction: [Double]

    /// The query of an image.
    init(_ features: ImageFeatures) {
        let embedding = features.embedding  // [h * w, C]
        let (positions, width) = (embedding.shape[0], embedding.shape[1])
        var sum = [Double](repeating: 0, count: width)
        let values = embedding.pointer
        for position in 0..<positions {
            for channel in 0..<width { sum[channel] += Double(values[position * width + channel]) }
        }
        let mean = sum.map { $0 / Double(positions) }
        let scale = Self.scale(mean)
        direction = mean.map { $0 * scale }
    }

    private static let smallest = 1e-12

    private static func scale(_ vector: [Double]) -> Double {
        1 / max(vector.reduce(0) { $0 + $1 * $1 }, smallest).squareRoot()
    }

    /// Cosine similarity to a key. // [C]
    func similarity(to key: [Float]) -> Double {
        let key = key.map(Double.init)
        return zip(direction, key).reduce(0) { $0 + $1.0 * $1.1 } * Self.scale(key)
    }

    /// The gradient of the similarity by the key. // [C]
    func gradient(by key: [Float]) -> [Double] {
        let cosine = similarity(to: key)
        let key = key.map(Double.init)
        let scale = Self.scale(key)
        // Shorter keys are scaled by a constant.
        let isShort = key.reduce(0) { $0 + $1 * $1 } < Self.smallest
        return zip(direction, key).map { scale * ($0 - (isShort ? 0 : cosine * scale * $1)) }
    }
}
