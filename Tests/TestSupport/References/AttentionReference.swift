import Foundation

/// Attention by its definition, in Double, with every score in memory.
public struct AttentionReference {
    /// Attention heads.
    public var heads: Int
    /// Width of one head.
    public var headDimension: Int
    /// Token row of every query of every group, nil outside the image (then `outside` is the row's q, k and v).
    public var rows: [[Int?]]
    /// The packed projection of positions outside the image, as an index into the rows of qkv.
    public var outside: Int?
    /// Bias of (head, query position, key position), given the unscaled query.
    public var bias: (_ head: Int, _ query: Int, _ key: Int, _ q: [Double]) -> Double

    /// Creates a reference.
    public init(
        heads: Int, headDimension: Int, rows: [[Int?]], outside: Int?,
        bias: @escaping (Int, Int, Int, [Double]) -> Double
    ) {
        (self.heads, self.headDimension, self.rows, self.outside, self.bias) = (
            heads, headDimension, rows, outside, bias
        )
    }

    /// softmax(q k^T / sqrt d + bias) v for packed [q | k | v] rows; `tokens` output rows.
    public func output(qkv: [Double], tokens: Int) -> [Double] {
        let width = heads * headDimension
        var result = [Double](repeating: 0, count: tokens * width)
        func part(_ row: Int, _ index: Int, _ head: Int) -> [Double] {
            let start = row * 3 * width + index * width + head * headDimension
            return Array(qkv[start..<start + headDimension])
        }
        for group in rows {
            for head in 0..<heads {
                for (query, row) in group.enumerated() {
                    guard let row else { continue }
                    let q = part(row, 0, head)
                    let scores = group.enumerated().map { key, keyRow -> Double in
                        let k = part(keyRow ?? outside ?? 0, 1, head)
                        let product = zip(q, k).reduce(0) { $0 + $1.0 * $1.1 }
                        return product / Double(headDimension).squareRoot() + bias(head, query, key, q)
                    }
                    let peak = scores.max() ?? 0
                    let weights = scores.map { exp($0 - peak) }
                    let total = weights.reduce(0, +)
                    for (key, keyRow) in group.enumerated() {
                        let v = part(keyRow ?? outside ?? 0, 2, head)
                        for i in 0..<headDimension {
                            result[row * width + head * headDimension + i] += weights[key] / total * v[i]
                        }
                    }
                }
            }
        }
        return result
    }
}
