public import Interaction
public import Recipes

/// One source of images: a data set, how it is divided, and what it is in a run over several.
public struct SourceSettings: RecipeSection {
    public var format = "folder"
    public var options = DatasetOptions()
    public var split = DataSplit.published
    public var splitSeed: Int?
    public var evaluationRoot: String?
    public var limit = 0
    public var domain: String?
    public var share = 0
    public var supervision = Supervision.full
    public var task = TaskKind.none

    /// One folder of images and labels.
    public init() {}

    public static let fields: [RecipeField<SourceSettings>] =
        [.text("format", \.format, rule: .name, "Format of the data set, by its name in the registry")]
        + DatasetOptions.fields.map { $0.within(\.options) } + [
            .parsed(
                "split", \.split,
                rule: .parsed(DataSplit.grammar) { DataSplit(rawValue: $0) != nil },
                "auto: the published split, else 5:1; k:1 trains on k of k + 1 images and scores the other; none: both on all; evaluate: only scored"
            ),
            .optionalInteger(
                "splitSeed", \.splitSeed, 0...Int.max,
                "Seed that shuffles the list before the split; none keeps its order; a published split takes none"),
            .optionalText(
                "evaluationRoot", \.evaluationRoot, effect: .experiment,
                "Folder of another data set to evaluate on; none evaluates on the split"),
            .integer(
                "limit", \.limit, 0...1_000_000_000,
                "Largest number of images, before the split; of a published split in proportion; 0: all"),
            .optionalText("domain", \.domain, "Domain the images belong to; none: the source is its own domain"),
            .integer(
                "share", \.share, 0...65_536,
                "Part of each batch that comes from this source, relative to the others' shares; 0: by number of images"
            ),
            .choice(
                "supervision", \.supervision,
                "Where masks come from: the labels (full), pseudo-masks made from boxes or points (weak), or pseudo-masks found "
                    + "without labels (none); the last two in sum, and in methods that learn from weak labels, whose prompts "
                    + "they give"),
            .choice(
                "task", \.task,
                "Kind of task of its masks, for methods trained by clicks: its vector is added in the first round"),
        ]

    public var faults: [SettingFault] {
        var faults = options.faults
        if options.root.isEmpty {
            faults.append(SettingFault(key: "root", rule: "must name the folder of the data set"))
        }
        if evaluationRoot?.isEmpty == true {
            faults.append(
                SettingFault(key: "evaluationRoot", rule: "must name a folder; write none to use the split"))
        }
        if domain.map({ !RecipeRule.isName($0) }) ?? false {
            faults.append(SettingFault(key: "domain", rule: "must be \(RecipeRule.name.description)"))
        }
        return faults
    }
}

/// What a run does about an image or label that cannot be used.
public enum BadSampleRule: String, CaseIterable, Sendable {
    /// Stops.
    case stop
    /// Continues without it.
    case skip
}

/// Images and labels of a run: one source, or several with names.
public struct DataSettings: RecipeSection {
    public var source = SourceSettings()
    public var flips = WeakAugmentation.Schedule.everyEpoch
    public var badSamples = BadSampleRule.stop
    public var maximumBadSamples = 10
    /// The named sources, in the order of the recipe; empty when `source` is the only one.
    public var sources: [NamedSection<SourceSettings>] = []

    /// One folder of images and labels.
    public init() {}

    public static let fields: [RecipeField<DataSettings>] =
        SourceSettings.fields.map { $0.within(\.source) } + [
            .choice(
                "flips", \.flips, "Mirroring of the weak view: drawn for every epoch, drawn once per image, or none"),
            .choice(
                "badSamples", \.badSamples,
                "What to do with an image or label that cannot be read or gives no prompt: stop the run, or skip it"),
            .integer(
                "maximumBadSamples", \.maximumBadSamples, 0...1_000_000_000, effect: .experiment,
                "Images that a run may leave out before it stops"),
        ]

    public var faults: [SettingFault] {
        guard !sources.isEmpty else { return source.faults }
        var faults: [SettingFault] = []
        if !source.options.root.isEmpty {
            faults.append(
                SettingFault(key: "root", rule: "must not be set beside data.sources; give each source its own root"))
        }
        let shares = sources.map(\.settings.share)
        if shares.contains(0), let place = shares.firstIndex(where: { $0 > 0 }) {
            faults.append(
                SettingFault(
                    key: "sources.\(sources[place].name).share", rule: "must be 0 unless every source has a share"))
        }
        return faults
    }

    /// The name of the only source where none is named.
    public static let defaultName = "data"

    /// All sources by name, in order.
    public var all: [NamedSection<SourceSettings>] {
        sources.isEmpty ? [NamedSection(Self.defaultName, source)] : sources
    }

    /// How many images a run may leave out because they cannot be used.
    public var badSampleLimit: Int { badSamples == .skip ? maximumBadSamples : 0 }
}
