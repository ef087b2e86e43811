public import Foundation
public import Tensors
public import Testing
public import WeightFiles

/// Golden tensors computed with the official PyTorch code, and comparisons with them.
public enum Golden {
    /// The folder with the full set of golden files, from the environment variable `KEDGE_GOLDEN_DIR`.
    public static var folder: String? {
        let folder = ProcessInfo.processInfo.environment["KEDGE_GOLDEN_DIR"]
        return folder?.isEmpty == false ? folder : nil
    }

    /// Opens `name`.safetensors from `folder`, or else from the fixtures of a test bundle; files that belong
    /// together are opened with ``GoldenFiles``.
    ///
    /// Throws `GoldenError` if neither has it, and `WeightFileError` if it is damaged.
    public static func open(_ name: String, in bundle: Bundle) throws -> TensorTable {
        let file = name + ".safetensors"
        return try GoldenFiles([file], in: bundle).table(file)
    }

    /// Whether `open` would find `name`, for suites that need files too large to commit.
    public static func exists(_ name: String, in bundle: Bundle) -> Bool {
        (try? GoldenFiles([name + ".safetensors"], in: bundle)) != nil
    }
}

/// max |actual - expected|; infinite if one of them is NaN.
public func maximumAbsoluteError(_ actual: [Float], _ expected: [Float]) -> Float {
    worstElement(actual, expected).error
}

/// ||actual - expected|| / ||expected||, Euclidean, in Double; 0 if both are zero.
public func relativeL2Error(_ actual: [Float], _ expected: [Float]) -> Double {
    precondition(actual.count == expected.count, "\(actual.count) elements against \(expected.count)")
    var difference = 0.0
    var norm = 0.0
    for (a, e) in zip(actual, expected) {
        difference += (Double(a) - Double(e)) * (Double(a) - Double(e))
        norm += Double(e) * Double(e)
    }
    if difference == 0 { return 0 }
    return norm == 0 ? .infinity : (difference / norm).squareRoot()
}

/// max |actual - expected| of two tensors of one shape.
public func maximumAbsoluteError(_ actual: Tensor, _ expected: Tensor) -> Float {
    maximumAbsoluteError(actual.elements, expected.elements)
}

/// ||actual - expected|| / ||expected|| of two tensors of one shape.
public func relativeL2Error(_ actual: Tensor, _ expected: Tensor) -> Double {
    relativeL2Error(actual.elements, expected.elements)
}

/// Expects max |actual - expected| <= tolerance * max |expected|; a failure names the worst element.
public func expectClose(
    _ actual: [Float], _ expected: [Float], relativeToMaximum tolerance: Float = 1e-4, _ label: String,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    guard actual.count == expected.count else {
        Issue.record("\(label): \(actual.count) elements, expected \(expected.count)", sourceLocation: sourceLocation)
        return
    }
    let scale = expected.reduce(0) { max($0, abs($1)) }
    let worst = worstElement(actual, expected)
    if worst.error <= tolerance * scale { return }
    let values = actual.isEmpty ? "" : "\(actual[worst.index]) against \(expected[worst.index])"
    Issue.record(
        """
        \(label): worst element \(worst.index) of \(actual.count) is \(values), error \(worst.error), \
        allowed \(tolerance * scale) (\(tolerance) of the maximum \(scale)); \
        relative L2 error \(relativeL2Error(actual, expected))
        """, sourceLocation: sourceLocation)
}

/// Expects equal shapes and max |actual - expected| <= tolerance * max |expected|; a failure names the worst element.
public func expectClose(
    _ actual: Tensor, _ expected: Tensor, relativeToMaximum tolerance: Float = 1e-4, _ label: String,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    guard actual.shape == expected.shape else {
        Issue.record("\(label): shape \(actual.shape), expected \(expected.shape)", sourceLocation: sourceLocation)
        return
    }
    expectClose(
        actual.elements, expected.elements, relativeToMaximum: tolerance, label, sourceLocation: sourceLocation)
}

/// Expects a relative L2 error of at most `tolerance`, the measure for gradients.
public func expectRelativeL2(
    _ actual: Tensor, _ expected: Tensor, atMost tolerance: Double = 1e-4, _ label: String,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    guard actual.shape == expected.shape else {
        Issue.record("\(label): shape \(actual.shape), expected \(expected.shape)", sourceLocation: sourceLocation)
        return
    }
    let error = relativeL2Error(actual, expected)
    // Written so that a NaN fails.
    if !(error <= tolerance) {
        Issue.record("\(label): relative L2 error \(error), allowed \(tolerance)", sourceLocation: sourceLocation)
    }
}

/// The position and size of the largest difference; a difference that is not a number counts as infinite unless both
/// elements are equal.
private func worstElement(_ actual: [Float], _ expected: [Float]) -> (index: Int, error: Float) {
    precondition(actual.count == expected.count, "\(actual.count) elements against \(expected.count)")
    var worst = (index: 0, error: Float(0))
    for index in actual.indices where actual[index] != expected[index] {
        let difference = abs(actual[index] - expected[index])
        let error = difference.isNaN ? .infinity : difference
        if error > worst.error { worst = (index, error) }
    }
    return worst
}
