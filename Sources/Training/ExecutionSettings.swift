public import Layers
public import Recipes

/// How the ranks compute: speed and memory, not the result.
public struct ExecutionSettings: RecipeSection {
    public var threads = 0
    public var recompute = RecomputeLevel.none
    public var decoderChunk = 8
    public var prefetchDepth = 4
    public var prefetchThreads = 1
    public var mixedKernels = MixedKernelsRule.refuse

    /// The defaults suit a cluster of equal nodes.
    public init() {}

    /// How a run treats ranks with different kernels.
    public enum MixedKernelsRule: String, CaseIterable, Sendable {
        case refuse, allow
    }

    public static let fields: [RecipeField<ExecutionSettings>] = [
        .integer(
            "threads", \.threads, 0...1024, effect: .machine,
            "Compute threads per rank; 0 is the node's available cores divided by its ranks"),
        .choice(
            "recompute", \.recompute, effect: .machine,
            "What the encoder recomputes in the backward pass to save memory: nothing, its MLPs, or whole blocks"),
        .integer(
            "decoderChunk", \.decoderChunk, 1...1024,
            "Instances per mask decoder pass; fewer need less memory"),
        .integer("prefetchDepth", \.prefetchDepth, 1...1024, effect: .machine, "Samples each rank prepares in advance"),
        .integer(
            "prefetchThreads", \.prefetchThreads, 1...64, effect: .machine, "Threads per rank that prepare samples"),
        .choice(
            "mixedKernels", \.mixedKernels, effect: .experiment,
            "Ranks with different kernels (OpenBLAS's core or version): refuse them, or allow them and give up bit-identical results"
        ),
    ]
}
