public import Collectives
public import Datasets
import Imaging

/// The images of a run as its recipe names them.
///
/// Every image has a number in the run's data: its place in the data set of `data.root` or, for the images of
/// `data.evaluationRoot`, that place behind all of the former.
public struct TrainingData: Sendable {
    /// Images to adapt to.
    public let training: DatasetSubset
    /// Images to score; empty when the split leaves none.
    public let evaluation: DatasetSubset
    /// The numbers of the images to adapt to, in the run's data.
    public let trainingNumbers: [Int]
    /// The numbers of the images to score, in the run's data.
    public let evaluationNumbers: [Int]
    /// Images left out of either because nothing in them is labelled.
    public let withoutInstances: Int
    /// Instances of the training image that has most.
    public let mostInstances: Int
    /// Images left out of either because they cannot be read.
    public let unreadable: [UnreadableSample]

    /// Opens the data and splits it: `data.split` cuts one folder, by default as the data set's published split does,
    /// `data.evaluationRoot` names a second one, and the split `none` trains and scores on the same images. Collective;
    /// each rank looks at a share of the images.
    ///
    /// - Parameters:
    ///   - communicator: The ranks; nil for this process alone.
    ///   - needsTraining: False where images are scored only, and those to adapt to may be unlabelled.
    ///   - labelling: Gives the images to adapt to other labels than they came with; collective.
    ///
    /// Throws `DatasetError`; on all ranks `TrainingError` when a rank has other images than rank 0, and when images
    /// cannot be read, more than the recipe lets go.
    public init(
        _ recipe: Recipe, communicator: (any Communicator)? = nil,
        needsTraining: Bool = true,
        labelling: ((_ dataset: any SegmentationDataset, _ training: [Int]) throws -> any SegmentationDataset)? = nil
    ) throws {
        let communicator = try communicator ?? SingleProcessCommunicator()
        let settings = recipe.data
        let root = try Self.open(settings, root: settings.root)
        let second = try settings.evaluationRoot.map { try Self.open(settings, root: $0) }
        let lists = try Self.lists(recipe, root)
        try Self.agree(root, lists.all, "image", communicator)
        let adapted = try labelling?(root, lists.training) ?? root
        let first = labelling == nil ? lists.all : lists.training
        let scan = try ImageScan(adapted, first, firstNumber: 0, communicator: communicator)
        let ownScan =
            labelling == nil
            ? nil : try ImageScan(root, lists.evaluation, firstNumber: 0, communicator: communicator)
        let instances = Dictionary(uniqueKeysWithValues: zip(first, scan.instances))
        let ownInstances = ownScan.map { Dictionary(uniqueKeysWithValues: zip(lists.evaluation, $0.instances)) }
        func kept(_ list: [Int], _ counts: [Int: Int?]) -> [Int] {
            list.filter { counts[$0].flatMap { $0 }.map { $0 > 0 } ?? false }
        }

        var scored = DatasetSubset(root, indices: kept(lists.evaluation, ownInstances ?? instances))
        var scoredNumbers = scored.indices
        var unreadable = scan.unreadable
        for image in ownScan?.unreadable ?? [] where !unreadable.contains(where: { $0.number == image.number }) {
            unreadable.append(image)
        }
        if let second {
            let all = Array(0..<second.count)
            try Self.agree(second, all, "evaluation image", communicator)
            let other = try ImageScan(second, all, firstNumber: root.count, communicator: communicator)
            scored = DatasetSubset(second, indices: all.filter { other.instances[$0].map { $0 > 0 } ?? false })
            scoredNumbers = scored.indices.map { root.count + $0 }
            unreadable += other.unreadable
        }
        guard unreadable.count <= settings.badSampleLimit else {
            throw TrainingError.unreadable(
                unreadable, limit: settings.badSampleLimit, ranks: communicator.worldSize)
        }
        training = DatasetSubset(adapted, indices: kept(lists.training, instances))
        guard training.count > 0 || !needsTraining else {
            throw DatasetError(
                .emptyDataset, at: settings.root,
                "none of its \(lists.training.count) images to train on has a labelled instance",
                remedy: labelling == nil
                    ? "check the label files and data.binarise, or set prompts.source=automatic"
                    : "lower automatic.predictedIoU and automatic.stability")
        }
        let most = recipe.evaluation.limit > 0 ? recipe.evaluation.limit : scored.count
        evaluation = DatasetSubset(scored, indices: Array(0..<min(most, scored.count)))
        (trainingNumbers, evaluationNumbers) = (training.indices, Array(scoredNumbers.prefix(evaluation.count)))
        // An image may be in both lists; it is one image.
        let unlabelledToScore = zip(lists.evaluation, ownScan?.instances ?? []).filter { $0.1 == 0 }.map(\.0)
        withoutInstances = Set(zip(first, scan.instances).filter { $0.1 == 0 }.map(\.0) + unlabelledToScore).count
        mostInstances = training.indices.map { instances[$0].flatMap { $0 } ?? 0 }.max() ?? 0
        self.unreadable = unreadable
    }

    /// The name of an image by its number in the run's data, where it still takes part.
    public func id(number: Int) -> String {
        if let place = trainingNumbers.firstIndex(of: number) { return training.id(place) }
        if let place = evaluationNumbers.firstIndex(of: number) { return evaluation.id(place) }
        return unreadable.first { $0.number == number }?.id ?? "number \(number)"
    }

    /// The places in the first data set that are trained on, scored, and either, before anything is left out.
    private static func lists(
        _ recipe: Recipe, _ root: any SegmentationDataset
    ) throws -> (training: [Int], evaluation: [Int], all: [Int]) {
        let settings = recipe.data
        let count = root.count
        let limit = settings.limit > 0 ? settings.limit : nil
        if settings.evaluationRoot == nil, settings.split == RecipeRule.publishedSplit,
            let split = root.publishedSplit(limit: limit)
        {
            guard settings.splitSeed == nil else {
                throw DatasetError(
                    .invalidOption, at: "data.splitSeed", "the published split of \(settings.format) is not drawn",
                    remedy: "set data.split=k:1 to draw one, or data.splitSeed=none")
            }
            return (split.training, split.evaluation, (split.training + split.evaluation).sorted())
        }
        guard settings.evaluationRoot == nil, let k = recipe.trainingImagesPerEvaluationImage else {
            let all = Array(0..<min(count, limit ?? count))
            return (all, settings.evaluationRoot == nil ? all : [], all)
        }
        let seed = settings.splitSeed.map { UInt64(bitPattern: Int64($0)) }
        let split = KToOneSplit(k: k, limit: limit, seed: seed).apply(count: count)
        return (split.training, split.evaluation, (split.training + split.evaluation).sorted())
    }

    /// Stops all ranks when one has other images than rank 0.
    private static func agree(
        _ dataset: any SegmentationDataset, _ indices: [Int], _ name: String, _ communicator: any Communicator
    ) throws {
        let lines = indices.map { (name: "\(name) \($0 + 1)", value: dataset.fingerprint($0)) }
        try RankAgreement.check(
            lines + [(name: "\(name)s", value: "\(indices.count)")], communicator: communicator)
    }

    private static func open(_ settings: Recipe.Data, root: String) throws -> any SegmentationDataset {
        try DatasetRegistry.open(settings.format, settings.options(root: root))
    }
}

extension Recipe.Data {
    /// How a data set at `root` is read by these keys.
    public func options(root: String) -> DatasetOptions {
        DatasetOptions(
            root: root, imagesFolder: images, labelsFolder: labels, binariseThreshold: binarise.map { UInt8($0) },
            exif: exif == .apply ? .apply : .ignore, followsSymlinks: followSymlinks, annotations: annotations,
            labelRules: labelRules == .released ? .released : .corrected)
    }

    /// How many images a run may leave out because they cannot be read.
    var badSampleLimit: Int { badSamples == .skip ? maximumBadSamples : 0 }
}
