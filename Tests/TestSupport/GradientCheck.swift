import Tensors

/// Compares an analytic gradient with central differences of a plain Double reference.
///
/// For f: R^n -> R^m, an output gradient g and L(x) = <g, f(x)>, the difference quotient
/// (L(x + h e_i) - L(x - h e_i)) / 2h approaches dL/dx_i with an error of order h^2. Computed in Double with h near
/// 1e-5 it is accurate to about ten digits, so the remaining error is the rounding of the Float kernel under test.
public enum GradientCheck {
    /// The result of a check.
    public struct Outcome: Sendable, CustomStringConvertible {
        /// ‖analytic - numeric‖ / max(‖numeric‖, 1e-12), over the probed coordinates.
        public let relativeError: Double
        /// The requested bound.
        public let tolerance: Double
        /// The coordinate that contributes most to the error.
        public let worstCoordinate: Int
        /// The difference quotient at the worst coordinate.
        public let worstNumeric: Double
        /// The analytic gradient at the worst coordinate.
        public let worstAnalytic: Double

        /// True when the relative error is within the bound (a NaN is not).
        public var passed: Bool { relativeError <= tolerance }

        /// The result in one line, for the comment of an expectation.
        public var description: String {
            "relative error \(relativeError) (bound \(tolerance)); worst at \(worstCoordinate): "
                + "numeric \(worstNumeric), analytic \(worstAnalytic)"
        }
    }

    /// Checks one gradient.
    ///
    /// - Parameters:
    ///   - inputs: The point x.
    ///   - function: The plain reference f.
    ///   - dOutput: The output gradient g, of the length of f(x).
    ///   - analytic: The gradient under test, of the length of x.
    ///   - tolerance: The bound on the relative L2 error.
    ///   - step: The step h.
    ///   - probes: The number of coordinates to probe, drawn without repetition with a fixed seed; nil probes all.
    public static func check(
        _ inputs: [Double], function: ([Double]) -> [Double], dOutput: [Double], analytic: [Float], tolerance: Double,
        step: Double = 1e-5, probes: Int? = nil
    ) -> Outcome {
        precondition(analytic.count == inputs.count, "\(analytic.count) derivatives for \(inputs.count) inputs")
        var coordinates = Array(inputs.indices)
        if let probes, probes < inputs.count {
            var generator = SeededGenerator(seed: 0, purpose: "gradient check")
            coordinates = Array(generator.permutation(inputs.count).prefix(probes)).sorted()
        }
        func objective(_ point: [Double]) -> Double {
            let output = function(point)
            precondition(output.count == dOutput.count, "\(dOutput.count) output gradients for \(output.count) outputs")
            return zip(output, dOutput).reduce(0) { $0 + $1.0 * $1.1 }
        }
        var point = inputs
        var (squaredError, squaredNorm) = (0.0, 0.0)
        var worst = (error: -1.0, coordinate: 0, numeric: 0.0)
        for coordinate in coordinates {
            point[coordinate] = inputs[coordinate] + step
            let above = objective(point)
            point[coordinate] = inputs[coordinate] - step
            let below = objective(point)
            point[coordinate] = inputs[coordinate]
            let numeric = (above - below) / (2 * step)
            let error = abs(numeric - Double(analytic[coordinate]))
            squaredError += error * error
            squaredNorm += numeric * numeric
            // A NaN must win, hence the negated comparison.
            if !(error <= worst.error) { worst = (error, coordinate, numeric) }
        }
        return Outcome(
            relativeError: squaredError.squareRoot() / max(squaredNorm.squareRoot(), 1e-12), tolerance: tolerance,
            worstCoordinate: worst.coordinate, worstNumeric: worst.numeric,
            worstAnalytic: inputs.isEmpty ? 0 : Double(analytic[worst.coordinate]))
    }
}

extension GradientCheck {
    /// ‖actual - expected‖ / max(‖expected‖, 1e-12): the distance of a Float result from its Double reference.
    public static func relativeError(_ actual: [Float], _ expected: [Double]) -> Double {
        guard actual.count == expected.count else { return .infinity }
        var (squaredError, squaredNorm) = (0.0, 0.0)
        for (value, reference) in zip(actual, expected) {
            let error = Double(value) - reference
            squaredError += error * error
            squaredNorm += reference * reference
        }
        return squaredError.squareRoot() / max(squaredNorm.squareRoot(), 1e-12)
    }
}
