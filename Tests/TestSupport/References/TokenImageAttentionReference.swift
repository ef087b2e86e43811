import Foundation

/// Attention between the tokens of one prompt and the positions of an image by its definition, in Double.
///
/// All operands are row-major with C columns; the R rows of tokens are ordered [head, token].
public struct TokenImageAttentionReference: Sendable {
    /// Channels C.
    public var width: Int
    /// Heads H.
    public var heads: Int
    /// The positional code e. // [T, C]
    public var position: [Double]

    /// Creates a reference.
    public init(width: Int, heads: Int, position: [Double]) {
        (self.width, self.heads, self.position) = (width, heads, position)
    }

    /// o_r = sum_j softmax_j(a_r . (x_j + e_j)) x_j. // [R, C], [T, C] -> [R, C]
    public func tokenToImage(_ a: [Double], _ x: [Double]) -> [Double] {
        let positions = x.count / width
        var output: [Double] = []
        for row in 0..<a.count / width {
            let p = softmax((0..<positions).map { score(a, row, x, $0) })
            for channel in 0..<width {
                output.append((0..<positions).reduce(0) { $0 + p[$1] * x[$1 * width + channel] })
            }
        }
        return output
    }

    /// y_j = x_j + b + sum_r p_rj g_r, p a softmax over the tokens of each head. // [T, C]
    public func imageToToken(_ a: [Double], _ c: [Double], _ g: [Double], _ b: [Double], _ x: [Double]) -> [Double] {
        let tokens = c.count / heads
        var output: [Double] = []
        for position in 0..<x.count / width {
            var p: [Double] = []
            for head in 0..<heads {
                p += softmax((head * tokens..<(head + 1) * tokens).map { score(a, $0, x, position) + c[$0] })
            }
            for channel in 0..<width {
                let attended = p.indices.reduce(0) { $0 + p[$1] * g[$1 * width + channel] }
                output.append(x[position * width + channel] + b[channel] + attended)
            }
        }
        return output
    }

    private func score(_ a: [Double], _ row: Int, _ x: [Double], _ j: Int) -> Double {
        (0..<width).reduce(0) { $0 + a[row * width + $1] * (x[j * width + $1] + position[j * width + $1]) }
    }

    private func softmax(_ scores: [Double]) -> [Double] {
        let maximum = scores.max() ?? 0
        let exponentials = scores.map { exp($0 - maximum) }
        let total = exponentials.reduce(0, +)
        return exponentials.map { $0 / total }
    }
}
