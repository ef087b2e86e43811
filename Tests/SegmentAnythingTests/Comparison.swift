import Tensors

/// max |actual - expected| / max |expected|; infinite for other sizes or numbers that are not finite.
func maximumError(_ actual: Tensor, _ expected: Tensor) -> Float {
    guard actual.count == expected.count else { return .infinity }
    var (error, scale): (Float, Float) = (0, 0)
    for (a, e) in zip(actual.elements, expected.elements) {
        guard a.isFinite else { return .infinity }
        error = max(error, abs(a - e))
        scale = max(scale, abs(e))
    }
    return error / scale
}
