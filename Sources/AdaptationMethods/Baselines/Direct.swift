public import Recipes
import SegmentAnything

/// No adaptation: evaluates the base model ("Direct" in WeSAM's tables).
public struct Direct: AdaptationMethod {
    /// `direct`.
    public static let name = "direct"
    /// None.
    public let lossNames: [String] = []

    /// Creates the method.
    public init(_ settings: NoSettings = .init()) {}

    /// None.
    public func stages(over domains: [String], order: DomainOrder) -> [Stage] { [] }

    /// Has no loss and no gradient.
    public func step(_ example: AdaptationExample, in context: inout StepContext) throws -> StepLosses {
        StepLosses(parts: [], instances: example.prompts.count)
    }
}
