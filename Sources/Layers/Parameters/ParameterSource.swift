public import Tensors

/// Where a model's weights come from, by their names in the weight file.
///
/// A model is built by asking for each tensor it needs, with its shape. Asking a `ParameterRecorder` first gives the
/// list that a weight file must hold, so names and shapes are written down once: in the layers themselves.
public protocol ParameterSource {
    /// The tensor of this name, which has this shape.
    func tensor(_ name: String, _ shape: Shape) -> Tensor

    /// A tensor of this name that a layer knows how to train, and its place where it does.
    func parameter(_ name: String, _ shape: Shape) -> Parameter

    /// A tensor that a layer makes of others once, when it is built: folded, packed or tabulated.
    ///
    /// A layer that keeps such a tensor asks for it by a name of its own, so that a source which has it already
    /// (`ParameterArena`) gives it without making it again.
    ///
    /// - Parameter make: Makes it, asking this source for what it needs; the result has `shape`.
    func derived(_ name: String, _ shape: Shape, _ make: () -> Tensor) -> Tensor
}

extension ParameterSource {
    /// The tensor, frozen.
    public func parameter(_ name: String, _ shape: Shape) -> Parameter { Parameter(tensor(name, shape)) }

    /// Makes the tensor.
    public func derived(_ name: String, _ shape: Shape, _ make: () -> Tensor) -> Tensor {
        let tensor = make()
        precondition(tensor.count == shape.count, "\(name) was made as \(tensor.shape), not \(shape)")
        return tensor.reshaped(shape)
    }

    /// The same source below a prefix, as in `scoped("blocks.0")`.
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
}

/// Frozen weights held by name.
public struct ParameterStore: ParameterSource, Sendable {
    private let tensors: [String: Tensor]

    /// The names, sorted.
    public let names: [String]

    /// Takes tensors whose names and shapes a weight contract has already checked.
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

/// A source whose parameters never train, for parts of a model that have no parameter gradients.
public struct FrozenSource: ParameterSource {
    private let base: any ParameterSource

    /// Looks at a source.
    public init(_ base: any ParameterSource) { self.base = base }

    /// The tensor of the source.
    public func tensor(_ name: String, _ shape: Shape) -> Tensor { base.tensor(name, shape) }

    /// The derived tensor of the source.
    public func derived(_ name: String, _ shape: Shape, _ make: () -> Tensor) -> Tensor {
        base.derived(name, shape, make)
    }
}

/// A source that gives parameters the places they have in a layout, and collects the values that training begins with.
public final class TrainableSource: ParameterSource {
    private let base: any ParameterSource
    private let layout: ParameterLayout
    private var values: Tensor

    /// Looks at a source through a layout.
    public init(_ base: any ParameterSource, layout: ParameterLayout) {
        (self.base, self.layout) = (base, layout)
        values = Tensor(zeros: [layout.count])
    }

    /// The values of the parameters asked for until now, at their places. // [P]
    public var initialValues: Tensor { values }

    /// The tensor of the source.
    public func tensor(_ name: String, _ shape: Shape) -> Tensor { base.tensor(name, shape) }

    /// The parameter of the source, with its place in the layout.
    public func parameter(_ name: String, _ shape: Shape) -> Parameter {
        let parameter = base.parameter(name, shape)
        guard let slot = layout.slot(of: name) else { return parameter }
        (values.mutablePointer + slot.offset).update(from: parameter.frozen.pointer, count: parameter.count)
        return Parameter(parameter.frozen, slot: slot)
    }

    /// The derived tensor of the source.
    public func derived(_ name: String, _ shape: Shape, _ make: () -> Tensor) -> Tensor {
        base.derived(name, shape, make)
    }
}

/// Writes down what a model asks for.
public final class ParameterRecorder: ParameterSource {
    /// Names and shapes in the order of first asking; two derived tensors may be made of the same one.
    public private(set) var requests: [(name: String, shape: Shape)] = []
    /// Those that a layer knows how to train, in that order.
    public private(set) var trainable: [ParameterLayout.Declaration] = []
    private var names: Set<String> = []

    /// Creates an empty record.
    public init() {}

    /// Records the request; the tensor's contents are undefined.
    public func tensor(_ name: String, _ shape: Shape) -> Tensor {
        if names.insert(name).inserted { requests.append((name, shape)) }
        return Tensor(uninitialized: shape)
    }

    /// Records the request as one that can train.
    public func parameter(_ name: String, _ shape: Shape) -> Parameter {
        if !names.contains(name) { trainable.append(.init(name, shape)) }
        return Parameter(tensor(name, shape))
    }
}
