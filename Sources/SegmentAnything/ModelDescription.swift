public import Layers
import Tensors

/// The properties of a model that need no weights: its sizes, the sites of adapters, and the parameters that can train.
public struct ModelDescription: Sendable {
    /// The sizes.
    public let configuration: SegmentAnythingConfiguration
    /// The encoder's projections, from the input upwards.
    public let projectionSites: [ProjectionSite]
    /// The encoder's blocks, from the input upwards.
    public let blockSites: [BlockSite]
    /// The model's own parameters that can train, in the order in which its parts request them.
    public let trainable: [ParameterLayout.Declaration]

    /// Describes the model of a configuration; all memory it takes is released.
    public init(_ configuration: SegmentAnythingConfiguration) {
        let pool = StoragePool()
        defer { pool.trim() }
        self.configuration = configuration
        (projectionSites, blockSites, trainable) = StoragePool.$rehearsal.withValue(pool) {
            let recorder = TrainableRecorder()
            let encoder = SegmentAnythingModel(configuration, recorder).encoder
            return (encoder.projectionSites, encoder.blockSites, recorder.trainable)
        }
    }
}

/// Records the parameters that can train; no tensor is touched, and derived ones are not computed.
private final class TrainableRecorder: ParameterSource {
    private(set) var trainable: [ParameterLayout.Declaration] = []

    func tensor(_ name: String, _ shape: Shape) -> Tensor { Tensor(uninitialized: shape) }

    func parameter(_ name: String, _ shape: Shape) -> Parameter {
        trainable.append(.init(name, shape))
        return Parameter(Tensor(uninitialized: shape))
    }

    func derived(_ name: String, _ shape: Shape, _ make: () -> Tensor) -> Tensor { Tensor(uninitialized: shape) }

    func slot(of name: String, _ shape: Shape, initial: () -> Tensor) -> ParameterSlot? {
        trainable.append(.init(name, shape))
        return nil
    }
}
