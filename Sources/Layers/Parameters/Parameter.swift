public import Tensors

/// A tensor of a model or an adapter: frozen, or with a place in the vector of trained values.
///
/// A pass reads it by `PassContext.value(of:)`, which returns the trained values if the pass has any and the parameter
/// has a place among them, else the frozen ones. So one model serves the anchor, a pass without trained values, and
/// everything that trains.
public struct Parameter: Sendable {
    /// The values of the weight file, or the initial values of training.
    public let frozen: Tensor
    /// The place of the trained values; nil if the parameter never trains.
    public let slot: ParameterSlot?

    /// Creates a parameter from its values and, if it trains, its place.
    public init(_ frozen: Tensor, slot: ParameterSlot? = nil) {
        precondition(slot.map { $0.shape == frozen.shape } ?? true, "a slot of another shape than \(frozen.shape)")
        (self.frozen, self.slot) = (frozen, slot)
    }

    /// The extents.
    public var shape: Shape { frozen.shape }
    /// The number of elements.
    public var count: Int { frozen.count }

    /// The same values in the same place under another shape.
    public func reshaped(_ shape: Shape) -> Parameter {
        Parameter(frozen.reshaped(shape), slot: slot.map { ParameterSlot(offset: $0.offset, shape: shape) })
    }
}

/// The place of a parameter in the flat vector of all trained values.
public struct ParameterSlot: Sendable, Equatable {
    /// Index of its first value.
    public let offset: Int
    /// Its extents.
    public let shape: Shape

    /// Creates a place.
    public init(offset: Int, shape: Shape) { (self.offset, self.shape) = (offset, shape) }

    /// Indices of its values.
    public var range: Range<Int> { offset..<offset + shape.count }
}
