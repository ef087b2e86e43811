import Foundation

/// exp(s) / sum exp(s).
public func softmax(_ scores: [Double]) -> [Double] {
    let peak = scores.max() ?? 0
    let weights = scores.map { exp($0 - peak) }
    let total = weights.reduce(0, +)
    return weights.map { $0 / total }
}

/// x (1 + erf(x / sqrt 2)) / 2.
public func gelu(_ x: Double) -> Double { x * 0.5 * (1 + erf(x / 2.0.squareRoot())) }

/// Layer normalisation of rows of one width.
public func layerNorm(_ x: [Double], scale: [Double], shift: [Double], epsilon: Double) -> [Double] {
    let width = scale.count
    var y = x
    for start in stride(from: 0, to: x.count, by: width) {
        let row = x[start..<start + width]
        let mean = row.reduce(0, +) / Double(width)
        let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
        for i in 0..<width {
            y[start + i] = (x[start + i] - mean) / (variance + epsilon).squareRoot() * scale[i] + shift[i]
        }
    }
    return y
}

/// x W^T + b for row-major x of `inputs` columns and W of [outputs, inputs].
public func linear(_ x: [Double], weight: [Double], bias: [Double]?, inputs: Int) -> [Double] {
    let outputs = weight.count / inputs
    return (0..<x.count / inputs).flatMap { row in
        (0..<outputs).map { output in
            (0..<inputs).reduce(bias?[output] ?? 0) { $0 + x[row * inputs + $1] * weight[output * inputs + $1] }
        }
    }
}
