public import Tensors

/// Gives an adapter's parameters their places while it is built.
public struct ParameterPlaces {
    /// What has a place until now.
    public private(set) var layout: ParameterLayout
    /// The group of what comes; nil where it does not train.
    private let group: ParameterGroup?

    /// Places behind those of a layout, in one group; without a group parameters are frozen.
    public init(behind layout: ParameterLayout = ParameterLayout(), group: ParameterGroup?) {
        (self.layout, self.group) = (layout, group)
    }

    /// A parameter with the values it begins with.
    public mutating func parameter(_ name: String, _ initial: Tensor) -> Parameter {
        guard let group else { return Parameter(initial) }
        layout.append([.init(name, initial.shape)], group: group)
        return Parameter(initial, slot: layout.slot(of: name))
    }
}
