public import Tensors

/// A tensor of a model or an adapter: frozen, or with a place among the numbers that train.
///
/// A pass reads it by `PassContext.value(of:)`, which gives the trained numbers where the pass has any and the parameter
/// a place among them, else the frozen ones. So one model serves the anchor, which is a pass without trained numbers, and
/// everything that trains.
public struct Parameter: Sendable {
    /// The values of the weight file, or those that training begins with.
    public let frozen: Tensor
    /// Where the trained values stand; nil where the parameter never trains.
    public let slot: ParameterSlot?

    /// Puts values and, for one that trains, their place together.
    public init(_ frozen: Tensor, slot: ParameterSlot? = nil) {
        precondition(slot.map { $0.shape == frozen.shape } ?? true, "a slot of another shape than \(frozen.shape)")
        (self.frozen, self.slot) = (frozen, slot)
    }

    /// The extents.
    public var shape: Shape { frozen.shape }
    /// The number of elements.
    public var count: Int { frozen.count }

    /// The same numbers under another shape, in the place they have.
    public func reshaped(_ shape: Shape) -> Parameter {
        Parameter(frozen.reshaped(shape), slot: slot.map { ParameterSlot(offset: $0.offset, shape: shape) })
    }
}

/// The place of a parameter in the flat vector of everything that trains.
public struct ParameterSlot: Sendable, Equatable {
    /// Its first number.
    public let offset: Int
    /// Its extents.
    public let shape: Shape

    /// Names a place.
    public init(offset: Int, shape: Shape) { (self.offset, self.shape) = (offset, shape) }

    /// Its numbers.
    public var range: Range<Int> { offset..<offset + shape.count }
}
