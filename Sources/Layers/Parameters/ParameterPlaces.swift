public import Tensors

/// Assigns places to an adapter's parameters while it is built.
public struct ParameterPlaces {
    /// The layout so far.
    public private(set) var layout: ParameterLayout
    /// The group of the next parameters; nil if they do not train.
    private let group: ParameterGroup?

    /// Starts after the places of a layout, with one group for all parameters; without a group they are frozen.
    public init(behind layout: ParameterLayout = ParameterLayout(), group: ParameterGroup?) {
        (self.layout, self.group) = (layout, group)
    }

    /// Creates a parameter with its initial values.
    public mutating func parameter(_ name: String, _ initial: Tensor) -> Parameter {
        guard let group else { return Parameter(initial) }
        layout.append([.init(name, initial.shape)], group: group)
        return Parameter(initial, slot: layout.slot(of: name))
    }
}
