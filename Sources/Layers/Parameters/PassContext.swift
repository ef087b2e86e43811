public import Kernels
public import Tensors

/// The environment of a forward pass and its backward: threads and scratch, trained values, active adapters, and what
/// is recomputed in backward.
///
/// A context is a value and costs nothing to create. `frozen` gives the frozen model, for example WeSAM's anchor: the
/// same threads, no trained values, no adapter.
public struct PassContext: Sendable {
    /// The threads and their scratch.
    public let workspace: Workspace
    /// The trained values; nil runs on frozen values alone, without gradients.
    public let trained: TrainableParameters?
    /// The adapters active in this pass.
    public let adapters: ActiveAdapters
    /// What the encoder recomputes in backward.
    public let recompute: RecomputeLevel
    /// Counts the parts of the model that run, if set.
    public let counter: PassCounter?

    /// Creates a context.
    public init(
        _ workspace: Workspace, trained: TrainableParameters? = nil, adapters: ActiveAdapters = .none,
        recompute: RecomputeLevel = .none, counter: PassCounter? = nil
    ) {
        (self.workspace, self.trained, self.adapters) = (workspace, trained, adapters)
        (self.recompute, self.counter) = (recompute, counter)
    }

    /// The context of the frozen model: no trained values, no adapters.
    public var frozen: PassContext { PassContext(workspace, recompute: recompute, counter: counter) }

    /// The same pass with other adapters, for example those of an image's domain.
    public func with(_ adapters: ActiveAdapters) -> PassContext {
        PassContext(workspace, trained: trained, adapters: adapters, recompute: recompute, counter: counter)
    }

    /// The values of a parameter in this pass.
    public func value(of parameter: Parameter) -> Tensor {
        guard let slot = parameter.slot, let trained else { return parameter.frozen }
        return trained.value(slot)
    }

    /// The place of a parameter's gradient; nil when it does not train in this pass.
    public func slot(of parameter: Parameter) -> ParameterSlot? { trained == nil ? nil : parameter.slot }

    /// Whether a parameter trains in this pass.
    public func trains(_ parameter: Parameter) -> Bool { slot(of: parameter) != nil }

    /// Whether any of these parameters trains in this pass.
    public func trains(any parameters: [Parameter]) -> Bool { trained != nil && parameters.contains { $0.slot != nil } }
}

/// The number of runs of each part of a model, from which the planned operations of a step are computed.
///
/// Not thread-safe.
public final class PassCounter: @unchecked Sendable {
    /// Passes through the part below the lowest adapter.
    public var stems = 0
    /// Encoder passes from there upwards.
    public var encoderForwards = 0
    /// Their backward passes.
    public var encoderBackwards = 0
    /// Prompts decoded by the mask decoder.
    public var decodedPrompts = 0
    /// Prompts in the mask decoder's backward passes.
    public var decodedBackwards = 0

    /// Creates a counter at zero.
    public init() {}
}
