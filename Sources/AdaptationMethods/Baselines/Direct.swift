import SegmentAnything

/// No adaptation: evaluates the base model ("Direct" in WeSAM's tables).
public struct Direct: AdaptationMethod {
    /// None.
    public let lossNames: [String] = []

    /// Creates the method.
    public init() {}

    /// None.
    public func stages(totalSteps: Int) -> [Stage] { [] }

    /// Has no loss and no gradient.
    public func step(_ example: AdaptationExample, in context: inout StepContext) throws -> StepLosses {
        StepLosses(parts: [], instances: example.prompts.count)
    }
}
