public import Kernels
public import Tensors

/// A parameter that products read in another order than the weight file stores it.
///
/// The frozen values are kept in the packed order alone and made once per node; trained ones, which have their place in
/// the stored order, are packed anew for every pass, at negligible cost beside the products.
public struct PackedParameter: Sendable {
    /// A change of order.
    public typealias Order = @Sendable (Tensor) -> Tensor

    /// The frozen values in the packed order.
    private let frozen: Tensor
    /// The place of the trained values in the stored order; nil if the parameter never trains.
    public let slot: ParameterSlot?
    private let pack: Order

    /// Requests a parameter from a source.
    ///
    /// - Parameters:
    ///   - name: Its name in the weight file.
    ///   - shape: Its extents there.
    ///   - packed: The name and extents of its packed form.
    ///   - pack: From the stored order to the packed one.
    ///   - unpack: The inverse.
    public init(
        _ source: some ParameterSource, _ name: String, _ shape: Shape, as packed: (name: String, shape: Shape),
        pack: @escaping Order, unpack: Order
    ) {
        let values = source.derived(packed.name, packed.shape) { pack(source.tensor(name, shape)) }
        (frozen, self.pack) = (values, pack)
        slot = source.slot(of: name, shape) { unpack(values).reshaped(shape) }
    }

    /// A parameter that never trains, from values in the packed order.
    public init(frozen: Tensor) { (self.frozen, slot, pack) = (frozen, nil, { $0 }) }

    /// The place of its gradient in this pass; nil when it does not train.
    public func slot(in context: PassContext) -> ParameterSlot? { context.trained == nil ? nil : slot }

    /// The trained values in the stored order; nil in a pass without them.
    public func stored(in context: PassContext) -> Tensor? {
        guard let slot, let trained = context.trained else { return nil }
        return trained.value(slot)
    }

    /// The values of this pass in the packed order.
    public func value(in context: PassContext) -> Tensor { stored(in: context).map(pack) ?? frozen }

    /// The same in the form that products read.
    public func matrix(in context: PassContext) -> FrozenMatrix { FrozenMatrix(value(in: context)) }
}
