import Glibc
package import Tensors

/// When an image goes to the model without an adapter: its query is farther from every domain than the memory images of
/// these domains are from each other.
///
///   strangeness d^2 = squared Mahalanobis distance of the standardised query from the nearest domain
///   threshold = exp(mean ln d_i^2 + k deviation ln d_i^2)      d_i of memory image i from a rule made without it
///
/// Calibrated on the memory images alone. Distances of images left out are roughly log-normal, and their two moments
/// vary less from one choice of memory images to another than a quantile of some tens of values does.
public struct RejectionRule: Sendable, Equatable {
    /// How many deviations k the threshold lies above the mean: 96 % of a normal distribution are below.
    public static let standardDeviations: Double = 1.75

    /// The squared distance above which an image is rejected.
    public let threshold: Float
    private let scale: FeatureStandardisation
    private let distance: DomainDistance

    /// Calibrates the rule on the queries of memory images.
    ///
    /// Throws `RoutingError` of kind `memory` if too few images are left when one is taken out, and of kind `notFinite`.
    public init(
        calibratedOn memory: RouterMemory, domains: Int, deviations: Double = standardDeviations
    ) throws(RoutingError) {
        try RouterTraining.check(memory.features)
        guard (0..<domains).allSatisfy(memory.labels.contains) else { throw Self.tooFew }
        guard let (scale, distance) = Self.fit(memory.features, memory.labels, domains) else { throw Self.tooFew }
        let logarithms = try Self.distancesOfImagesLeftOut(memory, domains).map { log($0) }
        let count = Double(logarithms.count)
        let mean = logarithms.reduce(0, +) / count
        let squares = logarithms.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        let threshold = Float(exp(mean + deviations * (squares / count).squareRoot()))
        guard threshold.isFinite else {
            throw RoutingError(.notFinite, "the threshold of rejection is not finite; check the memory images")
        }
        (self.scale, self.distance, self.threshold) = (scale, distance, threshold)
    }

    private static let tooFew = RoutingError(
        .memory,
        "the memory images are too few or all alike, so how far apart images of a domain are cannot be measured; keep at "
            + "least three different images of each domain, or route without rejection")

    private static func fit(
        _ features: [[Float]], _ labels: [Int], _ domains: Int
    ) -> (FeatureStandardisation, DomainDistance)? {
        let scale = FeatureStandardisation(over: features)
        return DomainDistance(over: features.map(scale.callAsFunction), labels: labels, domains: domains).map {
            (scale, $0)
        }
    }

    /// The squared distance of each memory image from a rule that has not seen it.
    ///
    /// The only image of its domain, and a copy of others, measure nothing and are skipped.
    private static func distancesOfImagesLeftOut(
        _ memory: RouterMemory, _ domains: Int
    ) throws(RoutingError) -> [Double] {
        var distances: [Double] = []
        for index in memory.features.indices {
            let label = memory.labels[index]
            guard memory.labels.indices.contains(where: { $0 != index && memory.labels[$0] == label }) else { continue }
            var (features, labels) = (memory.features, memory.labels)
            features.remove(at: index)
            labels.remove(at: index)
            guard let (scale, distance) = fit(features, labels, domains) else { throw tooFew }
            let square = distance(scale(memory.features[index]))
            if square > 0 { distances.append(square) }
        }
        guard distances.count > 1 else { throw tooFew }
        return distances
    }

    /// The squared distance of a query from the nearest domain. // [D] -> 1
    public func strangeness(of feature: [Float]) -> Double { distance(scale(feature)) }

    /// Whether an image of this strangeness goes to the model without an adapter; one that is not a number does.
    public func rejects(_ strangeness: Double) -> Bool { !(strangeness <= Double(threshold)) }
}

// MARK: Files

extension RejectionRule {
    /// The prefix of the rule's tensors in files.
    static let prefix = "rejection."

    /// The name of the threshold.
    static let thresholdName = prefix + "threshold"

    private enum Name {
        static let mean = prefix + "standardisation.mean"
        static let deviation = prefix + "standardisation.deviation"
        static let domains = prefix + "domain_means"
        static let directions = prefix + "directions"
        static let variance = prefix + "variance"
    }

    /// The rule as tensors, for a file.
    package var tensors: [(name: String, tensor: Tensor)] {
        let width = scale.mean.count
        func table(_ rows: [[Float]]) -> Tensor { Tensor(rows.flatMap(\.self), [rows.count, width]) }
        return [
            (Name.mean, Tensor(scale.mean, [width])), (Name.deviation, Tensor(scale.deviation, [width])),
            (Name.domains, table(distance.means)), (Name.directions, table(distance.directions)),
            (Name.variance, Tensor([distance.variance], [1])), (Self.thresholdName, Tensor([threshold], [1])),
        ]
    }

    /// Names and shapes of the tensors for T domains, n memory images and queries of D numbers.
    static func shapes(domains: Int, images: Int, width: Int) -> [(name: String, shape: Shape)] {
        [
            (Name.mean, [width]), (Name.deviation, [width]), (Name.domains, [domains, width]),
            (Name.directions, [images, width]), (Name.variance, [1]), (Self.thresholdName, [1]),
        ]
    }

    /// The number n of memory images in a file, by the shape of one tensor.
    static func images(_ shape: (String) -> [Int]?) -> Int { shape(Name.directions)?.first ?? 1 }

    /// The rule of tensors that have these shapes and finite numbers; nil if deviations or variance are out of range.
    init?(_ tensor: (String) -> Tensor) {
        func rows(_ name: String) -> [[Float]] {
            let table = tensor(name)
            return (0..<table.shape[0]).map { table.rows($0..<$0 + 1).elements }
        }
        let deviation = tensor(Name.deviation).elements
        let variance = tensor(Name.variance)[0]
        guard variance > 0, deviation.allSatisfy({ $0 >= 0 }) else { return nil }
        scale = FeatureStandardisation(mean: tensor(Name.mean).elements, deviation: deviation)
        distance = DomainDistance(means: rows(Name.domains), directions: rows(Name.directions), variance: variance)
        threshold = tensor(Self.thresholdName)[0]
    }
}
