public import Tensors

/// The source of a model's weights, by their names in the weight file.
///
/// A model is built by requesting each tensor it needs, with its shape. Requests to a `ParameterRecorder` yield the
/// list that a weight file must hold, so names and shapes are written down once: in the layers themselves.
public protocol ParameterSource {
    /// The tensor of this name and shape.
    func tensor(_ name: String, _ shape: Shape) -> Tensor

    /// A tensor of this name that a layer can train, with its place if it trains.
    func parameter(_ name: String, _ shape: Shape) -> Parameter

    /// A tensor that a layer computes from others once, when it is built: folded, packed or tabulated.
    ///
    /// A layer that stores such a tensor requests it under a name of its own, so that a source that already holds it
    /// (`ParameterArena`) returns it without computing it again.
    ///
    /// - Parameter make: Computes it from tensors requested of this source; the result has `shape`.
    func derived(_ name: String, _ shape: Shape, _ make: () -> Tensor) -> Tensor

    /// The place of a tensor that a layer can train but holds in another form (`PackedParameter`); nil if it does not train.
    ///
    /// - Parameter initial: The values that training begins with, in the shape of the weight file.
    func slot(of name: String, _ shape: Shape, initial: () -> Tensor) -> ParameterSlot?
}

extension ParameterSource {
    /// No place.
    public func slot(of name: String, _ shape: Shape, initial: () -> Tensor) -> ParameterSlot? { nil }

    /// The tensor, frozen.
    public func parameter(_ name: String, _ shape: Shape) -> Parameter { Parameter(tensor(name, shape)) }

    /// Computes the tensor.
    public func derived(_ name: String, _ shape: Shape, _ make: () -> Tensor) -> Tensor {
        let tensor = make()
        precondition(tensor.count == shape.count, "\(name) was made as \(tensor.shape), not \(shape)")
        return tensor.reshaped(shape)
    }

    /// The same source with a prefix, as in `scoped("blocks.0")`.
    public func scoped(_ prefix: String) -> ScopedParameterSource {
        ScopedParameterSource(base: self, prefix: prefix + ".")
    }
}

/// A source whose names all begin with a prefix.
public struct ScopedParameterSource: ParameterSource {
    let base: any ParameterSource
    let prefix: String

    /// The tensor called prefix + name.
    public func tensor(_ name: String, _ shape: Shape) -> Tensor { base.tensor(prefix + name, shape) }

    /// The parameter called prefix + name.
    public func parameter(_ name: String, _ shape: Shape) -> Parameter { base.parameter(prefix + name, shape) }

    /// The derived tensor called prefix + name.
    public func derived(_ name: String, _ shape: Shape, _ make: () -> Tensor) -> Tensor {
        base.derived(prefix + name, shape, make)
    }

    /// The place of the tensor called prefix + name.
    public func slot(of name: String, _ shape: Shape, initial: () -> Tensor) -> ParameterSlot? {
        base.slot(of: prefix + name, shape, initial: initial)
    }
}

/// Frozen weights held by name.
public struct ParameterStore: ParameterSource, Sendable {
    private let tensors: [String: Tensor]

    /// The names, sorted.
    public let names: [String]

    /// Creates a store from tensors whose names and shapes a weight contract has already checked.
    public init(_ tensors: [String: Tensor]) {
        self.tensors = tensors
        names = tensors.keys.sorted()
    }

    /// The tensor of this name; a missing one is a programmer error, because the contract was checked before.
    public func tensor(_ name: String, _ shape: Shape) -> Tensor {
        guard let tensor = tensors[name] else { preconditionFailure("the weight contract lacks \(name)") }
        precondition(tensor.count == shape.count, "the weight contract has \(name) as \(tensor.shape), not \(shape)")
        return tensor.reshaped(shape)
    }
}

/// A source whose parameters never train, for parts of a model without parameter gradients.
public struct FrozenSource: ParameterSource {
    private let base: any ParameterSource

    /// Wraps a source.
    public init(_ base: any ParameterSource) { self.base = base }

    /// The tensor of the source.
    public func tensor(_ name: String, _ shape: Shape) -> Tensor { base.tensor(name, shape) }

    /// The derived tensor of the source.
    public func derived(_ name: String, _ shape: Shape, _ make: () -> Tensor) -> Tensor {
        base.derived(name, shape, make)
    }
}

/// A source that gives parameters their places in a layout and collects the initial values of training.
public final class TrainableSource: ParameterSource {
    private let base: any ParameterSource
    private let layout: ParameterLayout
    private var values: Tensor

    /// Wraps a source with a layout.
    public init(_ base: any ParameterSource, layout: ParameterLayout) {
        (self.base, self.layout) = (base, layout)
        values = Tensor(zeros: [layout.count])
    }

    /// The values of the parameters requested so far, at their places. // [P]
    public var initialValues: Tensor { values }

    /// The tensor of the source.
    public func tensor(_ name: String, _ shape: Shape) -> Tensor { base.tensor(name, shape) }

    /// The parameter of the source, with its place in the layout.
    public func parameter(_ name: String, _ shape: Shape) -> Parameter {
        let parameter = base.parameter(name, shape)
        guard let slot = slot(of: name, shape, initial: { parameter.frozen }) else { return parameter }
        return Parameter(parameter.frozen, slot: slot)
    }

    /// The place of a tensor in the layout.
    public func slot(of name: String, _ shape: Shape, initial: () -> Tensor) -> ParameterSlot? {
        guard let slot = layout.slot(of: name) else { return nil }
        let start = initial()
        precondition(start.count == slot.shape.count, "\(name) is \(start.shape) and its place \(slot.shape)")
        (values.mutablePointer + slot.offset).update(from: start.pointer, count: start.count)
        return slot
    }

    /// The derived tensor of the source.
    public func derived(_ name: String, _ shape: Shape, _ make: () -> Tensor) -> Tensor {
        base.derived(name, shape, make)
    }
}

/// Records the requests of a model.
public final class ParameterRecorder: ParameterSource {
    /// Names and shapes in the order of first request; two derived tensors may be computed from the same one.
    public private(set) var requests: [(name: String, shape: Shape)] = []
    /// The requested tensors that a layer can train, in that order.
    public private(set) var trainable: [ParameterLayout.Declaration] = []
    private var names: Set<String> = []

    /// Creates an empty record.
    public init() {}

    /// Records the request; the tensor's contents are undefined.
    public func tensor(_ name: String, _ shape: Shape) -> Tensor {
        if names.insert(name).inserted { requests.append((name, shape)) }
        return Tensor(uninitialized: shape)
    }

    /// Records a request for a tensor that can train.
    public func parameter(_ name: String, _ shape: Shape) -> Parameter {
        trainable.append(.init(name, shape))
        return Parameter(tensor(name, shape))
    }

    /// Records that a tensor can train.
    public func slot(of name: String, _ shape: Shape, initial: () -> Tensor) -> ParameterSlot? {
        trainable.append(.init(name, shape))
        return nil
    }
}
