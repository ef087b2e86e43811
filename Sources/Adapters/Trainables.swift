public import Layers
public import SegmentAnything
public import Tensors

/// The selection a method trains: adapters by kind, and the model's own parameters by name prefix.
public struct TrainablePlan: Sendable, Equatable {
    /// An adapter to add.
    public struct Adapter: Sendable, Equatable {
        /// Its kind, as in `AdapterRegistry`.
        public let kind: String
        /// How the optimiser treats its parameters.
        public let group: ParameterGroup

        /// Requests an adapter.
        public init(_ kind: String, group: ParameterGroup? = nil) {
            (self.kind, self.group) = (kind, group ?? ParameterGroup(kind))
        }
    }

    /// A selection of the model's parameters.
    public struct Selection: Sendable, Equatable {
        /// Prefix of their names, as in `mask_decoder.`.
        public let prefix: String
        /// How the optimiser treats them.
        public let group: ParameterGroup

        /// Selects all parameters with a prefix.
        public init(_ prefix: String, group: ParameterGroup) { (self.prefix, self.group) = (prefix, group) }
    }

    /// The adapters, in the order in which they act.
    public let adapters: [Adapter]
    /// The selected parameters of the model.
    public let parameters: [Selection]
    /// How the rate falls from the encoder's last layer to its first; nil for one rate.
    public let layerDecay: LayerDecay?

    /// Creates a plan.
    public init(adapters: [Adapter], parameters: [Selection] = [], layerDecay: LayerDecay? = nil) {
        (self.adapters, self.parameters, self.layerDecay) = (adapters, parameters, layerDecay)
    }

    /// Low-rank pairs on every attention of the encoder: WeSAM's plan.
    public static let lowRankPairs = lowRankPairs(atRate: 1)
    /// The same with a factor on the learning rate.
    public static func lowRankPairs(atRate factor: Double) -> TrainablePlan {
        TrainablePlan(adapters: [Adapter(LoRA.kind, group: ParameterGroup(LoRA.kind, rateFactor: factor))])
    }
    /// HQ-SAM's output token and branches, and what a task adds to the decoder's tokens, with a factor on the learning rate;
    /// tokens, biases and norms do not decay.
    public static func taskedHQ(atRate factor: Double) -> TrainablePlan {
        TrainablePlan(
            adapters: [HQDecoder.kind, TaskTokens.kind].map {
                Adapter($0, group: ParameterGroup($0, rateFactor: factor))
            }, layerDecay: LayerDecay(factor: 1))
    }
    /// Trains nothing.
    public static let nothing = TrainablePlan(adapters: [])
}

/// The parameters of a plan in one model: fresh adapters, and a place for every trained value.
///
/// Adapters come first, in their order, then the model's own parameters.
public struct Trainables: Sendable {
    /// Names, shapes and places.
    public let layout: ParameterLayout
    /// The adapters, with their initial values.
    public let adapters: [any AdapterSet]

    /// No trainables: the base model.
    public init() { (layout, adapters) = (ParameterLayout(), []) }

    /// Creates trainables from adapters whose parameters have places in a layout.
    package init(layout: ParameterLayout, adapters: [any AdapterSet]) {
        (self.layout, self.adapters) = (layout, adapters)
    }

    /// Lays out a plan.
    ///
    /// Throws `AdapterError` for an unknown kind of adapter, or for a prefix without trainable parameters.
    public init(
        _ plan: TrainablePlan, in model: ModelDescription, _ options: AdapterOptions = AdapterOptions(),
        registry: AdapterRegistry = .known
    ) throws(AdapterError) {
        var layout = ParameterLayout()
        var adapters: [any AdapterSet] = []
        for request in plan.adapters {
            var places = ParameterPlaces(behind: layout, group: request.group)
            adapters.append(try registry.make(request.kind, for: model, options, &places))
            layout = places.layout
        }
        for selection in plan.parameters {
            let declarations = model.trainable.filter { $0.name.hasPrefix(selection.prefix) }
            guard !declarations.isEmpty else {
                throw AdapterError(
                    "no parameter with the prefix \(selection.prefix) can train in this model; mask_decoder. and "
                        + "prompt_encoder. can, and image_encoder. in SAM's plain vision transformers (vit_b, vit_l, "
                        + "vit_h, without model.allGlobalEncoder)")
            }
            layout.append(declarations, group: selection.group)
        }
        let decay = plan.layerDecay
        self.layout = decay.map { decay in layout.regrouped { decay.group(of: $0, in: model) } } ?? layout
        self.adapters = adapters
    }

    /// The initial values of training: those of the model's weights, and each adapter's own. // [P]
    ///
    /// - Parameter weights: From `TrainableSource.initialValues`. // [P]
    public func initialValues(weights: Tensor) -> Tensor {
        precondition(weights.count == layout.count)
        var values = weights
        let destination = values.mutablePointer
        for parameter in adapters.flatMap(\.parameters) {
            guard let slot = parameter.slot else { continue }
            (destination + slot.offset).update(from: parameter.frozen.pointer, count: parameter.count)
        }
        return values
    }
}
