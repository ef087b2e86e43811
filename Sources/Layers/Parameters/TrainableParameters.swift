public import Tensors

/// The trained values in one flat vector: exchange, update, hash and save each take one call.
public struct TrainableParameters: Sendable {
    /// Names, shapes and places.
    public let layout: ParameterLayout
    /// The values. // [P]
    public var values: Tensor

    /// Creates trained values in the order of a layout. // [P]
    public init(layout: ParameterLayout, values: Tensor) {
        precondition(values.count == layout.count, "\(values.count) numbers for a layout of \(layout.count)")
        (self.layout, self.values) = (layout, values.reshaped([layout.count]))
    }

    /// The values of one parameter; shares storage.
    public func value(_ slot: ParameterSlot) -> Tensor { values.rows(slot.range).reshaped(slot.shape) }
}

/// The gradient of all trained values, flat, in the same layout.
public struct GradientBuffer: Sendable {
    /// The gradient. // [P]
    public var values: Tensor

    /// Creates a gradient of zeros.
    public init(count: Int) { values = Tensor(zeros: [count]) }

    /// Creates a gradient of zeros for a layout.
    public init(_ layout: ParameterLayout) { self.init(count: layout.count) }

    /// Adds a parameter's gradient at its place.
    public mutating func add(_ gradient: Tensor, at slot: ParameterSlot) {
        precondition(gradient.count == slot.shape.count, "a gradient of \(gradient.shape) for \(slot.shape)")
        precondition(slot.offset >= 0 && slot.offset + gradient.count <= values.count)
        let destination = values.mutablePointer + slot.offset
        let source = gradient.pointer
        for i in 0..<gradient.count { destination[i] += source[i] }
    }
}
