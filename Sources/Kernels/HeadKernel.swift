public import Tensors

// Tokens of n prompts, [n t, D] with D = H d, and the same tokens head by head, [n H t, D], where the rows of head h are
// zero outside the columns h d ..< (h + 1) d. A product of the spread rows with a projection's whole weight gives every
// head's own product: spread(q)[p, h, i] W = q_h[p, i] W_h. `spread` and `gather` are adjoint.

/// Converts tokens to rows of single heads and back.
public enum HeadKernel {
    /// One row per head. // [n t, H d] -> [n H t, H d]
    ///
    /// - Parameter factor: Scales the elements.
    public static func spread(_ x: Tensor, groups: Int, heads: Int, factor: Float = 1) -> Tensor {
        let width = x.shape[1]
        let (tokens, d) = (x.shape[0] / max(groups, 1), width / heads)
        precondition(x.shape[0] == groups * tokens && width == heads * d)
        var y = Tensor(zeros: [groups * heads * tokens, width])
        let (source, destination) = (x.pointer, y.mutablePointer)
        for row in 0..<groups * heads * tokens {
            let (group, head, token) = (row / (heads * tokens), row / tokens % heads, row % tokens)
            let from = source + (group * tokens + token) * width + head * d
            let to = destination + row * width + head * d
            for i in 0..<d { to[i] = from[i] * factor }
        }
        return y
    }

    /// The columns of each row's own head. // [n H t, H d] -> [n t, H d]
    ///
    /// - Parameter factor: Scales the elements.
    public static func gather(_ y: Tensor, groups: Int, heads: Int, factor: Float = 1) -> Tensor {
        let width = y.shape[1]
        let (tokens, d) = (y.shape[0] / max(groups * heads, 1), width / heads)
        precondition(y.shape[0] == groups * heads * tokens && width == heads * d)
        var x = Tensor(uninitialized: [groups * tokens, width])
        let (source, destination) = (y.pointer, x.mutablePointer)
        for row in 0..<groups * heads * tokens {
            let (group, head, token) = (row / (heads * tokens), row / tokens % heads, row % tokens)
            let from = source + row * width + head * d
            let to = destination + (group * tokens + token) * width + head * d
            for i in 0..<d { to[i] = from[i] * factor }
        }
        return x
    }
}
