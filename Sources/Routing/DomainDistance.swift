import Tensors

// With n standardised queries z_i of T domains, mu_t the mean of domain t, R the rows z_i - mu_label(i) [n, D]:
//   S = R^T R / n,   v = tr S / D,   Sigma = (1 - s) S + s v I                    s the shrinkage
//   d^2(z) = min_t (z - mu_t)^T Sigma^-1 (z - mu_t)
// n is far smaller than D, so the inverse is taken in n dimensions (Woodbury): with a = s v, L L^T the Cholesky
// factors of R R^T + n a / (1 - s) I, and U = L^-1 R [n, D]
//   d^2(z) = min_t (|z - mu_t|^2 - |U (z - mu_t)|^2) / a
// One thread, Double, in the order of images and channels.

/// The squared Mahalanobis distance of a query from the nearest domain, in the covariance that all domains share within
/// themselves (Lee et al., NeurIPS 2018), shrunk towards equal variances (Ledoit and Wolf 2004).
struct DomainDistance: Sendable, Equatable {
    /// The share of equal variances in the covariance. Ten images of a domain span few of the directions; between 0.1
    /// and 0.8 the measured rates hardly change.
    static let shrinkage = 0.5

    /// The mean of each domain. // [T, D]
    let means: [[Float]]
    /// U, the directions in which the images of a domain differ. // [n, D]
    let directions: [[Float]]
    /// a, the variance along all other directions.
    let variance: Float

    init(means: [[Float]], directions: [[Float]], variance: Float) {
        (self.means, self.directions, self.variance) = (means, directions, variance)
    }

    /// Measures means and covariance; nil if no domain has two different images. // n x [D], [n]
    init?(over features: [[Float]], labels: [Int], domains: Int) {
        let width = features.first?.count ?? 0
        let used = (0..<domains).filter { labels.contains($0) }
        means = used.map { domain in
            let own = features.indices.filter { labels[$0] == domain }
            return (0..<width).map { channel in
                Float(own.reduce(0.0) { $0 + Double(features[$1][channel]) } / Double(own.count))
            }
        }
        let ownMean = Dictionary(uniqueKeysWithValues: zip(used, means))
        let residuals = zip(features, labels).map { feature, label in
            zip(feature, ownMean[label] ?? feature).map { Double($0) - Double($1) }
        }
        let total = residuals.reduce(0.0) { $0 + Self.product($1, $1) }
        let floor = Self.shrinkage * total / Double(features.count * max(width, 1))
        guard floor > 0, Float(floor) > 0 else { return nil }
        variance = Float(floor)
        directions = Self.directions(residuals, ridge: Double(features.count) * floor / (1 - Self.shrinkage))
    }

    /// L^-1 R with L L^T = R R^T + ridge I. // [n, D] -> [n, D]
    private static func directions(_ residuals: [[Double]], ridge: Double) -> [[Float]] {
        let count = residuals.count
        var factor = [[Double]](repeating: [Double](repeating: 0, count: count), count: count)
        var solved: [[Double]] = []
        for row in 0..<count {
            for column in 0...row {
                var sum = product(residuals[row], residuals[column]) + (row == column ? ridge : 0)
                for k in 0..<column { sum -= factor[row][k] * factor[column][k] }
                // The ridge keeps the matrix positive definite.
                factor[row][column] = row == column ? sum.squareRoot() : sum / factor[column][column]
            }
            var line = residuals[row]
            for k in 0..<row {
                let weight = factor[row][k]
                for channel in line.indices { line[channel] -= weight * solved[k][channel] }
            }
            for channel in line.indices { line[channel] /= factor[row][row] }
            solved.append(line)
        }
        return solved.map { $0.map { Float($0) } }
    }

    private static func product(_ one: [Double], _ other: [Double]) -> Double {
        var sum = 0.0
        for i in one.indices { sum += one[i] * other[i] }
        return sum
    }

    /// The squared distance from the nearest domain. // [D] -> 1
    func callAsFunction(_ feature: [Float]) -> Double {
        means.reduce(.infinity) { nearest, mean in
            let difference = zip(feature, mean).map { Double($0) - Double($1) }
            let inside = directions.reduce(0.0) { sum, direction in
                var part = 0.0
                for i in difference.indices { part += Double(direction[i]) * difference[i] }
                return sum + part * part
            }
            return min(nearest, (Self.product(difference, difference) - inside) / Double(variance))
        }
    }
}
