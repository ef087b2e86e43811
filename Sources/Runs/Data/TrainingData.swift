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
    }

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
        let sources = try recipe.data.all.enumerated().map { place, source in
            try SourceImages(
                source,
                SourceImages.Purpose(
                    place: place, evaluationLimit: recipe.evaluation.limit, labelling: labelling), communicator)
        }
        let limit = recipe.data.badSampleLimit
        unreadable = sources.flatMap(\.unreadable)
        guard unreadable.count <= limit else {
            throw RunError.unreadable(unreadable, limit: limit, ranks: communicator.worldSize)
        }
        for (source, settings) in zip(sources, recipe.data.all) where source.training.count == 0 && needsTraining {
            throw DatasetError(
                .emptyDataset, at: settings.settings.options.root,
                "none of its \(source.listedForTraining) images to train on has a labelled instance",
                remedy: labelling == nil
                    ? "check the label files and data.binarise, or set prompts.source=automatic"
                    : "lower automatic.predictedIoU and automatic.stability")
        }
        training = DataMixture(
            sources.map {
                .init(source: $0.name, domain: $0.domain, share: $0.share, images: $0.training, ids: $0.trainingIDs)
            })
        evaluation = sources.filter { $0.evaluation.count > 0 }.map {
            .init(source: $0.name, domain: $0.domain, images: $0.evaluation, ids: $0.evaluationIDs)
        }
        withoutInstances = sources.reduce(0) { $0 + $1.withoutInstances }
        mostInstances = sources.map(\.mostInstances).max() ?? 0
    }

    /// Images to score, over all sources.
    public var evaluationCount: Int { evaluation.reduce(0) { $0 + $1.images.count } }

    /// The name of an image, also of a skipped one if known.
    func name(of image: ImageID) -> String {
        if let place = training.ids.firstIndex(of: image) { return training.id(place) }
        for set in evaluation {
            if let place = set.ids.firstIndex(of: image) { return set.images.id(place) }
        }
        return unreadable.first { $0.image == image }?.id ?? "source \(image.source + 1), number \(image.index + 1)"
    }
}
