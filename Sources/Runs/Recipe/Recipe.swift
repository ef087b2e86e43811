public import AdaptationMethods
public import Adapters
public import Datasets
public import Evaluation
public import ModelLoading
public import Recipes
public import SegmentAnything
public import Training

/// Everything that decides what a run does, with its defaults: the sections that recipe files, `KEDGE_SET` and `--set` fill.
///
/// Each section is the settings type of the module it concerns; the table of its keys stands beside that type.
public struct Recipe: Equatable, Sendable {
    /// Name and place of the run.
    public var run = RunSettings()
    /// The base model.
    public var model = ModelSettings()
    /// Images and labels.
    public var data = DataSettings()
    /// The weak labels.
    public var prompts = PromptSettings()
    /// The adaptation method.
    public var method: MethodSection
    /// Labels that the anchor finds itself.
    public var automatic = AutomaticMaskConfiguration()
    /// The adapters.
    public var lora = LoRASettings()
    /// The optimiser and its schedule.
    public var optimizer = OptimizerSettings()
    /// The loop.
    public var training = TrainingSettings()
    /// How the ranks compute.
    public var execution = ExecutionSettings()
    /// Checkpoints to resume from.
    public var checkpoint = CheckpointSettings()
    /// How long a rank may be silent.
    public var watchdog = StallWatch.Limits()
    /// Which rank computes which image of a batch.
    public var sampler = SamplerSettings()
    /// Anchor embeddings that a node keeps.
    public var anchorStore = AnchorStoreSettings()
    /// What the ranks of a node share.
    public var node = NodeSettings()
    /// What is measured.
    public var evaluation = EvaluationSettings()

    /// The recipe of all defaults; it still lacks `data.root`.
    ///
    /// - Parameter methods: The methods that `method.name` may name.
    public init(methods: MethodRegistry = .known) { method = MethodSection(methods) }
}

extension Recipe: RecipeRoot {
    /// The sections, and the keys of earlier versions.
    public static let schema = RecipeSchema<Recipe>(
        [
            .section("run", \.run, "Name and place of the run."),
            .section("model", \.model, "The base model."),
            .section("data", \.data, "Images and labels."),
            .named(
                "data.sources", \.data.sources, template: \.data.source,
                "Several sources in place of one: data.sources.NAME has the keys of one source; data.* are their defaults."
            ),
            .section("prompts", \.prompts, "The weak labels."),
            .section("method", \.method, "The adaptation method; only the chosen method's keys are accepted."),
            .section("automatic", \.automatic, "Labels that the anchor finds itself."),
            .section("lora", \.lora, "The adapters."),
            .section("optimizer", \.optimizer, "The optimiser and its schedule."),
            .section("training", \.training, "The loop."),
            .section("execution", \.execution, "How the ranks compute."),
            .section("checkpoint", \.checkpoint, "Checkpoints to resume from."),
            .section("watchdog", \.watchdog, "How long a rank may be silent."),
            .section("sampler", \.sampler, "Which rank computes which image of a batch."),
            .section("anchorStore", \.anchorStore, "Anchor embeddings that a node keeps from epoch to epoch."),
            .section("node", \.node, "What the ranks of a node share."),
            .section("evaluation", \.evaluation, "What is measured before, during and after."),
        ],
        moved: [
            ("preprocessing", "model.preprocessing"),
            ("training.threads", "execution.threads"),
            ("training.recompute", "execution.recompute"),
            ("training.decoderChunk", "execution.decoderChunk"),
            ("training.prefetchDepth", "execution.prefetchDepth"),
            ("training.prefetchThreads", "execution.prefetchThreads"),
        ])

    /// Rules between sections.
    public var faults: [SettingFault] {
        var faults: [SettingFault] = []
        let usesPoints = prompts.usesPoints || evaluation.prompts.contains(.point)
        if usesPoints, prompts.positivePoints == 0 {
            faults.append(SettingFault(key: "prompts.positivePoints", rule: "point prompts need at least 1"))
        }
        let shares = data.sources.filter { $0.settings.share > 0 }
        if shares.count > training.globalBatch {
            faults.append(
                SettingFault(
                    key: "training.globalBatch",
                    rule: "must be at least the number of sources with a share, \(shares.count)"
                ))
        }
        return faults
    }
}

extension Recipe {
    /// The settings of the adapters that train.
    var adapterOptions: AdapterOptions { AdapterOptions(rank: lora.rank, seed: training.generatorSeed) }

    /// The method with its settings.
    var adaptationMethod: any AdaptationMethod { method.method }
}

/// Name and place of a run.
public struct RunSettings: RecipeSection {
    public var name = "run"
    public var folder = "runs"

    /// `runs/run`.
    public init() {}

    public static let fields: [RecipeField<RunSettings>] = [
        .text("name", \.name, rule: .name, effect: .machine, "Name of the run and of its folder"),
        .text("folder", \.folder, effect: .machine, "Folder that holds the folders of all runs"),
    ]

    public var faults: [SettingFault] {
        folder.isEmpty ? [SettingFault(key: "folder", rule: "must name a folder")] : []
    }
}
