import Foundation

/// WeSAM's contrastive loss straight from its definition, in Double.
public enum ContrastiveReference {
    /// The loss of n regions: one ratio over all pairs, or the mean of one ratio per row.
    ///
    /// - Parameters:
    ///   - teacher: Embedding. // [cells, C]
    ///   - anchor: Embedding. // [cells, C]
    ///   - teacherMasks: // n x cells
    ///   - anchorMasks: // n x cells
    public static func loss(
        _ teacher: [Double], _ anchor: [Double], channels: Int, _ teacherMasks: [[Double]], _ anchorMasks: [[Double]],
        temperature: Double, isMeanOfRows: Bool = false
    ) -> Double {
        let first = features(teacher, channels, teacherMasks)
        let second = features(anchor, channels, anchorMasks)
        var (all, diagonal, rows) = (0.0, 0.0, 0.0)
        for (j, f) in first.enumerated() {
            var (row, own) = (0.0, 0.0)
            for (k, g) in second.enumerated() {
                let product = zip(f, g).reduce(0) { $0 + $1.0 * $1.1 }
                let term = exp(product / (max(length(f), 1e-8) * max(length(g), 1e-8)) / temperature)
                all += term
                row += term
                if j == k { (diagonal, own) = (diagonal + term, term) }
            }
            rows -= log(own / row)
        }
        return isMeanOfRows ? rows / Double(first.count) : -log(diagonal / all)
    }

    /// Mean unit vectors under each mask.
    static func features(_ embedding: [Double], _ channels: Int, _ masks: [[Double]]) -> [[Double]] {
        masks.map { mask in
            var sum = [Double](repeating: 0, count: channels)
            for (cell, weight) in mask.enumerated() where weight != 0 {
                let row = Array(embedding[(cell * channels)..<((cell + 1) * channels)])
                for channel in 0..<channels { sum[channel] += row[channel] / max(length(row), 1e-12) }
            }
            let count = max(mask.reduce(0, +), 1)
            return sum.map { $0 / count }
        }
    }

    private static func length(_ x: [Double]) -> Double { x.reduce(0) { $0 + $1 * $1 }.squareRoot() }
}
