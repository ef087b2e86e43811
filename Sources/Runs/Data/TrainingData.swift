public import Collectives
public import Datasets
public import Evaluation
import Recipes
import Telemetry

/// The images of a run, as selected by its recipe.
public struct TrainingData: Sendable {
    /// Images of one source that are scored together.
    public struct EvaluationSet: Sendable {
        /// The source's name.
        public let source: String
        /// The domain its images belong to.
        public let domain: String
        /// The images; at least one.
        public let images: DatasetSubset
        /// The images' names in the run.
        public let ids: [ImageID]
        /// Whether they have no labels and are compared with masks that the unadapted model found.
        public let isComparedWithModel: Bool
    }

    /// The kinds of prompt.
    package let choice: PromptChoice
    /// Images to adapt to.
    public let training: DataMixture
    /// Images to score by source, excluding sources without any.
    public let evaluation: [EvaluationSet]
    /// Images skipped because they have no labelled instance.
    public let withoutInstances: Int
    /// The largest number of instances in a training image.
    public let mostInstances: Int
    /// Images skipped because they cannot be read.
    public let unreadable: [UnreadableSample]
    /// Lines about files left out and labels that may be meant otherwise, on rank 0.
    public let warnings: [String]
    /// Why there is nothing to score although images were listed for it; nil otherwise.
    let nothingToScore: DatasetError?
    /// How the images of each source become 8 bits, in the order of the recipe.
    package let intensities: [SourceIntensity]

    /// Opens the sources and splits them: `split` divides one folder, by default like the data set's published split,
    /// `evaluationRoot` names a second one, and the split `none` trains and scores on the same images. Collective; each
    /// rank scans a share of the images.
    ///
    /// - Parameters:
    ///   - communicator: The ranks; nil for this process alone.
    ///   - needsTraining: False if images are only scored; those to adapt to may then be unlabelled.
    ///
    /// Throws `DatasetError`; on all ranks `RunError` if a rank has different images than rank 0, or if more images are
    /// unreadable than the recipe allows.
    public init(
        _ recipe: Recipe, communicator: (any Communicator)? = nil, needsTraining: Bool = true
    ) throws {
        try self.init(recipe, communicator: communicator, needsTraining: needsTraining, labelling: nil)
    }

    /// The same, with generated labels for the images to adapt to.
    init(
        _ recipe: Recipe, communicator: (any Communicator)?, needsTraining: Bool = true,
        labelling: SourceImages.Labelling?
    ) throws {
        let communicator = try communicator ?? SingleProcessCommunicator()
        let isScored = recipe.evaluation.kinds != []
        var sources = try recipe.data.all.enumerated().map { place, source in
            let made = recipe.madeLabels(of: source.settings)
            return try SourceImages(
                source,
                SourceImages.Purpose(
                    place: place, evaluationLimit: isScored ? recipe.evaluation.limit : nil,
                    labelling: made == nil ? nil : labelling,
                    findsLabels: labelling != nil && recipe.prompts.source == .automatic),
                communicator)
        }
        choice = PromptChoice(
            recipe, training: sources.flatMap { $0.training.labels.map(\.kinds) },
            scored: sources.flatMap { $0.evaluation.labels.map(\.kinds) })
        for place in sources.indices {
            sources[place].apply(
                needsTraining ? choice : choice.withoutTraining, host: communicator.hostNames[0])
        }
        intensities = sources.map(\.intensity)
        let limit = recipe.data.badSampleLimit
        unreadable = sources.flatMap(\.unreadable)
        guard unreadable.count <= limit else {
            throw RunError.unreadable(unreadable, limit: limit, ranks: communicator.worldSize)
        }
        let usable = sources.map(\.usableForTraining)
        for (place, source) in recipe.data.all.enumerated()
        where usable[place].images.count == 0 && needsTraining && !sources[place].isOnlyScored {
            let made = labelling == nil ? nil : recipe.madeLabels(of: source.settings)
            throw sources[place].nothingToTrainOn(at: source.settings.options.root, made)
        }
        warnings = sources.flatMap { $0.warnings(usesBoxes: recipe.usesAnnotatedBoxes, isNamed: sources.count > 1) }
        nothingToScore = sources.lazy.compactMap(\.emptiness.evaluation).first
        training = DataMixture(
            zip(sources, usable).filter { !$0.0.isOnlyScored }.map {
                .init(
                    source: $0.name, domain: $0.domain, share: $0.share, task: $0.task, images: $1.images, ids: $1.ids)
            })
        if training.parts.isEmpty, needsTraining {
            throw DatasetError(
                .invalidOption, at: "data.split", "evaluate for every source leaves no image to adapt to",
                remedy: "give at least one source another split")
        }
        evaluation = sources.compactMap(\.evaluationSet)
        withoutInstances = sources.reduce(0) { $0 + $1.withoutInstances }
        mostInstances = usable.map(\.mostInstances).max() ?? 0
    }

    /// Images to score, over all sources.
    public var evaluationCount: Int { evaluation.reduce(0) { $0 + $1.images.count } }

    /// The number of images, for the log.
    var fact: DataFact {
        DataFact(
            trainingImages: training.count, evaluationImages: evaluationCount, withoutInstances: withoutInstances)
    }

    /// Warnings about what scores mean, or that there are none.
    var scoreWarnings: [String] {
        if evaluation.contains(where: \.isComparedWithModel) {
            return [
                "the images to score have no labels: scores are the agreement with masks that the unadapted model finds "
                    + "in them, not with true masks"
            ]
        }
        guard evaluation.isEmpty, choice.evaluation.kinds != [] else { return [] }
        return ["no image can be scored: those held out have no labels; nothing will tell whether the model improved"]
    }

    /// The name of an image, also of a skipped one if known.
    func name(of image: ImageID) -> String {
        if let place = training.ids.firstIndex(of: image) { return training.id(place) }
        for set in evaluation {
            if let place = set.ids.firstIndex(of: image) { return set.images.id(place) }
        }
        return unreadable.first { $0.image == image }?.id ?? "source \(image.source + 1), number \(image.index + 1)"
    }
}

extension SourceImages {
    /// Why none of its images can be trained on.
    ///
    /// - Parameter made: The labels that were made of them, if any.
    fileprivate func nothingToTrainOn(at root: String, _ made: MadeLabels?) -> any Error {
        if let first = unreadable.first { return RunError.noneUsable(listedForTraining, at: root, first: first) }
        if made == nil, let error = emptiness.training { return error }
        return DatasetError(
            .emptyDataset, at: root, "none of its \(listedForTraining) images to train on has a labelled instance",
            remedy: made == .found
                ? "lower automatic.predictedIoU and automatic.stability"
                : "see kedge data check: no mask agrees with its own box or points")
    }

    /// The images to score; nil without any.
    fileprivate var evaluationSet: TrainingData.EvaluationSet? {
        let scored = usableForEvaluation
        guard scored.images.count > 0 else { return nil }
        return TrainingData.EvaluationSet(
            source: name, domain: domain, images: scored.images, ids: scored.ids,
            isComparedWithModel: isComparedWithModel)
    }

    /// What is left out or doubtful, one line each.
    fileprivate func warnings(usesBoxes: Bool, isNamed: Bool) -> [String] {
        let left =
            unscored == 0
            ? []
            : [
                "\(unscored) held-out images have no masks: neither trained on nor scored; with split=none all are trained on"
            ]
        return (unused.flatMap { $0.lines.map(\.text) } + labels.warnings(usesBoxes: usesBoxes) + left).map {
            "data: " + (isNamed ? "\(name): " : "") + $0
        }
    }
}

extension Recipe {
    /// Whether boxes of the labels serve as prompts, in training or evaluation.
    fileprivate var usesAnnotatedBoxes: Bool {
        guard prompts.source != .automatic else { return false }
        return [.box, .auto].contains(prompts.kind) || prompts.teacherKind.kind == .box
            || (evaluation.kinds ?? [.box]).contains(.box)
    }
}
