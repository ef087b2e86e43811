public import Layers
import Tensors

/// What can be said of a model before it has weights: its sizes, the sites of adapters, and what can train.
public struct ModelDescription: Sendable {
    /// The sizes.
    public let configuration: SegmentAnythingConfiguration
    /// The encoder's projections, from the input upwards.
    public let projectionSites: [ProjectionSite]
    /// The encoder's blocks, from the input upwards.
    public let blockSites: [BlockSite]
    /// The model's own parameters that can train, in the order in which its parts ask for them.
    public let trainable: [ParameterLayout.Declaration]

    /// Describes the model of a configuration.
    public init(_ configuration: SegmentAnythingConfiguration) {
        let recorder = ParameterRecorder()
        let model = SegmentAnythingModel(configuration, recorder)
        self.configuration = configuration
        (projectionSites, blockSites) = (model.encoder.projectionSites, model.encoder.blockSites)
        trainable = recorder.trainable
    }
}
