/// Collects what a case found wrong instead of throwing, so that a rank with a failure still takes part in the
/// operations the other ranks wait in.
public final class Check {
    /// One line per failed expectation.
    public private(set) var failures: [String] = []

    /// Starts without failures.
    public init() {}

    /// Expects a condition to hold.
    public func expect(_ condition: Bool, _ message: @autoclosure () -> String) {
        if !condition { failures.append(message()) }
    }

    /// Expects two values to be equal.
    public func equal<Value: Equatable>(_ actual: Value, _ expected: Value, _ what: String) {
        if actual != expected { failures.append("\(what): got \(actual), expected \(expected)") }
    }
}
