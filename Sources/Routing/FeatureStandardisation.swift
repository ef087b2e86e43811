/// Channels of features on a common scale: zero mean and unit deviation over the memory images.
///
///   z_c = (f_c - mean_c) / deviation_c,   0 for a channel without deviation
///
/// A channel that is equal in all memory images says nothing of a domain, and dividing by its rounding would make noise
/// of it.
public struct FeatureStandardisation: Sendable, Equatable {
    /// The mean of each channel. // [D]
    public let mean: [Float]
    /// The deviation of each channel (root of the mean square); 0 where there is none. // [D]
    public let deviation: [Float]

    /// Takes mean and deviation as stored. // [D] each
    public init(mean: [Float], deviation: [Float]) {
        precondition(mean.count == deviation.count, "\(mean.count) means and \(deviation.count) deviations")
        (self.mean, self.deviation) = (mean, deviation)
    }

    /// Measures mean and deviation of features, in their order. // n x [D]
    public init(over features: [[Float]]) {
        let count = Double(features.count)
        let width = features.first?.count ?? 0
        var mean = [Float](repeating: 0, count: width)
        var deviation = mean
        for channel in 0..<width {
            let values = features.map { $0[channel] }
            let centre = values.reduce(0.0) { $0 + Double($1) } / count
            mean[channel] = Float(centre)
            // Equal values may have a mean that differs from them by rounding.
            if values.allSatisfy({ $0 == values[0] }) { continue }
            let squares = values.reduce(0.0) { $0 + (Double($1) - centre) * (Double($1) - centre) }
            deviation[channel] = Float((squares / count).squareRoot())
        }
        self.init(mean: mean, deviation: deviation)
    }

    /// A feature on the common scale. // [D] -> [D]
    public func callAsFunction(_ feature: [Float]) -> [Float] {
        precondition(feature.count == mean.count, "a feature of \(feature.count) numbers for \(mean.count) channels")
        return feature.indices.map { channel in
            guard deviation[channel] > 0 else { return 0 }
            return Float((Double(feature[channel]) - Double(mean[channel])) / Double(deviation[channel]))
        }
    }
}
