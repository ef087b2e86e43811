public import Kernels
public import Tensors

/// What a forward pass runs with, and its backward again: threads and scratch, the numbers that train, the adapters that
/// act, and what is computed again in backward.
///
/// A context is a value and costs nothing to make. The frozen model, WeSAM's anchor for example, is `frozen`: the same
/// threads, no trained numbers, no adapter.
public struct PassContext: Sendable {
    /// The threads and their scratch.
    public let workspace: Workspace
    /// The numbers that train; nil runs on frozen values alone and has no gradient.
    public let trained: TrainableParameters?
    /// The adapters that act in this pass.
    public let adapters: ActiveAdapters
    /// What the encoder computes again in backward.
    public let recompute: RecomputeLevel
    /// Counts the parts of the model that run, where somebody wants to know.
    public let counter: PassCounter?

    /// Puts a context together.
    public init(
        _ workspace: Workspace, trained: TrainableParameters? = nil, adapters: ActiveAdapters = .none,
        recompute: RecomputeLevel = .none, counter: PassCounter? = nil
    ) {
        (self.workspace, self.trained, self.adapters) = (workspace, trained, adapters)
        (self.recompute, self.counter) = (recompute, counter)
    }

    /// The frozen model: without trained numbers and adapters.
    public var frozen: PassContext { PassContext(workspace, recompute: recompute, counter: counter) }

    /// The same pass with other adapters, for example those of an image's domain.
    public func with(_ adapters: ActiveAdapters) -> PassContext {
        PassContext(workspace, trained: trained, adapters: adapters, recompute: recompute, counter: counter)
    }

    /// The values a parameter has in this pass.
    public func value(of parameter: Parameter) -> Tensor {
        guard let slot = parameter.slot, let trained else { return parameter.frozen }
        return trained.value(slot)
    }

    /// Where a parameter's gradient goes; nil when it does not train in this pass.
    public func slot(of parameter: Parameter) -> ParameterSlot? { trained == nil ? nil : parameter.slot }

    /// Whether a parameter trains in this pass.
    public func trains(_ parameter: Parameter) -> Bool { slot(of: parameter) != nil }

    /// Whether any of some parameters trains in this pass.
    public func trains(any parameters: [Parameter]) -> Bool { trained != nil && parameters.contains { $0.slot != nil } }
}

/// How often the parts of a model ran: what the planned operations of a step are made of.
///
/// Not for two threads at once.
public final class PassCounter: @unchecked Sendable {
    /// Passes below the lowest adapter.
    public var stems = 0
    /// Encoder passes above it.
    public var encoderForwards = 0
    /// Their backward passes.
    public var encoderBackwards = 0
    /// Prompts through the mask decoder.
    public var decodedPrompts = 0
    /// Prompts back through the mask decoder.
    public var decodedBackwards = 0

    /// Counts from zero.
    public init() {}
}
