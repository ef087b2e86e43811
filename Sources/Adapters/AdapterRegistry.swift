public import Layers
public import Recipes
public import SegmentAnything
public import WeightFiles

/// The settings of low-rank pairs, below `lora`.
public struct LoRASettings: RecipeSection {
    public var rank = 4

    /// The rank of WeSAM.
    public init() {}

    public static let fields: [RecipeField<LoRASettings>] = [
        .integer("rank", \.rank, 1...256, "Rank of each adapter's two matrices")
    ]
}

/// The settings of adapters, as recipes and files name them.
public struct AdapterOptions: Sendable, Equatable {
    /// Rank of low-rank pairs.
    public var rank: Int
    /// Seed of random initial values.
    public var seed: UInt64
    /// Sizes of a pool of prompts.
    public var promptPool = PromptPoolSettings()
    /// Stages that have begun, for adapters that grow with them.
    public var begunStages = 1
    /// The settings of SAM-Adapter's adapter.
    public var samAdapter: SAMAdapterSettings

    /// Creates settings.
    public init(rank: Int = 4, seed: UInt64 = 0, samAdapter: SAMAdapterSettings = .init()) {
        (self.rank, self.seed, self.samAdapter) = (rank, seed, samAdapter)
    }
}

extension AdapterOptions {
    /// The settings of the adapters in a table of tensors: the rank of its low-rank pairs; the default where it has none.
    ///
    /// Throws `WeightFileError` for an empty pair.
    public init(of table: TensorTable, in model: ModelDescription) throws(WeightFileError) {
        let name = model.projectionSites.first.map { "\($0.name).linear_a_q.weight" } ?? ""
        let rank = table[name]?.shape.first ?? AdapterOptions().rank
        guard rank > 0 else {
            throw WeightFileError(
                .missingTensor, path: table.path, found: "no rows in the low-rank matrix \(name)",
                remedy: "give a file of this model")
        }
        self.init(rank: rank)
    }
}

/// The kinds of adapter by name: one line each.
public struct AdapterRegistry: Sendable {
    /// Creates a fresh adapter, which leaves the model's own masks as they are, with its parameters at the given places.
    ///
    /// An adapter of output tokens changes them slightly, since its tokens take part in the decoder's attention. Throws
    /// `AdapterError` for a model in which the kind has no place.
    public typealias Make =
        @Sendable (ModelDescription, AdapterOptions, inout ParameterPlaces) throws(AdapterError) -> any AdapterSet

    private let kinds: [(name: String, make: Make)]

    /// The kinds Kedge provides.
    public static let known = AdapterRegistry([
        (LoRA.kind, { LoRA($0.projectionSites, rank: $1.rank, seed: $1.seed, &$2) }),
        (TaskTable.kind, { model, _, places in TaskTable(width: model.configuration.decoder.width, &places) }),
        (TaskTokens.kind, { model, _, places in TaskTokens(model, &places) }),
        (PromptPool.kind, { PromptPool($1.promptPool, width: $0.configuration.decoder.width, seed: $1.seed, &$2) }),
        (
            StagePrompts.kind,
            {
                StagePrompts(
                    $1.promptPool, width: $0.configuration.decoder.width, begun: $1.begunStages, seed: $1.seed, &$2)
            }
        ),
        (
            PromptComponents.kind,
            {
                PromptComponents(
                    $1.promptPool, width: $0.configuration.decoder.width, begun: $1.begunStages, seed: $1.seed, &$2)
            }
        ),
        (HQDecoder.kind, { HQDecoder($0, seed: $1.seed, &$2) }),
        (
            SAMAdapter.kind,
            { model, options, places throws(AdapterError) in
                try SAMAdapter(model, options.samAdapter, seed: options.seed, &places)
            }
        ),
    ])

    /// Creates a registry of kinds.
    public init(_ kinds: [(name: String, make: Make)]) { self.kinds = kinds }

    /// The known names, in order.
    public var names: [String] { kinds.map(\.name) }

    /// Creates a fresh adapter. Throws `AdapterError` for an unknown kind, listing the known ones, and for a model that
    /// lacks what the kind needs.
    public func make(
        _ kind: String, for model: ModelDescription, _ options: AdapterOptions, _ places: inout ParameterPlaces
    ) throws(AdapterError) -> any AdapterSet {
        guard let entry = kinds.first(where: { $0.name == kind }) else {
            throw AdapterError("there is no adapter \(kind); choose one of: \(names.joined(separator: ", "))")
        }
        return try entry.make(model, options, &places)
    }
}
