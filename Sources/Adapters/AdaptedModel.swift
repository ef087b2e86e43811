public import Kernels
public import Layers
public import SegmentAnything
public import Tensors

/// A model with its adaptation: adapter sets, and the trained values.
public struct AdaptedModel: Sendable {
    /// The model, whose trainable parameters have their places.
    public let model: SegmentAnythingModel
    /// The adapter sets, in the order in which they act.
    public internal(set) var adapters: ActiveAdapters
    /// The trained values; nil for the base model.
    public var trained: TrainableParameters?

    /// The base model.
    public init(_ model: SegmentAnythingModel) { (self.model, adapters, trained) = (model, .none, nil) }

    /// A model with trainables.
    ///
    /// - Parameters:
    ///   - model: Built through a `TrainableSource` with the trainables' layout.
    ///   - values: The trained values, in that layout. // [P]
    public init(_ model: SegmentAnythingModel, _ trainables: Trainables, values: Tensor) {
        (self.model, adapters) = (model, ActiveAdapters(trainables.adapters))
        trained = TrainableParameters(layout: trainables.layout, values: values)
    }

    /// Builds a model with fresh trainables.
    public init(
        _ configuration: SegmentAnythingConfiguration, _ source: any ParameterSource, _ trainables: Trainables
    ) {
        let source = TrainableSource(source, layout: trainables.layout)
        let model = SegmentAnythingModel(configuration, source)
        self.init(model, trainables, values: trainables.initialValues(weights: source.initialValues))
    }

    /// The layout of the trained values.
    public var layout: ParameterLayout { trained?.layout ?? ParameterLayout() }

    /// The context of a pass of the adapted model.
    public func context(
        in workspace: Workspace, recompute: RecomputeLevel = .none, counter: PassCounter? = nil
    ) -> PassContext {
        PassContext(workspace, trained: trained, adapters: adapters, recompute: recompute, counter: counter)
    }
}
