public import Kernels
public import Layers
public import LowRankAdaptation
public import SegmentAnything

/// No adaptation: the base model is evaluated as it is ("Direct" in WeSAM's tables).
public struct Direct: AdaptationMethod {
    /// None.
    public let lossNames: [String] = []
    /// False: a run of it has no step.
    public let trains = false

    /// Creates the method.
    public init() {}

    /// Learns nothing: no loss, no gradient.
    public func step(
        _ example: AdaptationExample, model: SegmentAnythingModel, adapter: LoRAAdapter,
        gradients: inout GradientBuffer, in workspace: Workspace
    ) throws -> StepLosses {
        StepLosses(parts: [], instances: example.prompts.count)
    }
}
