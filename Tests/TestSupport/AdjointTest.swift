/// Checks that a backward kernel is the adjoint of its linear forward kernel: <A x, y> = <x, A' y> for all x and y.
///
/// Needs no reference and no differences, and random x and y reach every entry of A at once. A wrong, missing or doubled
/// entry shows up about 1/sqrt(n) large, far above rounding.
public enum AdjointTest {
    /// |<A x, y> - <x, A' y>| / (‖A x‖ ‖y‖ + ‖x‖ ‖A' y‖), with the products and norms accumulated in Double.
    ///
    /// - Parameters:
    ///   - x: A point of the domain.
    ///   - forward: A x, without any bias.
    ///   - y: A point of the range.
    ///   - adjoint: A' y.
    /// - Returns: The gap: near 1e-8 for a correct Float pair, NaN or infinite if a number is not finite.
    public static func gap(x: [Float], forward: [Float], y: [Float], adjoint: [Float]) -> Double {
        precondition(x.count == adjoint.count && forward.count == y.count, "operands of different lengths")
        let left = dot(forward, y)
        let right = dot(x, adjoint)
        let scale =
            (dot(forward, forward) * dot(y, y)).squareRoot() + (dot(x, x) * dot(adjoint, adjoint)).squareRoot()
        return abs(left - right) / scale
    }

    private static func dot(_ a: [Float], _ b: [Float]) -> Double {
        zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }
}
