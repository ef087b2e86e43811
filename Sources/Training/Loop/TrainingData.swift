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

    /// Opens the data and splits it: `data.split` cuts one folder, `data.evaluationRoot` names a second one, and the
    /// split `none` trains and scores on the same images. Collective; each rank looks at a share of the images.
    ///
    /// - Parameter communicator: The ranks; nil for this process alone.
    ///
    /// Throws `DatasetError`; on all ranks `TrainingError` when a rank has other images than rank 0, and when images
    /// cannot be read, more than the recipe lets go.
    public init(_ recipe: Recipe, communicator: (any Communicator)? = nil) throws {
        let communicator = try communicator ?? SingleProcessCommunicator()
        guard recipe.prompts.kind != .coarse, !recipe.evaluation.prompts.contains(.coarse) else {
            throw DatasetError(
                .unavailablePrompt, at: "prompts", "coarse prompts are not built yet", remedy: "use box or point")
        }
        let settings = recipe.data
        let root = try Self.open(settings, root: settings.root)
        let second = try settings.evaluationRoot.map { try Self.open(settings, root: $0) }
        let lists = Self.lists(recipe, count: root.count)
        try Self.agree(root, lists.all, "image", communicator)
        let scan = try ImageScan(root, lists.all, firstNumber: 0, communicator: communicator)
        let instances = Dictionary(uniqueKeysWithValues: zip(lists.all, scan.instances))
        func kept(_ list: [Int]) -> [Int] { list.filter { instances[$0].flatMap { $0 }.map { $0 > 0 } ?? false } }

        var scored = DatasetSubset(root, indices: kept(lists.evaluation))
        var scoredNumbers = scored.indices
        var unreadable = scan.unreadable
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
        training = DatasetSubset(root, indices: kept(lists.training))
        guard training.count > 0 else {
            throw DatasetError(
                .emptyDataset, at: settings.root,
                "none of its \(lists.training.count) images to train on has a labelled instance",
                remedy: "check the label files and data.binarise")
        }
        let most = recipe.evaluation.limit > 0 ? recipe.evaluation.limit : scored.count
        evaluation = DatasetSubset(scored, indices: Array(0..<min(most, scored.count)))
        (trainingNumbers, evaluationNumbers) = (training.indices, Array(scoredNumbers.prefix(evaluation.count)))
        withoutInstances = scan.instances.count { $0 == 0 }
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
    private static func lists(_ recipe: Recipe, count: Int) -> (training: [Int], evaluation: [Int], all: [Int]) {
        let settings = recipe.data
        let limit = settings.limit > 0 ? settings.limit : nil
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
        try DatasetRegistry.open(
            settings.format,
            DatasetOptions(
                root: root, imagesFolder: settings.images, labelsFolder: settings.labels,
                binariseThreshold: settings.binarise.map { UInt8($0) },
                exif: settings.exif == .apply ? .apply : .ignore, followsSymlinks: settings.followSymlinks,
                annotations: settings.annotations,
                labelRules: settings.labelRules == .released ? .released : .corrected))
    }
}

extension Recipe.Data {
    /// How many images a run may leave out because they cannot be read.
    var badSampleLimit: Int { badSamples == .skip ? maximumBadSamples : 0 }
}
